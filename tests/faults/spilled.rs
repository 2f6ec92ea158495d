//! The application is killed at each of its own writes: what it leaves of its log is never taken for damage, and what it
//! acknowledged is there.

use crate::boots::boot;
use crate::holders::Other;
use crate::instants::everything;
use crate::sandbox::{Journal, Sandbox, Start};
use crate::shim::{self, Fault};

/// Transactions that outgrow a cache of one page, so that they write pages over that they wrote before; one of them is
/// given up, and the next is written over what is left of it.
const STATEMENTS: &str = "PRAGMA cache_size = 1
PRAGMA wal_autocheckpoint = 0
INSERT INTO notes (body) VALUES ('first')
BEGIN
INSERT INTO notes (body) SELECT zeroblob(900) FROM notes LIMIT 12
UPDATE notes SET body = zeroblob(901) WHERE id > 400
UPDATE notes SET body = zeroblob(902) WHERE id > 400
COMMIT
BEGIN
UPDATE notes SET body = zeroblob(903) WHERE id > 400
UPDATE notes SET body = zeroblob(904) WHERE id > 400
ROLLBACK
INSERT INTO notes (body) VALUES ('last')
UPDATE notes SET body = zeroblob(905) WHERE id > 400";

const STATE: &str = "SELECT count(*) || ' ' || sum(length(body)) FROM notes";

fn state(sandbox: &Sandbox) -> String {
    let mut connection = sandbox.open();
    let state = connection.scalar(STATE);
    connection.close();
    format!("{state:?}")
}

/// What a reader sees after each statement.
fn states(template: &Sandbox) -> Vec<String> {
    let sandbox = template.copy();
    let mut writer = sandbox.open();
    let mut states = vec![state(&sandbox)];
    for statement in STATEMENTS.lines() {
        writer.execute(statement).unwrap();
        states.push(state(&sandbox));
    }
    writer.close();
    states
}

/// A log that was begun anew has older frames behind its own.
fn template(has_older_frames: bool) -> Sandbox {
    let sandbox = Sandbox::prepared(Start::Legacy(Journal::Delete));
    let booted = boot(sandbox.root());
    assert_eq!(booted.code, Some(0), "{}", booted.text());
    let fill = "INSERT INTO notes (body) SELECT zeroblob(900) FROM notes LIMIT 99";
    let statements = match has_older_frames {
        true => format!("PRAGMA journal_mode = WAL\n{fill}\nPRAGMA wal_checkpoint(RESTART)"),
        false => "PRAGMA journal_mode = WAL".to_owned(),
    };
    Other::start(&sandbox.database(), &statements).kill();
    sandbox
}

fn words(sandbox: &Sandbox, fault: Fault, at: usize) -> [String; 5] {
    let (kind, _) = fault.variables();
    [
        "env".to_owned(),
        format!("LD_PRELOAD={}", shim::library().display()),
        format!("FAULTS_ROOT={}/", sandbox.root().display()),
        format!("FAULTS_AT={at}"),
        format!("FAULTS_KIND={kind}"),
    ]
}

fn try_one(template: &Sandbox, states: &[String], fault: Fault, at: usize) -> Result<bool, String> {
    let sandbox = template.copy();
    let words = words(&sandbox, fault, at);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (other, done) = Other::spawn(&words, &sandbox.database(), STATEMENTS);
    other.kill();
    let booted = boot(sandbox.root());
    if booted.code != Some(0) {
        return Err(format!("{done} done: {}", booted.complaints()));
    }
    let (seen, acknowledged) = (state(&sandbox), &states[done]);
    // The one that it was in may have been committed and not acknowledged yet.
    let next = states.get(done + 1);
    match seen == *acknowledged || Some(&seen) == next {
        true => Ok(done + 1 < states.len()),
        false => Err(format!("{seen}: {acknowledged} was acknowledged")),
    }
}

fn sweep(fault: Fault) {
    let mut tried = 0;
    for has_older_frames in [false, true] {
        let template = template(has_older_frames);
        let states = states(&template);
        let step = if everything() { 1 } else { 37 };
        for at in (1..).step_by(step) {
            match try_one(&template, &states, fault, at) {
                Ok(true) => tried += 1,
                Ok(false) => break,
                Err(error) => panic!("{fault:?} at {at}, {has_older_frames}: {error}"),
            }
        }
    }
    println!("| application that outgrows its cache | {fault:?} | {tried} points | 0 wrong |");
}

#[test]
fn a_killed_application_that_outgrew_its_cache_is_never_refused() {
    sweep(Fault::Kill);
}

#[test]
fn nor_is_one_of_which_half_a_write_is_there() {
    sweep(Fault::Torn);
}
