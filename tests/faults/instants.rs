//! A fault at every n-th change of the file system that a boot makes, then a plain boot.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::boots::{Boot, boot, boot_with, count_changes};
use crate::sandbox::{Journal, Sandbox, Start};
use crate::shim::{self, EIO, ENOSPC, Fault};

/// How long a plain boot may take after a dead one: it must not wait for what nobody holds.
pub(crate) const PLAIN_BOOT_MAX: Duration = Duration::from_secs(5);

/// How long a boot may take whose disk fails for good: SQLite itself tries for ten seconds to make the
/// index of a write-ahead log.
const FAULTY_BOOT_MAX: Duration = Duration::from_secs(45);

/// Points of each start and kind of fault where `FAULTS=all` is not asked for.
const SAMPLE: usize = 24;

/// Boots at a time.
const WORKERS: usize = 2;

pub(crate) fn everything() -> bool {
    std::env::var_os("FAULTS").is_some_and(|value| value == "all")
}

/// The instants of a boot of this application at which a fault is tried.
pub(crate) fn points(template: &Sandbox, library: &Path) -> Vec<usize> {
    sample(count_changes(template.copy().root(), library), SAMPLE)
}

fn sample(changes: usize, size: usize) -> Vec<usize> {
    let step = if everything() {
        1
    } else {
        (changes / size).max(1)
    };
    // From the first: that one is before anything was changed.
    (1..=changes).step_by(step).collect()
}

/// Tries the fault at each point and gives what went wrong. `tamper` is called between the fault and
/// the plain boot.
pub(crate) fn sweep(start: Start, fault: Fault, tamper: impl Fn(&Sandbox) + Sync) -> Vec<String> {
    sweep_of(&Sandbox::prepared(start), start, fault, tamper)
}

fn sweep_of(
    template: &Sandbox,
    start: Start,
    fault: Fault,
    tamper: impl Fn(&Sandbox) + Sync,
) -> Vec<String> {
    let what = format!("{start:?}");
    try_points(
        &what,
        fault,
        &template.copy(),
        SAMPLE,
        |library, fault, at| try_point(template, start, fault, at, library, &tamper),
    )
}

/// Tries the fault at each instant of a boot of this application, or at about as many as `size` where not
/// everything is asked for. The application is booted once without it.
pub(crate) fn try_points(
    what: &str,
    fault: Fault,
    application: &Sandbox,
    size: usize,
    try_one: impl Fn(&Path, Fault, usize) -> Result<(), String> + Sync,
) -> Vec<String> {
    let library = shim::library();
    let changes = count_changes(application.root(), library);
    let points = sample(changes, size);
    try_these(what, fault, changes, &points, |fault, at| {
        try_one(library, fault, at)
    })
}

/// The same at these instants.
pub(crate) fn try_these(
    what: &str,
    fault: Fault,
    changes: usize,
    points: &[usize],
    try_one: impl Fn(Fault, usize) -> Result<(), String> + Sync,
) -> Vec<String> {
    let began = Instant::now();
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(at) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = try_one(fault, *at) {
                        let mut wrong = wrong.lock().unwrap_or_else(PoisonError::into_inner);
                        wrong.push(format!("{what}, {fault:?} at {at} of {changes}: {error}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!(
        "| {what} | {fault:?} | {changes} changes | {} points | {} wrong | {:.0?} |",
        points.len(),
        wrong.len(),
        began.elapsed()
    );
    wrong
}

fn try_point(
    template: &Sandbox,
    start: Start,
    fault: Fault,
    at: usize,
    library: &Path,
    tamper: impl Fn(&Sandbox),
) -> Result<(), String> {
    let sandbox = template.copy();
    verify_faulty(&boot_with(sandbox.root(), library, fault, at), fault)?;
    tamper(&sandbox);
    let plain = boot(sandbox.root());
    if plain.code != Some(0) {
        return Err(format!(
            "the plain boot ended with {:?}:\n{}",
            plain.code,
            plain.complaints()
        ));
    }
    if plain.took > PLAIN_BOOT_MAX {
        return Err(format!("the plain boot took {:?}", plain.took));
    }
    sandbox.verify(start)
}

/// A boot that met a fault is dead or ends in one of the documented ways, in time.
pub(crate) fn verify_faulty(faulty: &Boot, fault: Fault) -> Result<(), String> {
    match faulty.code {
        None if fault.is_error() => return Err("a signal ended the boot".to_owned()),
        Some(70 | 101) => return Err(format!("the gate broke:\n{}", faulty.text())),
        _ => {}
    }
    if faulty.took > FAULTY_BOOT_MAX {
        return Err(format!("the boot took {:?}", faulty.took));
    }
    Ok(())
}

fn all_is_well(start: Start, faults: &[Fault]) {
    for fault in faults {
        let wrong = sweep(start, *fault, |_| {});
        assert!(
            wrong.is_empty(),
            "{} wrong:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }
}

macro_rules! instants {
    ($($name:ident: $start:expr, $faults:expr;)+) => {
        $(#[test] fn $name() { all_is_well($start, &$faults); })+
    };
}

const KILLS: [Fault; 2] = [Fault::Kill, Fault::Torn];
const FULL: [Fault; 2] = [Fault::Once(ENOSPC), Fault::Persistent(ENOSPC)];
const BROKEN: [Fault; 2] = [Fault::Once(EIO), Fault::Persistent(EIO)];

instants! {
    killed_on_an_empty_root: Start::Empty, KILLS;
    killed_on_a_legacy_database: Start::Legacy(Journal::Delete), KILLS;
    killed_on_a_legacy_database_with_a_hot_log: Start::Legacy(Journal::HotWal), KILLS;
    killed_on_pending_migrations: Start::Pending(Journal::Delete), KILLS;
    killed_on_pending_migrations_with_a_hot_log: Start::Pending(Journal::HotWal), KILLS;
    disk_full_on_an_empty_root: Start::Empty, FULL;
    disk_full_on_a_legacy_database: Start::Legacy(Journal::Delete), FULL;
    disk_full_on_a_legacy_database_with_a_hot_log: Start::Legacy(Journal::HotWal), FULL;
    disk_full_on_pending_migrations: Start::Pending(Journal::Delete), FULL;
    disk_full_on_pending_migrations_with_a_hot_log: Start::Pending(Journal::HotWal), FULL;
    disk_broken_on_an_empty_root: Start::Empty, BROKEN;
    disk_broken_on_a_legacy_database: Start::Legacy(Journal::Delete), BROKEN;
    disk_broken_on_a_legacy_database_with_a_hot_log: Start::Legacy(Journal::HotWal), BROKEN;
    disk_broken_on_pending_migrations: Start::Pending(Journal::Delete), BROKEN;
    disk_broken_on_pending_migrations_with_a_hot_log: Start::Pending(Journal::HotWal), BROKEN;
}

/// The copies of as many runs as are kept, so that the oldest make room.
#[test]
fn killed_while_old_copies_make_room() {
    let start = Start::Legacy(Journal::Delete);
    let template = Sandbox::prepared(start);
    let run = |number: usize| {
        let name = format!("var/boot/backups/20260101_00000{number}");
        template.root().join(name)
    };
    for number in 0..8 {
        std::fs::create_dir_all(run(number)).unwrap();
        std::fs::write(run(number).join("0-grace.db"), "an old copy").unwrap();
    }
    for fault in [Fault::Kill, Fault::Once(EIO)] {
        let wrong = sweep_of(&template, start, fault, |_| {});
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
