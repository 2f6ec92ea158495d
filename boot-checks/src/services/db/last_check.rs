//! What is remembered of the last look at every page, and when the next one is due.

use std::path::Path;

use crate::host::file_identity;

/// Why every page is looked at in this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// No finished check of this database is known, or the last boot did not end well.
    Unknown,
    /// A log or a journal was left behind, and nobody has the database open.
    LeftBehind,
    /// The machine was started anew since the last check.
    Restarted,
    /// That many boots have gone by.
    Routine,
    /// A person asks for it.
    Asked,
}

/// Boots from one look at every page to the next.
pub const BOOTS_BETWEEN: usize = 50;

/// What is remembered from the last time that every page was looked at: what it was then, and one byte for
/// each of the gate's boots since. A healthy boot appends one byte to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastCheck {
    text: String,
}

/// What is there now.
#[derive(Clone, Copy, Debug)]
pub struct Looked<'a> {
    /// Names this run of the system; empty where they have no names.
    pub system_boot: &'a str,
    /// The main file.
    pub database: &'a Path,
    /// A file of the gate's own that is never replaced, so that a copied folder is told from a replaced file.
    pub anchor: &'a Path,
}

impl Looked<'_> {
    fn words(&self) -> [String; 4] {
        let inode = |path| std::fs::metadata(path).map_or(0, |it| file_identity(&it).1);
        [
            self.system_boot.to_owned(),
            inode(self.anchor).to_string(),
            inode(self.database).to_string(),
            self.database.display().to_string(),
        ]
    }
}

impl LastCheck {
    /// A check that was just finished.
    pub fn now(looked: Looked<'_>) -> LastCheck {
        LastCheck {
            text: looked.words().join(" ") + "\n",
        }
    }

    /// Whether another file has the main file's place since; known in this run of the system and in the same folder:
    /// elsewhere files get other numbers by themselves.
    pub fn was_replaced(&self, looked: Looked<'_>) -> Option<bool> {
        let [system_boot, anchor, inode, path] = &looked.words();
        let there = [system_boot, anchor, path];
        let [then_boot, then_anchor, then_inode, then_path] = self.words();
        let then = [then_boot, then_anchor, then_path];
        let is_known = !system_boot.is_empty() && then.iter().eq(there.iter());
        is_known.then_some(then_inode != inode)
    }

    fn words(&self) -> [&str; 4] {
        let line = self.text.lines().next().unwrap_or_default();
        let mut words = line.splitn(4, ' ');
        [(); 4].map(|()| words.next().unwrap_or_default())
    }

    /// From what was written down.
    pub fn parse(text: String) -> LastCheck {
        LastCheck { text }
    }

    /// What is written down.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Stands behind a look that is no longer the last word: something was changed since, or a boot did not
    /// end well. Which file was looked at is still known then.
    pub const UNSETTLED: &str = "!";

    /// Whether it is the last word still.
    pub fn is_settled(&self) -> bool {
        !self.text.ends_with(LastCheck::UNSETTLED)
    }

    /// Boots until the next routine check.
    pub fn boots_left(&self) -> usize {
        let boots = self.text.lines().nth(1).map_or(0, str::len);
        BOOTS_BETWEEN.saturating_sub(boots)
    }

    /// Whether every page is to be looked at.
    pub fn due(last: Option<&LastCheck>, looked: Looked<'_>, left_behind: bool) -> Option<Due> {
        let Some(last) = last else {
            return Some(Due::Unknown);
        };
        let [system_boot, _, _, path] = &looked.words();
        let [then_boot, _, _, then_path] = last.words();
        if then_path != path || last.was_replaced(looked) == Some(true) || !last.is_settled() {
            Some(Due::Unknown)
        } else if left_behind {
            Some(Due::LeftBehind)
        } else if then_boot != system_boot {
            Some(Due::Restarted)
        } else if last.boots_left() == 0 {
            Some(Due::Routine)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_due_after_an_unclean_end_and_now_and_then() {
        let looked = |system_boot| Looked {
            system_boot,
            database: Path::new("/a b/x.db"),
            anchor: Path::new("/a b/lock"),
        };
        let due = |last: &LastCheck, boot, left| LastCheck::due(Some(last), looked(boot), left);
        let last = LastCheck::now(looked("boot-1"));
        assert_eq!(due(&last, "boot-1", false), None);
        assert_eq!(due(&last, "boot-1", true), Some(Due::LeftBehind));
        assert_eq!(due(&last, "boot-2", false), Some(Due::Restarted));
        let boots = |n: usize| LastCheck::parse(last.text().to_owned() + &".".repeat(n));
        assert_eq!(due(&boots(BOOTS_BETWEEN - 1), "boot-1", false), None);
        let unsettled = LastCheck::parse(boots(3).text().to_owned() + LastCheck::UNSETTLED);
        assert_eq!(due(&unsettled, "boot-1", false), Some(Due::Unknown));
        let routine = due(&boots(BOOTS_BETWEEN), "boot-1", false);
        assert_eq!(routine, Some(Due::Routine));
        let database = Path::new("/y.db");
        let other = LastCheck::now(Looked {
            database,
            ..looked("boot-1")
        });
        assert_eq!(due(&other, "boot-1", false), Some(Due::Unknown));
        let none = LastCheck::due(None, looked("boot-1"), false);
        assert_eq!(none, Some(Due::Unknown));
    }

    #[cfg(unix)]
    #[test]
    fn a_replaced_file_is_told_from_a_copied_folder_and_from_another_run_of_the_system() {
        let folder = tempfile::tempdir().unwrap();
        let (database, anchor) = (folder.path().join("x.db"), folder.path().join("lock"));
        let looked = |system_boot| Looked {
            system_boot,
            database: &database,
            anchor: &anchor,
        };
        let make = |path: &Path| {
            let beside = folder.path().join("new");
            std::fs::write(&beside, "").unwrap();
            std::fs::rename(beside, path).unwrap();
        };
        make(&database);
        make(&anchor);
        let last = LastCheck::now(looked("boot-1"));
        assert_eq!(last.was_replaced(looked("boot-1")), Some(false));
        make(&database);
        assert_eq!(last.was_replaced(looked("boot-1")), Some(true));
        assert_eq!(
            LastCheck::due(Some(&last), looked("boot-1"), true),
            Some(Due::Unknown)
        );
        assert_eq!(last.was_replaced(looked("boot-2")), None);
        let nameless = LastCheck::now(looked(""));
        make(&database);
        assert_eq!(nameless.was_replaced(looked("")), None);
        make(&anchor);
        assert_eq!(last.was_replaced(looked("boot-1")), None);
    }
}
