//! A clock that goes backwards while a boot looks at it.

use crate::boots::{boot, command, run, with_library};
use crate::sandbox::{Journal, Sandbox, Start};
use crate::shim;

#[test]
fn a_clock_that_runs_backwards_harms_nothing() {
    let library = shim::library();
    for start in [
        Start::Empty,
        Start::Legacy(Journal::Delete),
        Start::Pending(Journal::HotWal),
    ] {
        let sandbox = Sandbox::prepared(start);
        for _ in 0..2 {
            let mut backwards = command(sandbox.root());
            let boot = run(with_library(&mut backwards, sandbox.root(), library)
                .env("FAULTS_CLOCK", "backwards"));
            assert_eq!(boot.code, Some(0), "{start:?}: {}", boot.text());
            sandbox.verify(start).unwrap();
        }
        let plain = boot(sandbox.root());
        assert_eq!(plain.code, Some(0), "{start:?}: {}", plain.text());
    }
}
