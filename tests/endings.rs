//! What a person sees of the three canonical endings, from the real binary: the console and the
//! report file, whole.
#![cfg(unix)]

mod support;

use support::Fixture;

/// Compares with `snapshots/ending_<form>_<name>.snap` at the workspace's root.
fn snapshot(form: &str, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(support::repository().join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(format!("ending_{form}_{name}"), text));
}

#[track_caller]
fn check(name: &str, code: i32, fixture: &Fixture, arguments: &[&str]) {
    let answer = fixture.boot(arguments);
    assert_eq!(answer.code, code, "{}", answer.all());
    assert_eq!(answer.stderr, "");
    snapshot("console", name, &fixture.filtered(&answer.stdout));
    snapshot("report", name, &fixture.filtered(&fixture.report()));
}

#[test]
fn completed() {
    let fixture = Fixture::healthy();
    // After what healed, every page is looked at once more.
    fixture.boot(&[]).says(0, &[]);
    check("completed", 0, &fixture, &[]);
}

#[test]
fn completed_with_fixes() {
    check("completed_with_fixes", 0, &Fixture::empty(), &[]);
}

#[test]
fn aborted() {
    let fixture = Fixture::healthy();
    fixture.write("var/grace.db", [0xa5; 12_288]);
    check("aborted", 1, &fixture, &[]);
}

#[test]
fn observed() {
    check("observed", 1, &Fixture::empty(), &["--observe"]);
}

#[test]
fn refused() {
    let fixture = Fixture::empty();
    fixture.write("boot.toml", "name = \"grace\"\nprot = 8000\n");
    // Of the report alone: how the console wraps this depends on the length of the root's name.
    fixture
        .boot(&[])
        .says(78, &["BOOT PIPELINE REFUSED", "did you mean `port`?"]);
    snapshot("report", "refused", &fixture.filtered(&fixture.report()));
}
