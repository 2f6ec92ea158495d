use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::host::files::{self, Durability};
use crate::model::Approval;

/// How many people a quorum is.
pub const QUORUM: usize = 2;

/// A file longer than this is not ours.
const BYTES_MAX: u64 = 1 << 20;

/// What people said about plans, in the gate's own folder. An approval is for exactly one plan, and
/// for once: it is spent when the plan is carried out. Whoever may write there may approve; the names
/// are what people say about themselves.
#[derive(Debug)]
pub struct Approvals {
    file: PathBuf,
}

/// One person's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    /// Names exactly the plan.
    pub fingerprint: String,
    /// The playbook whose plan it is.
    pub playbook: String,
    /// Who approved it.
    pub by: String,
}

impl Approvals {
    /// Those for the application with this folder of the gate's own.
    pub fn new(state_folder: &Path) -> Approvals {
        Approvals {
            file: state_folder.join("approvals.json"),
        }
    }

    /// What was said about this plan. What cannot be read is no approval.
    pub fn of(&self, fingerprint: &str) -> Approval {
        match self.people(fingerprint).len() {
            0 => Approval::None,
            people if people < QUORUM => Approval::Person,
            _ => Approval::Quorum,
        }
    }

    /// Who approved this plan, each once.
    pub fn people(&self, fingerprint: &str) -> Vec<String> {
        let all = self.read().unwrap_or_default().into_iter();
        let mut people: Vec<String> = all
            .filter(|one| one.fingerprint == fingerprint)
            .map(|one| one.by)
            .collect();
        people.sort();
        people.dedup();
        people
    }

    /// Adds a person's word, flushed to the disk.
    ///
    /// # Errors
    ///
    /// When the others cannot be read, or it cannot be written.
    pub fn add(&self, approved: Approved) -> io::Result<()> {
        let mut all = self.read()?;
        if !all.contains(&approved) {
            all.push(approved);
        }
        self.write(&all)
    }

    /// Takes away what was said about a plan that is being carried out.
    ///
    /// # Errors
    ///
    /// When it cannot be written. The plan must not be carried out then: it would count twice.
    pub(super) fn spend(&self, fingerprint: &str) -> io::Result<()> {
        // What cannot be read is no approval, here too.
        if self.people(fingerprint).is_empty() {
            return Ok(());
        }
        let mut all = self.read()?;
        all.retain(|one| one.fingerprint != fingerprint);
        self.write(&all)
    }

    fn read(&self) -> io::Result<Vec<Approved>> {
        match files::read_limited(&self.file, BYTES_MAX) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn write(&self, all: &[Approved]) -> io::Result<()> {
        if let Some(folder) = self.file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_vec_pretty(all)?;
        files::write_atomic(&self.file, &text, Durability::Synced, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_is_for_one_plan_and_for_once_and_a_quorum_is_several_people() {
        let folder = tempfile::tempdir().unwrap();
        let approvals = Approvals::new(folder.path());
        let add = |by: &str| {
            let approved = Approved {
                fingerprint: "a".to_owned(),
                playbook: "p".to_owned(),
                by: by.to_owned(),
            };
            approvals.add(approved).unwrap();
            approvals.of("a")
        };
        assert_eq!(approvals.of("a"), Approval::None);
        assert_eq!(add("ann"), Approval::Person);
        assert_eq!(add("ann"), Approval::Person, "the same person twice");
        assert_eq!(add("bob"), Approval::Quorum);
        assert_eq!(approvals.of("b"), Approval::None);
        approvals.spend("a").unwrap();
        assert_eq!(approvals.of("a"), Approval::None);
    }

    #[test]
    fn what_cannot_be_read_is_no_approval_and_keeps_no_other_heal_back() {
        let folder = tempfile::tempdir().unwrap();
        let approvals = Approvals::new(folder.path());
        std::fs::write(folder.path().join("approvals.json"), "no list").unwrap();
        assert_eq!(approvals.of("a"), Approval::None);
        approvals.spend("a").unwrap();
    }
}
