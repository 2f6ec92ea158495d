//! What it would mean to put a kept copy in the place of a database, tried on copies.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::kept::kept_by;
use super::touched::{DATABASE_FILES, KeptOpen, Kind};
use super::{Door, Kept, PutBackError, STATE_FOLDER, half_way, staged};
use crate::host::{self, links};
use crate::model::Change;
use crate::services::db::{
    Access, Connection, DbError, FileSet, Integrity, MainFile, copy_for_looking, count_rows,
    integrity_check, side_file,
};

/// Which copy is meant.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The run that kept it.
    pub run_id: String,
    /// Where the run kept several: the database that was copied, or the copy itself.
    pub path: Option<PathBuf>,
}

/// Rows of tables, by name.
pub(super) type Rows = BTreeMap<String, Option<u64>>;

/// Rows of one table, now and in the copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableRows {
    /// The table.
    pub table: String,
    /// What is there now.
    pub now: KeptRows,
    /// What is in the copy.
    pub copy: KeptRows,
}

/// How many rows there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptRows {
    /// There is no such table.
    NoTable,
    /// That many.
    Counted(u64),
    /// They cannot be read.
    Unreadable,
}

/// What would be done, and what came of it on copies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PutBackPlan {
    /// The run that kept the copy: it holds what was there when that run began.
    pub run_id: String,
    /// The copy's main file.
    #[serde(serialize_with = "lossy")]
    pub copy: PathBuf,
    /// The database whose place it takes.
    #[serde(serialize_with = "lossy")]
    pub database: PathBuf,
    /// Files that are there now and are set aside, as a person would name them.
    pub present: Vec<String>,
    /// Why the rows that are there now are not known; none where they are.
    pub unreadable: Option<String>,
    /// Tables whose number of rows differs, or that only one has.
    pub differs: Vec<TableRows>,
    /// Tables of the copy.
    pub tables: usize,
    /// Rows of the copy.
    pub rows: u64,
    /// Names exactly this copy and what is there now.
    pub fingerprint: String,
    #[serde(skip)]
    root: PathBuf,
    #[serde(skip)]
    pub(super) change: Change,
    #[serde(skip)]
    pub(super) expected: Rows,
}

impl PutBackPlan {
    /// The copy and the database whose place it takes, as a person would name them.
    pub fn names(&self) -> (String, String) {
        (
            short(&self.root, &self.copy),
            short(&self.root, &self.database),
        )
    }
}

fn short(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .display()
        .to_string()
}

/// A name that is no UTF-8 is shown with replacement characters: serde's own form would be an error.
fn lossy<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// What is left for everybody else where copies are made.
const ROOM_LEFT_BYTES: u64 = 16 << 20;

/// Finds the copy, compares it with the journal, opens a copy of it, looks at every page and every row
/// of that, and counts beside it what is there now, on a copy too. Writes nothing of the application's
/// and nothing of the gate's.
///
/// # Errors
///
/// Why the copy cannot be put back.
pub fn plan_put_back(root: &Path, wanted: &Wanted) -> Result<PutBackPlan, PutBackError> {
    let state_folder = root.join(STATE_FOLDER);
    half_way::ensure_none(&state_folder).map_err(PutBackError::HalfWay)?;
    let kept = find(root, wanted)?;
    let database = links::behind_links(&root.join(&kept.original), root);
    if !kept.is_whole {
        let reason = "its bytes are no longer what the journal knows of it".to_owned();
        let copy = kept.copy;
        return Err(PutBackError::Damaged { copy, reason });
    }
    let folder = database.parent().unwrap_or(root);
    if !folder.is_dir() {
        return Err(PutBackError::NoFolder(folder.to_owned()));
    }
    let io = |source| PutBackError::Present {
        path: database.clone(),
        source,
    };
    let present = Kind::DatabaseSet
        .state(&database, &mut KeptOpen::default())
        .map_err(io)?;
    let expected = rehearse(&kept.copy).map_err(|reason| PutBackError::Unsound {
        copy: kept.copy.clone(),
        database: database.clone(),
        reason,
    })?;
    let (now, unreadable) = match rows_now(&database) {
        Ok(rows) => (rows, None),
        Err(reason) => (Rows::new(), Some(reason)),
    };
    let change = Change::RestoreCopy {
        path: database.clone(),
        copy: kept.copy.clone(),
        kept: kept.before.clone(),
        present,
    };
    let files = FileSet::look(&database);
    let main = (files.main != MainFile::Missing).then(|| database.clone());
    let present_files = main.into_iter().chain(files.side_files());
    Ok(PutBackPlan {
        run_id: kept.run_id,
        present: present_files.map(|file| short(root, &file)).collect(),
        differs: match unreadable {
            None => differences(&now, &expected),
            Some(_) => Vec::new(),
        },
        unreadable,
        tables: expected.len(),
        rows: expected.values().flatten().sum(),
        fingerprint: Door::fingerprint(PLAYBOOK, std::slice::from_ref(&change)),
        root: root.to_owned(),
        copy: kept.copy,
        database,
        change,
        expected,
    })
}

/// The name under which the journal knows it.
pub(super) const PLAYBOOK: &str = "restore";

/// The first copy of a database that the run made is what was there before the run.
fn find(root: &Path, wanted: &Wanted) -> Result<Kept, PutBackError> {
    let of_run = kept_by(root, &wanted.run_id).map_err(PutBackError::Journal)?;
    let is_database = |kept: &&Kept| kept.kind.is_database();
    let databases: Vec<&Kept> = of_run.iter().filter(is_database).collect();
    let place = |path: &Path| links::behind_links(path, root);
    let is_meant = |kept: &&&Kept| match &wanted.path {
        None => true,
        Some(path) => {
            let path = root.join(path);
            path == kept.copy || place(&path) == place(&root.join(&kept.original))
        }
    };
    let Some(first) = databases.iter().find(is_meant) else {
        return Err(match databases.is_empty() {
            true => PutBackError::Unknown {
                run_id: wanted.run_id.clone(),
                known: runs_with_databases(root)?,
            },
            false => PutBackError::NoSuchCopy {
                run_id: wanted.run_id.clone(),
                path: wanted.path.clone().unwrap_or_default(),
                kept: databases.iter().map(|it| it.original.clone()).collect(),
            },
        });
    };
    let is_other = |kept: &&Kept| wanted.path.is_none() && kept.original != first.original;
    if databases.iter().any(is_other) {
        return Err(PutBackError::Several {
            run_id: wanted.run_id.clone(),
            kept: databases.iter().map(|it| it.original.clone()).collect(),
        });
    }
    Ok((*first).clone())
}

fn runs_with_databases(root: &Path) -> Result<Vec<String>, PutBackError> {
    let all = super::kept(root).map_err(PutBackError::Journal)?;
    let databases = all.into_iter().filter(|kept| kept.kind.is_database());
    let mut runs: Vec<String> = databases.map(|kept| kept.run_id).collect();
    runs.dedup();
    Ok(runs)
}

/// Opens a copy of the copy, folds its log in, looks at every page and counts the rows.
fn rehearse(copy: &Path) -> Result<Rows, String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let folder = host::PrivateFolder::new().map_err(|error| words(&error))?;
    let files = DATABASE_FILES.map(|suffix| side_file(copy, suffix));
    let bytes: u64 = files
        .iter()
        .filter_map(|file| fs::metadata(file).ok())
        .map(|metadata| metadata.len())
        .sum();
    let free = host::free_bytes(folder.path()).map_err(|error| words(&error))?;
    if free < bytes.saturating_add(ROOM_LEFT_BYTES) {
        let place = folder.path().display();
        return Err(format!(
            "it cannot be tried: {bytes} bytes are needed in {place} and {free} are free"
        ));
    }
    let trial = folder.path().join("copy.db");
    staged::copy_files(copy, &trial).map_err(|error| words(&error))?;
    staged::fold(&trial).map_err(|error| words(&error))?;
    ask_copy(&trial, rows_of_sound)
        .map_err(|reason| format!("it is damaged, as it was when it was kept: {reason}"))
}

/// Rows of a database whose every page and every entry of every index fits, as far as SQLite can look
/// without what only the application registers.
pub(super) fn rows_of_sound(connection: &mut Connection) -> Result<Rows, DbError> {
    match integrity_check(connection)? {
        Integrity::Intact | Integrity::Contents(_) | Integrity::Partly { .. } => {
            count_rows(connection)
        }
        Integrity::Damaged(words) => Err(DbError::Corrupt {
            code: 11,
            message: words.into_iter().next().unwrap_or_default(),
        }),
        Integrity::Unfinished => Err(DbError::other("not every page could be looked at")),
    }
}

/// Asks a copy that nobody else knows of.
fn ask_copy(
    copy: &Path,
    question: fn(&mut Connection) -> Result<Rows, DbError>,
) -> Result<Rows, String> {
    let answer = Connection::open(copy, Access::ReadWrite, LOCK_WAIT).and_then(|mut connection| {
        let answer = question(&mut connection);
        connection.close();
        answer
    });
    answer.map_err(|error| error.to_string())
}

const LOCK_WAIT: std::time::Duration = std::time::Duration::from_secs(2);

/// What is there now, read from a copy: reading it where it is could write.
fn rows_now(database: &Path) -> Result<Rows, String> {
    let files = FileSet::look(database);
    match &files.main {
        MainFile::Database(_) => {}
        MainFile::Missing => return Err("it is not there".to_owned()),
        MainFile::Empty => return Err("it is an empty file".to_owned()),
        MainFile::NotADatabase { .. } => return Err("it is not an SQLite database".to_owned()),
        MainFile::NotAFile(kind) => return Err(format!("it is {kind}")),
        MainFile::Unreadable(reason) => return Err(reason.clone()),
    }
    let copy = copy_for_looking(&files).map_err(|error| error.to_string())?;
    let path = copy.path().join(database.file_name().unwrap_or_default());
    ask_copy(&path, count_rows)
}

fn differences(now: &Rows, copy: &Rows) -> Vec<TableRows> {
    let rows = |all: &Rows, table: &str| match all.get(table) {
        None => KeptRows::NoTable,
        Some(None) => KeptRows::Unreadable,
        Some(Some(rows)) => KeptRows::Counted(*rows),
    };
    let mut names: Vec<&String> = now.keys().chain(copy.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let tables = names.into_iter().map(|table| TableRows {
        table: table.clone(),
        now: rows(now, table),
        copy: rows(copy, table),
    });
    tables.filter(|table| table.now != table.copy).collect()
}
