use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use super::{Decision, Finding, Method, RiskLevel, SalvageReport};

/// A value bound to a statement.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SqlValue {
    /// No value.
    Null,
    /// A whole number.
    Integer(i64),
    /// A floating point number.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl From<&str> for SqlValue {
    fn from(text: &str) -> SqlValue {
        SqlValue::Text(text.to_owned())
    }
}

impl From<i64> for SqlValue {
    fn from(number: i64) -> SqlValue {
        SqlValue::Integer(number)
    }
}

/// One statement and what is bound to its parameters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SqlStatement {
    /// The text, with `?1`, `?2`, … for parameters.
    pub sql: String,
    /// The parameters, in order.
    pub parameters: Vec<SqlValue>,
}

/// A file that a command of the application's is run by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CommandFile {
    /// Below the root, or absolute.
    pub path: String,
    /// Names exactly what it holds, in hexadecimal digits.
    pub sha256: String,
}

/// One thing that a playbook wants done. A closed set: a playbook describes, the engine does, and so
/// every write can be shown before, applied in one place and taken back.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Change {
    /// Make a folder and its missing parents.
    CreateFolder {
        /// Absolute path.
        #[serde(serialize_with = "lossy")]
        path: PathBuf,
    },
    /// Make a file that is not there.
    CreateFile {
        /// Absolute path.
        #[serde(serialize_with = "lossy")]
        path: PathBuf,
        /// Everything that it will hold.
        #[serde(skip)]
        contents: Vec<u8>,
        /// Unix permission bits, such as `0o600`.
        mode: u32,
    },
    /// Add bytes behind the last one of a file; every byte that is there stays.
    AppendToFile {
        /// Absolute path.
        #[serde(serialize_with = "lossy")]
        path: PathBuf,
        /// What is there now; the change is refused when it no longer is.
        #[serde(skip)]
        expected: Vec<u8>,
        /// What is added.
        #[serde(skip)]
        addition: Vec<u8>,
    },
    /// Put other text into a file that a person wrote; every byte outside of the edits stays.
    EditFile {
        /// Absolute path.
        #[serde(serialize_with = "lossy")]
        path: PathBuf,
        /// What is there now; the change is refused when it no longer is.
        #[serde(skip)]
        expected: Vec<u8>,
        /// Everything that it will hold.
        #[serde(skip)]
        edited: Vec<u8>,
        /// The same as a unified diff.
        #[serde(skip)]
        diff: String,
    },
    /// Put other contents into one of the gate's own files.
    ReplaceOwnFile {
        /// Absolute path, below the gate's own folder.
        #[serde(serialize_with = "lossy")]
        path: PathBuf,
        /// Everything that it will hold.
        #[serde(skip)]
        contents: Vec<u8>,
    },
    /// Make a complete database under a temporary name and move it into place.
    CreateDatabase {
        /// Absolute path of the main file.
        #[serde(serialize_with = "lossy")]
        path: PathBuf,
        /// Versions of the migrations that it is made by, oldest first.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        versions: Vec<i64>,
        /// What is run, in the same order.
        #[serde(skip)]
        texts: Vec<String>,
    },
    /// Apply pending migrations, all in one transaction.
    ApplyMigrations {
        /// Versions, oldest first.
        versions: Vec<i64>,
        /// What is run, in the same order.
        #[serde(skip)]
        texts: Vec<String>,
    },
    /// Add what is missing to a database without a migration record and record the migrations as
    /// applied, all in one transaction.
    AdoptSchema {
        /// What is added, oldest migration first.
        statements: Vec<String>,
        /// Versions recorded as applied.
        versions: Vec<i64>,
        /// The structure for which the statements were computed.
        expected_fingerprint: String,
        /// Rows that the migrations write, that are not there and that are not written: so many of which table.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        lacking_rows: Vec<String>,
    },
    /// Write today's checksums of migrations that differ in line endings only; run nothing again.
    RestampMigrations {
        /// Versions, oldest first.
        versions: Vec<i64>,
        /// What is written, in hexadecimal digits, in the same order.
        checksums: Vec<String>,
    },
    /// Put what could be saved of a damaged database in its place; the damaged files are kept.
    RebuildDatabase {
        /// Absolute path of the main file.
        #[serde(serialize_with = "lossy")]
        path: PathBuf,
        /// Names exactly the files that were looked at.
        present: String,
        /// What comes of them.
        report: SalvageReport,
    },
    /// Put a kept copy in the place of a database; the files that are there are kept.
    RestoreCopy {
        /// Absolute path of the main file.
        #[serde(serialize_with = "lossy")]
        path: PathBuf,
        /// Absolute path of the copy's main file.
        #[serde(serialize_with = "lossy")]
        copy: PathBuf,
        /// Names exactly the copy, with the permissions that the database had.
        kept: String,
        /// Names exactly the files that are there.
        present: String,
    },
    /// Change rows, all in one transaction.
    WriteRows {
        /// Run in order.
        statements: Vec<SqlStatement>,
    },
    /// Run the application's own migration tool.
    RunMigrator {
        /// Program and arguments.
        argv: Vec<String>,
        /// What it is run by, as it was when the plan was made.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        files: Vec<CommandFile>,
    },
}

impl Change {
    /// The least risk that this kind of change has, whatever the playbook's own is: what a person
    /// wrote is not edited unasked, and rows that an application may need are not left out unasked.
    pub fn least_risk(&self) -> RiskLevel {
        match self {
            Change::EditFile { .. } | Change::RestoreCopy { .. } => RiskLevel::High,
            // Whether the application can do without them only a person knows.
            Change::AdoptSchema { lacking_rows, .. } if !lacking_rows.is_empty() => RiskLevel::High,
            Change::RebuildDatabase { report, .. } => match report.method {
                Method::Log | Method::Salvage => RiskLevel::High,
                Method::Reindex | Method::Rebuild => RiskLevel::Medium,
            },
            Change::CreateFolder { .. }
            | Change::CreateFile { .. }
            | Change::AppendToFile { .. }
            | Change::ReplaceOwnFile { .. }
            | Change::CreateDatabase { .. }
            | Change::ApplyMigrations { .. }
            | Change::AdoptSchema { .. }
            | Change::WriteRows { .. }
            | Change::RestampMigrations { .. }
            | Change::RunMigrator { .. } => RiskLevel::Low,
        }
    }
}

/// A path as text. A name that is no UTF-8 is shown with replacement characters: serde's own form
/// would be an error, and a report has to be written whatever a folder is called.
fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// How an attempt at healing ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum RepairResult {
    /// The check that failed passes now, on a fresh connection.
    Verified,
    /// It was refused before anything was changed.
    Refused {
        /// Why.
        error: String,
    },
    /// The changes were begun and could not be made.
    Failed {
        /// Why.
        error: String,
        /// Whether what had been changed was taken back.
        taken_back: bool,
        /// Why it was not, and where what was there before lies.
        #[serde(skip_serializing_if = "Option::is_none")]
        stays: Option<String>,
    },
    /// The changes were made and the check still finds these problems.
    NotVerified {
        /// What the check found afterwards.
        problems: Vec<Finding>,
        /// Whether what had been changed was taken back.
        taken_back: bool,
        /// Why it was not, and where what was there before lies.
        #[serde(skip_serializing_if = "Option::is_none")]
        stays: Option<String>,
    },
    /// Governance did not let it act.
    Proposed,
}

/// One attempt at healing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Repair {
    /// The playbook.
    pub playbook: &'static str,
    /// What it set out to do, in words for people.
    pub summary: String,
    /// What governance answered.
    pub decision: Decision,
    /// What it wanted changed.
    pub changes: Vec<Change>,
    /// Names exactly this plan: an approval is for this and nothing else.
    pub fingerprint: String,
    /// What it would change in files that people wrote, as a unified diff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposal: Option<String>,
    /// How it ended.
    #[serde(flatten)]
    pub result: RepairResult,
}

impl Repair {
    /// Whether the problem is gone and proven gone.
    pub fn is_verified(&self) -> bool {
        self.result == RepairResult::Verified
    }
}
