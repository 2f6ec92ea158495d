use std::path::{Path, PathBuf};

use super::Sink;
use crate::host::Host;
use crate::host::files::{Durability, read_limited, write_atomic, write_atomic_where_tidy};
use crate::host::leftovers::remove_leftovers;
use crate::model::{BootReport, Ending, Event, Mode, Start, Verdict};
use crate::training as records;

/// Old records are pruned by about one boot in ten, since it takes a look at all of them.
const PRUNED_AT: char = '0';

/// Writes what a boot leaves behind, when it ends.
pub(super) struct Artefacts {
    root: PathBuf,
    reservation: Option<records::Reservation>,
    failure: Option<String>,
    leaves_report: bool,
    is_tidy: bool,
}

const REPORT: &str = "last_boot_report.txt";
const METRICS: &str = "startup_metrics.prom";

impl Artefacts {
    /// Takes a name for the record that no other boot has, and gives it to the run.
    pub(super) fn reserve(host: &Host, root: &Path, start: &mut Start) -> Artefacts {
        let folder = root.join(records::FOLDER);
        let mut failure = None;
        let reservation = match records::reserve(&folder, &host.clock.compact()) {
            Ok(reservation) => {
                start.run_id = reservation.run_id().to_owned();
                Some(reservation)
            }
            Err(error) => {
                failure = Some(format!("{}: {error}", folder.display()));
                None
            }
        };
        Artefacts {
            root: root.to_owned(),
            reservation,
            failure,
            leaves_report: true,
            is_tidy: false,
        }
    }

    /// Whether it is known that no earlier run left temporary files.
    pub(super) fn where_tidy(self, is_tidy: bool) -> Artefacts {
        Artefacts { is_tidy, ..self }
    }

    /// Leaves the last boot's report alone: what follows is no boot.
    pub(super) fn record_only(self) -> Artefacts {
        Artefacts {
            leaves_report: false,
            ..self
        }
    }

    /// Report and record wait for the disk at the same time. What is written is put in words before that, since a
    /// thread that is started for it would have to get memory of its own first.
    fn write(&mut self, report: &BootReport) -> std::io::Result<()> {
        let record = self.reservation.take();
        let logs = self.root.join("logs");
        let has_report = self.leaves_report && writes_report(report);
        let text = has_report.then(|| crate::report::text(report));
        if has_report && !self.is_tidy {
            remove_leftovers(&logs.join(REPORT));
            remove_leftovers(&logs.join(METRICS));
        }
        std::thread::scope(|scope| {
            let text = text.map(|text| scope.spawn(|| write_text(&logs, text)));
            let recorded = record.map_or(Ok(()), |record| {
                record.write(&crate::report::json(report), Durability::Synced)
            });
            let measured = match has_report {
                true => {
                    // It is the same in every boot, and proves nothing about this one.
                    let _ = write_catalogue(&self.root, report);
                    write_metrics(&logs, report)
                }
                false => Ok(()),
            };
            let told = text.map_or(Ok(()), |thread| {
                let panicked = |_| Err(std::io::Error::other("writing the report panicked"));
                thread.join().unwrap_or_else(panicked)
            });
            recorded.and(told).and(measured)
        })?;
        if report.start.run_id.ends_with(PRUNED_AT) {
            records::prune(&self.root.join(records::FOLDER))?;
        }
        Ok(())
    }
}

fn write_text(logs: &Path, text: String) -> std::io::Result<()> {
    std::fs::create_dir_all(logs)?;
    replace(&logs.join(REPORT), &text, Durability::Synced)
}

fn write_metrics(logs: &Path, report: &BootReport) -> std::io::Result<()> {
    std::fs::create_dir_all(logs)?;
    let metrics = crate::report::prometheus(report, &jiff::tz::TimeZone::system());
    replace(&logs.join(METRICS), &metrics, Durability::Unsynced)
}

/// The catalogue of known incidents (SPEC.md, "Startup Failure Patterns"), where it is not there as
/// this version of the gate has it. A boot that only looks, or never began, leaves it alone.
fn write_catalogue(root: &Path, report: &BootReport) -> std::io::Result<()> {
    let never_began = matches!(report.ending, Some(Ending::Refused { .. }));
    if report.start.mode == Mode::Observe || never_began {
        return Ok(());
    }
    let path = root.join(records::FOLDER).join("_metadata.json");
    let text = crate::patterns::METADATA_JSON;
    let there = read_limited(&path, text.len() as u64);
    if there.is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    write_atomic(&path, text.as_bytes(), Durability::Unsynced, None)
}

/// Writes one of the gate's own artefacts. Where that fails, as on a full disk, the one of an earlier
/// boot is taken away: it would go on saying what is no longer so.
fn replace(path: &Path, text: &str, durability: Durability) -> std::io::Result<()> {
    write_atomic_where_tidy(path, text.as_bytes(), durability, None).inspect_err(|_| {
        // Where not even this can be done, the exit code and the message are all there is to say.
        let _ = std::fs::remove_file(path);
    })
}

/// A part of the checks that went well is no verdict on the application and replaces none; a boot
/// that waited in vain for another leaves the report to that one.
fn writes_report(report: &BootReport) -> bool {
    match report.verdict() {
        Verdict::LockHeld => false,
        Verdict::MayStart => !report.start.is_partial(),
        _ => true,
    }
}

impl Sink for Artefacts {
    fn event(&mut self, event: &Event, report: &BootReport) {
        if !matches!(event, Event::BootFinished { .. }) {
            return;
        }
        if let Err(error) = self.write(report) {
            let failure = || format!("{}: {error}", self.root.display());
            self.failure.get_or_insert_with(failure);
        }
    }

    fn is_evidence(&self) -> bool {
        true
    }

    fn failure(&self) -> Option<String> {
        self.failure.clone()
    }
}
