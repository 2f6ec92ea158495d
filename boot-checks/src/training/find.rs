//! Which record a person means.

use std::io;
use std::path::{Path, PathBuf};

use super::records::{is_run_id, list, path_of, run_id_of, run_ids};

/// Runs that are named where another was asked for.
const NAMED_MAX: usize = 3;

/// Characters that a slip of the keyboard changes. Farther apart, it is another run.
const SLIP_MAX: usize = 2;

/// Runs of which there is a record, for somebody who asked for another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Those that were meant, perhaps, the likeliest first.
    pub alike: Vec<String>,
    /// The newest, newest first.
    pub newest: Vec<String>,
}

/// Why no record is meant.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// There is no record at all.
    #[error("there is no boot yet")]
    NoBoot,
    /// No run has such a name.
    #[error("`{given}` is no run id")]
    NotARun {
        /// What was given.
        given: String,
        /// What there is.
        known: Known,
    },
    /// No record is kept of that run.
    #[error("there is no record of run {run_id}")]
    Unknown {
        /// The run.
        run_id: String,
        /// What there is.
        known: Known,
    },
    /// The folder of the records cannot be read.
    #[error("{}: {source}", folder.display())]
    Unreadable {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The record of the run that `given` names, by its id or by its record's file name; without it, the newest.
///
/// Safety: only a name that we would have given ourselves is joined to the folder, so that nothing outside of it is
/// read.
///
/// # Errors
///
/// One variant of [`FindError`] for each way in which there is none.
pub fn find(folder: &Path, given: Option<&str>) -> Result<PathBuf, FindError> {
    let unreadable = |source| FindError::Unreadable {
        folder: folder.to_owned(),
        source,
    };
    let Some(given) = given else {
        let newest = list(folder, 1).map_err(unreadable)?;
        return newest.into_iter().next().ok_or(FindError::NoBoot);
    };
    let run_id = run_id_of(given).unwrap_or(given);
    let path = path_of(folder, run_id);
    let is_named = is_run_id(run_id);
    if is_named && !is_missing(&path) {
        return Ok(path);
    }
    let runs = run_ids(folder).map_err(unreadable)?;
    let known = Known::of(&runs, run_id);
    Err(if is_named {
        let run_id = run_id.to_owned();
        FindError::Unknown { run_id, known }
    } else {
        let given = given.to_owned();
        FindError::NotARun { given, known }
    })
}

/// Whether it is certain that nothing is there. Why it cannot be read is said by who reads it.
fn is_missing(path: &Path) -> bool {
    let seen = path.symlink_metadata();
    seen.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

impl Known {
    fn of(runs: &[String], wanted: &str) -> Known {
        // Of a path, the name of the file says which run was meant.
        let name = wanted.rsplit(['/', '\\']).next().unwrap_or(wanted);
        let name = run_id_of(name).unwrap_or(name);
        let mut alike: Vec<(usize, &String)> = runs
            .iter()
            .map(|run| (distance(run, name), run))
            .filter(|(distance, _)| *distance <= SLIP_MAX)
            .collect();
        alike.sort_by_key(|(distance, _)| *distance);
        let named = |runs: &mut dyn Iterator<Item = &String>| {
            runs.take(NAMED_MAX).cloned().collect::<Vec<_>>()
        };
        Known {
            alike: named(&mut alike.into_iter().map(|(_, run)| run)),
            newest: named(&mut runs.iter()),
        }
    }
}

/// Slips between a run and what was typed for it; the beginning of its name is none.
fn distance(run: &str, typed: &str) -> usize {
    /// A day, at least.
    const BEGINNING_MIN: usize = "YYYYMMDD".len();
    let is_beginning = typed.len() >= BEGINNING_MIN && run.starts_with(typed);
    // What is much longer than a name is none, and would take long to compare.
    let is_longer = typed.len() > run.len() + SLIP_MAX;
    match (is_beginning, is_longer) {
        (true, _) => 0,
        (_, true) => usize::MAX,
        _ => strsim::damerau_levenshtein(run, typed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for run in [
            "20251108_120000",
            "20251109_183015",
            "20251109_183015_2",
            "20251231_235959",
        ] {
            std::fs::write(path_of(folder.path(), run), "{}").unwrap();
        }
        std::fs::write(folder.path().join("boot_latest.json"), "{}").unwrap();
        folder
    }

    fn found(given: Option<&str>) -> String {
        let folder = folder();
        let path = find(folder.path(), given).unwrap();
        assert_eq!(path.parent(), Some(folder.path()));
        path.file_name().unwrap().to_str().unwrap().to_owned()
    }

    fn known(given: &str) -> (String, Known) {
        let folder = folder();
        match find(folder.path(), Some(given)).unwrap_err() {
            error @ (FindError::NotARun { .. } | FindError::Unknown { .. }) => {
                let words = error.to_string();
                let (FindError::NotARun { known, .. } | FindError::Unknown { known, .. }) = error
                else {
                    unreachable!("it is one of the two")
                };
                (words, known)
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_record_is_found_by_its_run_by_its_name_and_as_the_newest() {
        assert_eq!(found(None), "boot_20251231_235959.json");
        for given in ["20251109_183015_2", "boot_20251109_183015_2.json"] {
            assert_eq!(found(Some(given)), "boot_20251109_183015_2.json");
        }
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for given in [
            "",
            ".",
            "..",
            "../20251109_183015",
            "/etc/passwd",
            "boot_../../x.json",
            "x/../20251109_183015",
            "20251109_183015/../20251109_183015",
            "latest",
            "boot_latest.json",
            "20251109_183015\0",
            "20251109_183015_4294967296",
            "２０２５１１０９_183015",
        ] {
            let (words, _) = known(given);
            assert_eq!(words, format!("`{given}` is no run id"));
        }
    }

    #[test]
    fn who_mistypes_is_told_what_there_is() {
        let alike = |given: &str| known(given).1.alike;
        assert_eq!(
            alike("20251109_183051"),
            ["20251109_183015"],
            "two digits the wrong way round"
        );
        assert_eq!(alike("20251109"), ["20251109_183015_2", "20251109_183015"]);
        assert_eq!(
            alike("grace_training/startup_failures/boot_20251108_120000.json"),
            ["20251108_120000"]
        );
        assert_eq!(alike("20240101_000000"), [""; 0]);
        assert_eq!(alike(&"2".repeat(1_000_000)), [""; 0]);
        let (words, known) = known("20240101_000000");
        assert_eq!(words, "there is no record of run 20240101_000000");
        assert_eq!(
            known.newest,
            ["20251231_235959", "20251109_183015_2", "20251109_183015"]
        );
    }

    #[test]
    fn without_records_there_is_no_boot() {
        let empty = tempfile::tempdir().unwrap();
        for folder in [empty.path().to_owned(), empty.path().join("missing")] {
            assert!(matches!(find(&folder, None), Err(FindError::NoBoot)));
            let unknown = find(&folder, Some("20251109_183015"));
            assert!(matches!(unknown, Err(FindError::Unknown { .. })));
        }
        let file = empty.path().join("file");
        std::fs::write(&file, "").unwrap();
        let unreadable = find(&file, None);
        assert!(matches!(unreadable, Err(FindError::Unreadable { .. })));
    }
}
