//! Many boots of one application at once: one works, the others wait, and each effect is there once.

use std::path::Path;
use std::time::Duration;

use crate::boots::{Boot, command, run};
use crate::instants::everything;
use crate::sandbox::{Journal, Sandbox, Start};

/// Boots at once.
const BOOTS: usize = 32;

/// What `--lock-timeout` is by default.
const BUDGET: Duration = Duration::from_secs(30);

fn all_at_once(start: Start) {
    let rounds = if everything() { 5 } else { 1 };
    let mut slowest = Duration::ZERO;
    for round in 0..rounds {
        let sandbox = Sandbox::prepared(start);
        for boot in &together(&[sandbox.root(); BOOTS]) {
            assert_eq!(boot.code, Some(0), "round {round}:\n{}", boot.text());
            assert!(boot.took < BUDGET, "{:?}", boot.took);
            slowest = slowest.max(boot.took);
        }
        sandbox.verify(start).unwrap();
        each_effect_once(&sandbox);
        let records = sandbox.names().into_iter().filter(|name| {
            name.starts_with("grace_training/startup_failures/boot_") && name.ends_with(".json")
        });
        assert_eq!(records.count(), BOOTS, "each boot leaves its record");
    }
    println!(
        "| {start:?} | {BOOTS} boots at once | {rounds} rounds | 0 wrong | slowest {slowest:.1?} |"
    );
}

/// A boot of each of these roots, begun at the same instant.
fn together(roots: &[&Path]) -> Vec<Boot> {
    let barrier = std::sync::Barrier::new(roots.len());
    let boot = |root: &Path| {
        let mut command = command(root);
        barrier.wait();
        run(&mut command)
    };
    std::thread::scope(|scope| {
        let boot = &boot;
        let begin = |root| scope.spawn(move || boot(root));
        let threads: Vec<_> = roots.iter().copied().map(begin).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

/// Applications that share one database, each with a gate, a lock and a journal of its own: one makes what is missing,
/// and the others see that it is there.
fn beside_others(start: Start) {
    let rounds = if everything() { 20 } else { 4 };
    for round in 0..rounds {
        let shared = Sandbox::prepared(start);
        let roots: [Sandbox; 6] = std::array::from_fn(|_| Sandbox::new());
        let url = format!("DATABASE_URL=sqlite:///{}\n", shared.database().display());
        for root in &roots {
            std::fs::write(root.root().join(".env"), &url).unwrap();
        }
        let twice = roots.iter().chain(&roots).map(Sandbox::root);
        for boot in &together(&twice.collect::<Vec<_>>()) {
            assert_eq!(boot.code, Some(0), "round {round}:\n{}", boot.text());
        }
        shared.verify_database(start).unwrap();
    }
    println!("| {start:?} | 12 boots at once from 6 roots | {rounds} rounds | 0 wrong |");
}

/// What the boots did is in the journal, and was kept, once: each plan by one of them.
fn each_effect_once(sandbox: &Sandbox) {
    let journal = std::fs::read_to_string(sandbox.root().join("var/boot/journal.jsonl")).unwrap();
    let lines = journal
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let applied = lines.filter(|line: &serde_json::Value| line["phase"] == "applied");
    let mut plans: Vec<String> = applied
        .map(|line| format!("{} {} {}", line["playbook"], line["step"], line["touched"]))
        .collect();
    let all = plans.len();
    plans.sort();
    plans.dedup();
    assert!(all > 0 && plans.len() == all, "applied twice: {journal}");
    let copies = sandbox.names().into_iter().filter(|name| {
        let run = name.strip_prefix("var/boot/backups/");
        run.is_some_and(|run| !run.contains('/'))
    });
    assert_eq!(
        copies.count(),
        1,
        "one boot healed, and kept what it replaced"
    );
}

#[test]
fn boots_of_six_roots_make_one_database() {
    beside_others(Start::Empty);
}

#[test]
fn boots_of_six_roots_adopt_one_database() {
    beside_others(Start::Legacy(Journal::Delete));
}

#[test]
fn boots_of_six_roots_migrate_one_database() {
    beside_others(Start::Pending(Journal::HotWal));
}

macro_rules! at_once {
    ($($name:ident: $start:expr;)+) => { $(#[test] fn $name() { all_at_once($start); })+ };
}

at_once! {
    many_boots_of_an_empty_root: Start::Empty;
    many_boots_of_a_legacy_database: Start::Legacy(Journal::Delete);
    many_boots_of_a_legacy_database_with_a_hot_log: Start::Legacy(Journal::HotWal);
    many_boots_of_pending_migrations: Start::Pending(Journal::Delete);
    many_boots_of_pending_migrations_with_a_hot_log: Start::Pending(Journal::HotWal);
}
