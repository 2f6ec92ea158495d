//! Whether what became of an application may have become of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use boot_checks::model::{Change, Lost, Method, Repair, SalvageReport};

use crate::files::{DATABASE, Files, has_copy};
use crate::gate::Gate;
use crate::rows::{Missing, Rows};

/// An application, and what a person may count on.
pub(crate) struct Before {
    files: Files,
    /// As SQLite leaves them that opens the database and closes it again: a log that a crash left is in the main
    /// file then, and half a transaction is not.
    folded: Files,
    rows: Rows,
}

/// How the rows came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rests {
    AllThere,
    /// Nothing was touched that may hold what is left of them.
    Untouched,
    /// It was told how many are gone, and what held them is kept.
    Told,
}

impl Before {
    pub(crate) fn of(template: &Gate, rows: Rows) -> Before {
        let opened = template.copy();
        opened.open_and_close();
        Before {
            files: template.files(),
            folded: opened.files(),
            rows,
        }
    }

    /// `done` are the repairs that were carried out.
    pub(crate) fn judge(&self, gate: &Gate, done: &[&Repair]) -> Result<Rests, String> {
        let now = gate.files();
        let named = touched_by(gate.root(), done);
        let strange: BTreeSet<PathBuf> = &self.files.changed(&now) - &named;
        let missing = self.rows.missing(&gate.copy().database());
        let is_all_there = missing.as_ref().is_ok_and(Missing::is_empty);
        // What SQLite itself does counts as nothing where it costs no row.
        let is_folded = is_all_there && (&self.folded.changed(&now) - &named).is_empty();
        if !strange.is_empty() && !is_folded {
            return Err(format!("changed {strange:?}; rows: {missing:?}"));
        }
        if is_all_there {
            return Ok(Rests::AllThere);
        }
        let held_nothing = self.files.of_database().all(|bytes| bytes.is_empty());
        if held_nothing || self.is_database_as_before(&now) {
            return Ok(Rests::Untouched);
        }
        for bytes in self.files.of_database() {
            if !has_copy(&gate.root().join("var/boot"), bytes) {
                return Err(format!("what was there is not kept; rows: {missing:?}"));
            }
        }
        let salvaged = done.iter().find_map(|repair| salvage_of(repair));
        match (salvaged, &missing) {
            (Some((repair, report)), Ok(missing)) => {
                is_told(&repair.summary, report, missing)?;
                Ok(Rests::Told)
            }
            _ => Err(format!("rows: {missing:?}")),
        }
    }

    fn is_database_as_before(&self, now: &Files) -> bool {
        let changed = self.files.changed(now);
        DATABASE
            .iter()
            .all(|name| !changed.contains(Path::new(name)))
    }
}

fn salvage_of(repair: &Repair) -> Option<(&Repair, &SalvageReport)> {
    repair.changes.iter().find_map(|change| match change {
        Change::RebuildDatabase { report, .. } => {
            (report.method == Method::Salvage).then_some((repair, report))
        }
        _ => None,
    })
}

/// What is said of tables whose names are lost with their rows.
const UNNAMED: &str = "there may have been tables that nobody names";

/// No more rows are gone than was said, table by table, and it stands in what a person reads.
fn is_told(summary: &str, report: &SalvageReport, missing: &Missing) -> Result<(), String> {
    let has_unnamed = report.notes.iter().any(|note| note.contains(UNNAMED));
    let missing = || {
        missing
            .iter()
            .filter(|(table, _)| !is_made_anew(report, table))
    };
    if missing().next().is_none() {
        return Ok(());
    }
    for (table, gone) in missing() {
        let told = report.tables.iter().find(|told| told.table == *table);
        let is_covered = match told.map(|told| told.lost) {
            Some(Lost::Exactly(rows) | Lost::AtMost(rows)) => rows >= *gone,
            Some(Lost::NotKnown) => true,
            // A virtual table has its rows in tables of its own, and one of the two is told.
            None => {
                has_unnamed
                    || has_lost_below(report, &format!("{table}_"))
                    || is_of_an_unknown(report, table)
            }
        };
        if !is_covered {
            return Err(format!("{table:?} lost {gone} rows: {report:?}"));
        }
    }
    let lost = report.lost();
    let is_said = !lost.is_nothing() || has_unnamed;
    if !is_said || !summary.contains(&lost.to_string()) {
        return Err(format!("lost rows are not named: {summary}"));
    }
    Ok(())
}

/// Whether it holds no row of anybody's, but an index that was built from the rows.
fn is_made_anew(report: &SalvageReport, table: &str) -> bool {
    let mut indexed = ["_data", "_idx", "_docsize"]
        .iter()
        .filter_map(|end| table.strip_suffix(end));
    indexed.any(|index| {
        let words = format!("the full-text index {index} ");
        report.notes.iter().any(|note| note.starts_with(&words))
    })
}

/// Whether it is one of the tables in which a virtual one has its rows, of which nobody knows how many are gone.
fn is_of_an_unknown(report: &SalvageReport, table: &str) -> bool {
    let mut unknown = report
        .tables
        .iter()
        .filter(|told| told.lost == Lost::NotKnown);
    unknown.any(|told| table.starts_with(&format!("{}_", told.table)))
}

fn has_lost_below(report: &SalvageReport, prefix: &str) -> bool {
    let mut below = report
        .tables
        .iter()
        .filter(|told| told.table.starts_with(prefix));
    below.any(|told| !told.lost.is_nothing())
}

/// What these repairs say that they touch, below the root.
fn touched_by(root: &Path, done: &[&Repair]) -> BTreeSet<PathBuf> {
    let mut names = BTreeSet::new();
    for change in done.iter().flat_map(|repair| &repair.changes) {
        match change {
            Change::CreateFolder { path }
            | Change::CreateFile { path, .. }
            | Change::AppendToFile { path, .. }
            | Change::EditFile { path, .. }
            | Change::ReplaceOwnFile { path, .. } => {
                names.insert(path.strip_prefix(root).unwrap().to_owned());
            }
            Change::CreateDatabase { .. }
            | Change::ApplyMigrations { .. }
            | Change::AdoptSchema { .. }
            | Change::RestampMigrations { .. }
            | Change::RebuildDatabase { .. }
            | Change::RestoreCopy { .. }
            | Change::WriteRows { .. }
            | Change::RunMigrator { .. } => names.extend(DATABASE.map(PathBuf::from)),
        }
    }
    names
}
