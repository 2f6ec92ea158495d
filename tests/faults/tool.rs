//! The application's own tool changes the database and fails; the gate dies at each instant around it.

use std::fs;

use crate::boots::{boot, boot_with};
use crate::instants::everything;
use crate::sandbox::{Journal, ROWS, Sandbox, Start, verify_rows};
use crate::shim::{self, Fault};

const TOML: &str = "name = \"shop\"
[database]
url = \"sqlite:///./var/grace.db\"
[migrations]
command = [\"sh\", \"tool\"]
check = [\"sh\", \"check\"]
";

/// Instants that are passed over where not everything is asked for.
const STEP: usize = 7;

fn has_half(sandbox: &Sandbox) -> bool {
    let mut connection = sandbox.open();
    verify_rows(&mut connection, ROWS).unwrap();
    let half = connection.scalar("SELECT count(*) FROM sqlite_schema WHERE name = 'half'");
    connection.close();
    half == Ok(1.into())
}

#[test]
fn a_gate_that_is_killed_around_a_failing_tool_loses_nothing() {
    let library = shim::library();
    let template = Sandbox::prepared(Start::Legacy(Journal::Delete));
    let at = |name: &str| template.root().join(name);
    let before = fs::read(template.database()).unwrap();
    let mut connection = template.open();
    connection.execute("CREATE TABLE half (x)").unwrap();
    connection.close();
    fs::rename(template.database(), at("half.db")).unwrap();
    fs::write(template.database(), &before).unwrap();
    fs::write(at("boot.toml"), TOML).unwrap();
    // The tool itself is not what dies.
    let tool = "unset LD_PRELOAD\ncp half.db var/grace.db\nexit 4\n";
    fs::write(at("tool"), tool).unwrap();
    fs::write(at("check"), "test -f current").unwrap();
    let (mut tried, mut halves) = (0, 0);
    for at in (1..).step_by(if everything() { 1 } else { STEP }) {
        let sandbox = template.copy();
        let killed = boot_with(sandbox.root(), library, Fault::Kill, at);
        if killed.code.is_some() {
            assert_eq!(killed.code, Some(3), "at {at}: {}", killed.text());
            assert!(!has_half(&sandbox), "at {at}: not taken back");
            break;
        }
        tried += 1;
        fs::write(sandbox.root().join("current"), "").unwrap();
        let plain = boot(sandbox.root());
        assert_eq!(plain.code, Some(0), "at {at}: {}", plain.text());
        if has_half(&sandbox) {
            halves += 1;
            let mut copies = sandbox.names().into_iter().filter(|name| {
                name.starts_with("var/boot/backups/") && name.ends_with("-grace.db")
            });
            let is_kept = |name: String| fs::read(sandbox.root().join(name)).unwrap() == before;
            assert!(copies.any(is_kept), "at {at}: no copy");
        } else {
            let now = fs::read(sandbox.database()).unwrap();
            assert!(now == before, "at {at}: not as it was");
        }
    }
    assert!(halves > 0 && halves < tried, "{halves} of {tried}");
    println!(
        "| a tool that fails | Kill | {tried} points | {halves} as it left it, {} as before | 0 rows lost |",
        tried - halves
    );
}
