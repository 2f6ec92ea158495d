//! Something that is no healthy database stands in the place of one.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use crate::support::Fixture;

/// Ends at once, names what is there, and leaves every file; twice, so that the first refusal left nothing
/// that the second would trip over.
fn is_named_and_left_alone(put: fn(&Path), words: &[&str]) {
    let fixture = Fixture::healthy();
    fs::remove_file(fixture.database()).unwrap();
    put(&fixture.database());
    let before = fixture.tree_of_others();
    for arguments in [&[][..], &[], &["--observe"]] {
        let answer = fixture.boot(arguments);
        answer.says_at_once(1, words);
        answer.says(1, &["preflight::database_", "var/grace.db"]);
        assert!(!answer.all().contains("panicked"), "{}", answer.all());
        assert!(before == fixture.tree_of_others(), "something was changed");
    }
}

macro_rules! strangers {
    ($($name:ident: $put:expr, $words:expr;)+) => {
        $(#[test] fn $name() { is_named_and_left_alone($put, &$words); })+
    };
}

strangers! {
    a_named_pipe: pipe, ["var/grace.db is a named pipe", "let DATABASE_URL name"];
    a_socket: socket, ["var/grace.db is a socket", "let DATABASE_URL name"];
    a_loop_of_links: |path| symlink(path, path).unwrap(),
        ["var/grace.db is a loop of links", "let DATABASE_URL name"];
    a_loop_of_two_links: two_links, ["var/grace.db is a loop of links", "let DATABASE_URL name"];
    a_link_to_nothing: |path| symlink("nowhere/at all.db", path).unwrap(),
        ["var/grace.db is a link to nothing"];
    a_link_to_a_pipe: linked_pipe, ["is a named pipe", "let DATABASE_URL name"];
    a_folder: |path| fs::create_dir(path).unwrap(),
        ["var/grace.db is a folder", "let DATABASE_URL name"];
    an_endless_device: |path| symlink("/dev/zero", path).unwrap(),
        ["var/grace.db is a device", "let DATABASE_URL name"];
    an_empty_file: |path| fs::write(path, "").unwrap(), ["var/grace.db is an empty file"];
    one_page_of_text: |path| fs::write(path, page_of_text()).unwrap(),
        ["var/grace.db is not an SQLite database", "does not begin with SQLite's header"];
    text_behind_a_header: |path| {
        let text = String::from_utf8(page_of_text()).unwrap();
        fs::write(path, format!("SQLite format 3\0{}", &text[16..])).unwrap();
    }, ["var/grace.db"];
    a_header_without_a_page: |path| fs::write(path, b"SQLite format 3\0").unwrap(),
        ["var/grace.db is not an SQLite database"];
    a_newer_file_format: |path| newer_format(path, 3, 3), NEWER;
    a_file_format_that_only_newer_programs_write: |path| newer_format(path, 3, 1), NEWER;
}

const NEWER: [&str; 3] = [
    "var/grace.db has file format 3",
    "newer than the gate",
    "use a newer version",
];

/// As long as a page of a database.
pub(crate) fn page_of_text() -> Vec<u8> {
    "lorem ipsum dolor sit amet, ".repeat(147).as_bytes()[..4096].to_vec()
}

pub(crate) fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

fn socket(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
}

fn two_links(path: &Path) {
    let other = path.with_file_name("other.db");
    symlink(path, &other).unwrap();
    symlink(other, path).unwrap();
}

fn linked_pipe(path: &Path) {
    let other = path.with_file_name("pipe");
    pipe(&other);
    symlink(other, path).unwrap();
}

/// A whole database whose header names these versions of the file format.
fn newer_format(path: &Path, write_version: u8, read_version: u8) {
    let other = Fixture::healthy();
    let mut bytes = fs::read(other.database()).unwrap();
    (bytes[18], bytes[19]) = (write_version, read_version);
    fs::write(path, bytes).unwrap();
}
