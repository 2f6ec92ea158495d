//! What a boot that failed leaves beside its record, `incident_YYYYMMDD_HHMMSS.json`: enough to make
//! the state again on another machine, and nothing that belongs to the application's users.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::records::is_run_id;
use crate::host::files::{Durability, names_in, read_limited, write_atomic};
use crate::model::RecordStep;

/// Version of the form. Readers refuse a higher one.
pub const INCIDENT_FORMAT_VERSION: u32 = 1;

/// Bundles that are kept: of an application that fails at every start the newest tell it all.
const MAX_BUNDLES: usize = 50;

/// As many names as are looked at for records.
const MAX_NAMES: usize = 10_000;

/// A schema of a thousand tables stays well below this.
const MAX_BYTES: u64 = 4 << 20;

/// An incident as it stands on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentBundle {
    /// Version of this form.
    pub format_version: u32,
    /// The run whose record stands beside it.
    pub run_id: String,
    /// Local time of the start, ISO 8601.
    pub boot_timestamp: String,
    /// The gate's version.
    pub gate: String,
    /// The operating system and the processor.
    pub system: String,
    /// The verdict's word.
    pub verdict: String,
    /// What is not in it, and so cannot be made again.
    pub limits: Vec<String>,
    /// What the gate knew of the application.
    pub configuration: IncidentConfiguration,
    /// The variables that the application would have found, without their values.
    pub environment: BTreeMap<String, IncidentVariable>,
    /// The encoding of the application's output and the variable that decided it.
    pub output_encoding: Option<(String, String)>,
    /// The database.
    pub database: IncidentDatabase,
    /// The steps that did not hold.
    pub failing: Vec<RecordStep>,
}

/// A variable without its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentVariable {
    /// `env-file` or `process`.
    pub set_in: String,
    /// Whether the value is one that stands in an example.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_placeholder: bool,
}

/// What the gate knew of the application, in the terms of `boot.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentConfiguration {
    /// The application's name.
    pub name: String,
    /// The port.
    pub port: Option<u16>,
    /// Names of the variables that must be set.
    pub required_secrets: Vec<String>,
    /// Folders that it writes to, as seen from the root, and whether each is there.
    pub writable_folders: BTreeMap<String, bool>,
    /// Who migrates: `built-in`, `none`, `folder` or `command`.
    pub migrations: String,
    /// Tables that must be there, with their columns and, where they matter, their types.
    pub tables: BTreeMap<String, Vec<String>>,
    /// Records that must be readable: fields, and how many rows there must be.
    pub records: BTreeMap<String, (Vec<String>, u64)>,
}

/// A database without its rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IncidentDatabase {
    /// The file, as seen from the root.
    pub path: Option<String>,
    /// `database`, `missing`, `empty`, `no-database` or `unreadable`.
    pub kind: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Whether it keeps a write-ahead log.
    pub is_wal: bool,
    /// What stands beside it: suffixes and sizes in bytes.
    pub side_files: BTreeMap<String, u64>,
    /// The statements that made its tables, indexes, views and triggers.
    pub schema: Vec<String>,
    /// Versions in sqlx's record of migrations, and the checksum of each, in hexadecimal digits; none
    /// where there is no such record.
    pub migrations: Option<BTreeMap<i64, String>>,
    /// How many rows each table has.
    pub rows: BTreeMap<String, i64>,
}

/// Why a bundle cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IncidentError {
    /// The file cannot be read, or is larger than any bundle.
    #[error("`{}` cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no bundle.
    #[error("`{}` is no incident bundle: {source}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A newer gate wrote it.
    #[error(
        "`{}` has format version {version}, and this gate reads up to {INCIDENT_FORMAT_VERSION}",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

impl IncidentBundle {
    /// Writes it beside the record of its run, and removes the oldest beyond those that are kept.
    ///
    /// # Errors
    ///
    /// The system's reason.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        let path = incident_path(folder, &self.run_id);
        write_atomic(&path, text.as_bytes(), Durability::Synced, None)?;
        prune_to(folder, MAX_BUNDLES)
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// One variant of [`IncidentError`] for each way in which it can be unreadable.
    pub fn read(path: &Path) -> Result<IncidentBundle, IncidentError> {
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let bytes = read_limited(path, MAX_BYTES).map_err(|source| IncidentError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let damaged = |source| IncidentError::Damaged {
            path: path.to_owned(),
            source,
        };
        // Of a newer one nothing else can be relied on.
        let Version { format_version } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if format_version > INCIDENT_FORMAT_VERSION {
            return Err(IncidentError::Newer {
                path: path.to_owned(),
                version: format_version,
            });
        }
        serde_json::from_slice(&bytes).map_err(damaged)
    }
}

/// Where the bundle of a run stands.
pub fn incident_path(folder: &Path, run_id: &str) -> PathBuf {
    folder.join(format!("{PREFIX}{run_id}{SUFFIX}"))
}

const PREFIX: &str = "incident_";
const SUFFIX: &str = ".json";

/// The names hold the time, so the oldest come first.
fn prune_to(folder: &Path, keep: usize) -> io::Result<()> {
    let mut names = names_in(folder, MAX_NAMES)?;
    let run = |name: &str| {
        name.strip_prefix(PREFIX)?
            .strip_suffix(SUFFIX)
            .map(is_run_id)
    };
    // Whatever else lies there is a person's.
    names.retain(|name| run(name) == Some(true));
    names.sort_unstable();
    let surplus = names.len().saturating_sub(keep);
    for name in &names[..surplus] {
        match fs::remove_file(folder.join(name)) {
            // Another boot was faster.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(run_id: &str) -> IncidentBundle {
        IncidentBundle {
            format_version: INCIDENT_FORMAT_VERSION,
            run_id: run_id.to_owned(),
            boot_timestamp: String::new(),
            gate: String::new(),
            system: String::new(),
            verdict: "blocked".to_owned(),
            limits: Vec::new(),
            configuration: IncidentConfiguration {
                name: "grace".to_owned(),
                port: None,
                required_secrets: Vec::new(),
                writable_folders: BTreeMap::new(),
                migrations: "none".to_owned(),
                tables: BTreeMap::new(),
                records: BTreeMap::new(),
            },
            environment: BTreeMap::new(),
            output_encoding: None,
            database: IncidentDatabase {
                migrations: Some(BTreeMap::from([(1, "00".to_owned())])),
                ..IncidentDatabase::default()
            },
            failing: Vec::new(),
        }
    }

    #[test]
    fn what_is_written_is_read_and_a_newer_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = incident_path(folder.path(), "20251109_183000");
        bundle("20251109_183000").write(folder.path()).unwrap();
        assert_eq!(
            IncidentBundle::read(&path).unwrap(),
            bundle("20251109_183000")
        );
        let newer = fs::read_to_string(&path)
            .unwrap()
            .replace("\"format_version\": 1", "\"format_version\": 2");
        fs::write(&path, newer).unwrap();
        let error = IncidentBundle::read(&path).unwrap_err();
        assert!(
            matches!(error, IncidentError::Newer { version: 2, .. }),
            "{error}"
        );
    }

    #[test]
    fn the_oldest_go_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        for theirs in ["boot_20250101_000000.json", "incident_2019.json"] {
            fs::write(folder.path().join(theirs), "").unwrap();
        }
        for day in 1..=3 {
            bundle(&format!("2025110{day}_183000"))
                .write(folder.path())
                .unwrap();
        }
        prune_to(folder.path(), 2).unwrap();
        let mut names = names_in(folder.path(), 100).unwrap();
        names.sort();
        assert_eq!(
            names,
            [
                "boot_20250101_000000.json",
                "incident_2019.json",
                "incident_20251102_183000.json",
                "incident_20251103_183000.json"
            ]
        );
    }
}
