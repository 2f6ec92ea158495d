//! What can be saved of a damaged database. Works on copies alone.
//!
//! The pages of a copy are read as the file format describes them. Of each table, the leaves that can
//! be reached and whose cells hold are kept; a leaf that nothing leads to any more is given back to the
//! one table whose gap it fits. A table that lost something gets a new tree over what holds, and SQLite
//! itself then reads its rows into a new file.

mod adopt;
mod cells;
mod counters;
mod doubts;
mod entry;
mod entry_key;
mod free_list;
mod graft;
mod image;
mod index_tree;
mod losses;
mod merge;
mod node;
mod own_key;
mod pages;
mod prune;
mod rebuild;
mod same_entries;
mod schema;
mod settings;
mod sound;
mod space;
mod survey;
mod tree;
mod virtual_tables;
mod witness;

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::side_file;
use super::{DbError, FileSet, owed_sums_of};
use crate::host;
use crate::model::{Lost, Method, SalvageReport, TableSalvage};
pub use merge::{KeptCopies, KeptCopy};
use survey::{Survey, TableState};

/// Why nothing was salvaged.
#[derive(Debug, thiserror::Error)]
pub enum SalvageError {
    /// There is nothing that could be saved, for this reason.
    #[error("nothing can be saved: {0}")]
    Nothing(String),
    /// There is no room for the copies.
    #[error("no room: {needed} bytes are needed for copies and {free} are free")]
    NoRoom {
        /// Bytes.
        needed: u64,
        /// Bytes.
        free: u64,
    },
    /// The files were written while they were copied.
    #[error("somebody writes to it")]
    InUse,
    /// What was built does not hold, for this reason.
    #[error("what could be saved makes no sound database: {0}")]
    NotSound(String),
    /// Which copies earlier runs kept is not known.
    #[error("what earlier runs kept of it is not known: {0}")]
    Copies(io::Error),
    /// A file could not be read or written.
    #[error("copying: {0}")]
    Io(#[from] io::Error),
    /// SQLite said no.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// A new database and what is in it.
#[derive(Debug)]
pub struct Salvaged {
    /// The new file, within the folder that was given.
    pub file: PathBuf,
    /// What came of each table.
    pub report: SalvageReport,
}

/// What would come of a damaged database.
#[derive(Debug)]
pub struct Rehearsal {
    /// Names exactly the files that were looked at.
    pub present: String,
    /// What came of the copy.
    pub report: SalvageReport,
}

/// The copy, the image, what is built from it, a backup: each as large as the database.
const COPIES: u64 = 4;

/// What is left for everybody else.
const ROOM_LEFT_BYTES: u64 = 16 << 20;

/// Tries the whole of it in a temporary folder. Changes nothing.
///
/// # Errors
///
/// Why nothing would come of it.
pub fn rehearse(database: &Path, kept: &KeptCopies<'_>) -> Result<Rehearsal, SalvageError> {
    let folder = host::PrivateFolder::new()?;
    refuse_without_room(database, folder.path())?;
    let name = database.file_name().unwrap_or_default();
    let copy = folder.path().join("set").join(name);
    std::fs::create_dir(folder.path().join("set"))?;
    let before = stamps(database);
    for suffix in ["", "-wal", "-journal", "-shm"] {
        let from = side_file(database, suffix);
        if from.exists() {
            let to = side_file(&copy, suffix);
            std::fs::copy(&from, &to)?;
            // When a log was written says whether the power may have been cut since.
            let to = std::fs::File::options().write(true).open(to)?;
            to.set_modified(from.metadata()?.modified()?)?;
        }
    }
    if stamps(database) != before {
        return Err(SalvageError::InUse);
    }
    let present = digest_of_set(&copy)?;
    let report = salvage(&copy, kept, folder.path())?.report;
    Ok(Rehearsal { present, report })
}

/// Builds a new database from a copy of a damaged one, in `folder`. The same copy and the same backups
/// give the same rows.
///
/// # Errors
///
/// Why nothing came of it.
pub fn salvage(set: &Path, kept: &KeptCopies<'_>, folder: &Path) -> Result<Salvaged, SalvageError> {
    let image = image::assemble(set, folder)?;
    let survey = Survey::of(&image)?;
    let file = folder.join("new.db");
    let is_whole = survey.is_whole() && !image.from_log_alone;
    let method = match is_whole {
        true if image.owed.is_some() && rebuild::take(&image, &file)? => Some(Method::Log),
        true if rebuild::reindex(&image, &file)? => Some(Method::Reindex),
        _ => None,
    };
    if let Some(method) = method {
        let mut report = whole_report(method, &survey);
        add_notes_of_log(&mut report, &image);
        doubt_by_entries(&survey, &file, &mut report)?;
        return Ok(Salvaged { file, report });
    }
    let mut notes = Vec::new();
    let backup = match is_whole {
        true => None,
        false => merge::newest(kept, folder, &mut notes)?,
    };
    graft_damaged(&image.path, &survey)?;
    let built = rebuild::build(&image, &survey, backup.as_ref(), &file)?;
    let mut report = SalvageReport {
        method: if is_whole {
            Method::Rebuild
        } else {
            Method::Salvage
        },
        tables: built.tables,
        backup: backup.as_ref().map(|it| it.run.clone()),
        backup_digest: backup.map(|it| it.digest),
        unassigned: survey.unassigned,
        dangling: built.dangling,
        counters: built.counters,
        notes,
    };
    report.notes.extend(built.notes);
    add_notes(&mut report, &image, &survey);
    add_notes_of_log(&mut report, &image);
    // A method that promises to lose nothing has to keep the promise.
    if is_whole && !report.lost().is_nothing() {
        report.method = Method::Salvage;
    }
    if is_whole {
        doubt_by_entries(&survey, &file, &mut report)?;
    }
    virtual_tables::settle(&file, &mut report)?;
    refuse_an_empty_database(&report)?;
    Ok(Salvaged { file, report })
}

/// A promise to lose nothing is taken back where a whole index says other things than the rows.
fn doubt_by_entries(
    survey: &Survey,
    file: &Path,
    report: &mut SalvageReport,
) -> Result<(), SalvageError> {
    let differ = same_entries::that_differ(survey, file)?;
    if differ.is_empty() {
        return Ok(());
    }
    report.method = Method::Salvage;
    for (index, table) in &differ {
        report.notes.push(format!(
            "{table}: index {index} does not know its rows as they are, and nothing says which of both is older"
        ));
    }
    let is_counted = |name: &str| {
        let table = survey.tables.iter().find(|it| it.name == name);
        let witness = table.and_then(|it| it.witness.as_ref());
        let is_doubted = differ.iter().any(|(_, table)| table == name);
        !is_doubted && witness.is_some_and(|it| it.columns.is_some())
    };
    // One write was lost or went elsewhere; of no other it is certain that it was not.
    for table in &mut report.tables {
        table.is_hurt |= differ.iter().any(|(_, name)| *name == table.table);
        if !is_counted(&table.table) {
            table.lost = Lost::NotKnown;
        }
    }
    Ok(())
}

fn graft_damaged(image: &Path, survey: &Survey) -> Result<(), SalvageError> {
    let mut pages = pages::Pages::open(image)?;
    let roots: Vec<u32> = survey.tables.iter().map(|table| table.root).collect();
    let grafted = |table: &&TableState| table.has_rowid && !table.is_reached();
    let mut all_leaves = Vec::new();
    for table in survey.tables.iter().filter(grafted) {
        let mut leaves = table.tree.leaves.clone();
        // Another table will be written there.
        for leaf in &mut leaves {
            if leaf.page != table.root && roots.contains(&leaf.page) {
                let page = pages.read(leaf.page)?;
                leaf.page = pages.append(&page)?;
            }
        }
        all_leaves.push((table.root, leaves));
    }
    for (root, leaves) in &all_leaves {
        graft::graft(&mut pages, *root, leaves)?;
    }
    for table in &survey.tables {
        for page in table.rows.iter().flat_map(|rows| &rows.damaged) {
            prune::prune(&mut pages, *page, table.entry())?;
        }
    }
    let count = pages.count().to_be_bytes();
    pages.set_header(28, &count)?;
    // The list of free pages is of no use to a reader.
    pages.set_header(32, &[0; 8])?;
    Ok(())
}

fn add_notes(report: &mut SalvageReport, image: &image::Image, survey: &Survey) {
    if image.from_log_alone {
        let words = "the main file is gone: everything comes from the write-ahead log beside it";
        report.notes.push(words.to_owned());
    }
    let pages = image.missing.count();
    if pages > 0 {
        report
            .notes
            .push(format!("{pages} pages are not in the files at all"));
    }
    if survey.schema_is_damaged {
        let words =
            "a page that names tables is damaged: there may have been tables that nobody names";
        report.notes.push(words.to_owned());
    }
    if survey.unassigned > 0 {
        let rows = survey.unassigned;
        report.notes.push(format!(
            "{rows} rows lie on pages whose table is not certain; they stay in the quarantine"
        ));
    }
    report.notes.extend(survey.doubts.iter().cloned());
    if report.dangling > 0 {
        let rows = report.dangling;
        report
            .notes
            .push(format!("{rows} rows refer to rows that are not there"));
    }
}

fn whole_report(method: Method, survey: &Survey) -> SalvageReport {
    let tables = survey
        .tables
        .iter()
        .filter(|table| !table.name.starts_with("sqlite_"));
    SalvageReport {
        method,
        tables: tables
            .map(|table| TableSalvage {
                table: table.name.clone(),
                saved: table
                    .rows
                    .as_ref()
                    .map_or_else(|| table.tree.rows(), |rows| rows.count),
                lost: Lost::Exactly(0),
                merged: 0,
                is_hurt: false,
            })
            .collect(),
        backup: None,
        backup_digest: None,
        unassigned: 0,
        dangling: 0,
        counters: Vec::new(),
        notes: Vec::new(),
    }
}

/// What a log that SQLite would take a part of leaves open.
fn add_notes_of_log(report: &mut SalvageReport, image: &image::Image) {
    if let Some(owed) = &image.owed {
        report.notes.push(
            "by the log's index, which is older than the log where a program in exclusive locking mode has written \
             since"
                .to_owned(),
        );
        let left_out = owed.left_out();
        if left_out > 0 {
            report.notes.push(format!(
                "{left_out} transactions behind it do not hold and are left out: nobody was told that they are \
                 committed, but where the index was copied before the log"
            ));
        }
    }
    if let Some(broken) = image.broken.filter(|it| !it.may_be_cut) {
        report.method = Method::Salvage;
        for table in &mut report.tables {
            table.lost = Lost::NotKnown;
        }
        let pages = broken.behind;
        report.notes.push(format!(
            "{pages} pages of the log lie behind one that does not hold: what they hold is in no count"
        ));
    }
}

/// Never an empty start where pages say that there were rows.
fn refuse_an_empty_database(report: &SalvageReport) -> Result<(), SalvageError> {
    let gone = report.lost();
    if report.saved() == 0 && (!gone.is_nothing() || report.unassigned > 0) {
        return Err(SalvageError::Nothing(format!(
            "not one row could be read: {gone}, and {} on pages whose table is not certain",
            report.unassigned
        )));
    }
    Ok(())
}

fn refuse_without_room(database: &Path, folder: &Path) -> Result<(), SalvageError> {
    let files = FileSet::look(database);
    let main = std::fs::metadata(database).map_or(0, |metadata| metadata.len());
    let set = main + files.wal_bytes.unwrap_or(0) + files.journal_bytes.unwrap_or(0);
    let needed = set * COPIES + ROOM_LEFT_BYTES;
    let free = host::free_bytes(folder)?;
    if free < needed {
        return Err(SalvageError::NoRoom { needed, free });
    }
    Ok(())
}

type Stamp = Option<(u64, Option<std::time::SystemTime>)>;

fn stamps(database: &Path) -> [Stamp; 3] {
    ["", "-wal", "-journal"].map(|suffix| {
        let metadata = std::fs::metadata(side_file(database, suffix)).ok()?;
        Some((metadata.len(), metadata.modified().ok()))
    })
}

/// Names exactly the contents of a database's files. The shared-memory index is a cache, but where the log counts by
/// it alone.
///
/// # Errors
///
/// When one cannot be read.
pub fn digest_of_set(database: &Path) -> io::Result<String> {
    let mut digest = Sha256::new();
    for suffix in ["", "-wal", "-journal"] {
        digest.update(suffix.as_bytes());
        match std::fs::File::open(side_file(database, suffix)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => digest.update([0]),
            file => {
                digest.update([1]);
                io::copy(&mut file?, &mut digest)?;
            }
        }
    }
    if let Some(owed) = owed_sums_of(database)? {
        digest.update(owed.bytes().to_be_bytes());
    }
    let bytes = digest.finalize();
    Ok(bytes
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect())
}
