//! A signal on the way from the gate to the application, at instants that no sleep can meet.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::boots::{Boot, run, with_library};
use crate::sandbox::Sandbox;
use crate::shim;

const SIGTERM: i32 = 15;

/// As a shell says it of a program that ended by itself when it was asked to.
const STOPPED: i32 = 143;

/// More than a launch looks at `.env`.
const LOOKS_MAX: usize = 32;

/// A launch that gets SIGTERM there, and that is not helped by the thread that acts on signals.
fn launch(sandbox: &Sandbox, library: &Path, term: &str) -> Boot {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command.args(["launch", "--root"]).arg(sandbox.root());
    command.args(["--", "touch", "started"]);
    command.stdin(Stdio::null());
    run(with_library(&mut command, sandbox.root(), library).env("FAULTS_TERM", term))
}

fn has_started(sandbox: &Sandbox) -> bool {
    sandbox.root().join("started").exists()
}

#[test]
fn a_signal_as_the_application_takes_the_place_of_the_gate_ends_it() {
    let library = shim::library();
    let sandbox = Sandbox::new();
    let launched = launch(&sandbox, library, "exec");
    let said = launched.text();
    assert!(said.contains("SIGTERM comes"), "{said}");
    assert!(!has_started(&sandbox), "the signal was lost: {said}");
    // Nobody acts on it but the system.
    let signal = launched.output.status.signal();
    assert_eq!(signal, Some(SIGTERM), "{said}");
}

/// From the first look at `.env` to the last one, which comes after the boot has ended and just before the
/// signals are handed over.
#[test]
fn a_signal_before_the_hand_over_keeps_the_application_from_its_start() {
    let library = shim::library();
    let sandbox = Sandbox::new();
    assert_eq!(crate::boots::boot(sandbox.root()).code, Some(0));
    let mut before = String::new();
    for look in 1..=LOOKS_MAX {
        let launched = launch(&sandbox, library, &look.to_string());
        let said = launched.text();
        let Some((told, _)) = said.split_once("SIGTERM comes") else {
            assert_eq!(launched.code, Some(0), "{said}");
            assert!(has_started(&sandbox), "{said}");
            assert!(
                before.contains("Exit code: 0"),
                "the boot had not ended: {before}"
            );
            return;
        };
        assert!(
            !has_started(&sandbox),
            "look {look}: the signal was lost: {said}"
        );
        let ended = (launched.code, launched.output.status.signal());
        let is_stopped = matches!(ended, (Some(STOPPED), None) | (None, Some(SIGTERM)));
        assert!(is_stopped, "look {look}: {ended:?}: {said}");
        before = told.to_owned();
    }
    panic!("a launch looks at .env more than {LOOKS_MAX} times");
}
