//! The gate as `cargo test --test boot` runs it: a healthy application in a temporary root, each step
//! a trial. `cargo xtask boot` boots the application that it is pointed at; this never does.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use boot_checks::config::{self, BootConfig, Inputs};
use boot_checks::context::Context;
use boot_checks::engine::{self, BootOptions, Door, Recorder, Redactor, Session};
use boot_checks::harness::Suite;
use boot_checks::host::{Clock, Host};
use boot_checks::model::{Mode, Start, Verdict};
use boot_checks::services::db::create_complete;
use boot_checks::services::migrations::MigrationSet;
use boot_checks::{plan, playbooks};

fn main() -> ExitCode {
    let suite = Suite::from_args();
    if !suite.needs_session() {
        suite.run_without_session();
        if suite.selects_nothing() {
            say("boot: the filter names no step, so nothing was checked");
        }
        return ExitCode::SUCCESS;
    }
    let root = tempfile::tempdir().expect("a temporary folder");
    lay_out(root.path());
    prepare(root.path());
    let code = run(&suite, root.path());
    ExitCode::from(code)
}

/// `fixtures/healthy`, and the database as the shipping code makes it.
fn lay_out(root: &Path) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/healthy");
    for (file, name) in [("boot.toml", "boot.toml"), ("dot-env", ".env")] {
        std::fs::copy(fixture.join(file), root.join(name)).expect("a file of the fixture");
    }
    for folder in ["logs", "var", "grace_training"] {
        std::fs::create_dir(root.join(folder)).expect("a folder of the fixture");
    }
    create_complete(
        &root.join("var/grace.db"),
        &MigrationSet::built_in(),
        |_| (),
    )
    .expect("a database");
}

/// A first boot enters the playbooks and the schedules, as it does for every application.
fn prepare(root: &Path) {
    let first = engine::boot(
        load(root),
        host(root),
        &BootOptions::default(),
        Vec::new(),
        &say,
        |_| std::process::exit(Verdict::Blocked.exit_code().into()),
    );
    let report = boot_checks::report::text(&first);
    assert_eq!(first.verdict(), Verdict::MayStart, "{report}");
}

/// Where not even this can be written, the exit code speaks.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn run(suite: &Suite, root: &Path) -> u8 {
    let (config, host) = (load(root), host(root));
    let start = Start {
        run_id: host.clock.compact(),
        timestamp: host.clock.timestamp(),
        application: config.application.clone(),
        root: root.display().to_string(),
        mode: Mode::Heal,
        strict: false,
        plan: plan::planned(|id| suite.selection().reason_to_skip(id)),
        again: String::new(),
    };
    let door = Door::new(root, &start.run_id);
    let recorder = Arc::new(Recorder::begin(start, Redactor::new([]), Vec::new()));
    let patience = BootOptions::default().lock_timeout;
    let cx = Context::new(
        config,
        host,
        Mode::Heal,
        playbooks::registered(),
        patience,
        |_| {},
    );
    let session = Session::new(
        Arc::new(cx),
        door,
        Arc::clone(&recorder),
        suite.selection(),
        false,
    );
    suite.run(&Arc::new(session), &recorder)
}

fn load(root: &Path) -> BootConfig {
    let host = host(root);
    let inputs = Inputs {
        root: Some(root.to_owned()),
        config: None,
        database_url: None,
        variables: host.variables,
        current_dir: host.current_dir,
    };
    config::load(&inputs).expect("the fixture's configuration")
}

/// This machine with an environment of its own, so that nothing of the developer's decides.
fn host(root: &Path) -> Host {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|taken| taken.local_addr());
    let port = free.expect("a free port").port();
    let variables = BTreeMap::from([
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("BOOT_PORT".to_owned(), port.to_string()),
    ]);
    Host::new(Clock::System, variables, root.to_owned())
}
