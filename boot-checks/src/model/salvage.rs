use std::cmp::Reverse;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How a damaged database is made whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Only indexes are damaged: they are built anew from the rows.
    Reindex,
    /// Every row of every table is reachable: all are copied into a new file.
    Rebuild,
    /// Rows are missing: what holds is copied into a new file.
    Salvage,
}

/// How many rows of a table are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lost {
    /// Counted: by an index that is whole, or because every page of the table is.
    Exactly(u64),
    /// Not known, and certainly no more than this.
    AtMost(u64),
    /// Nothing says how many there were.
    NotKnown,
}

impl Lost {
    /// Whether it is certain that nothing is gone.
    pub fn is_nothing(self) -> bool {
        matches!(self, Lost::Exactly(0) | Lost::AtMost(0))
    }

    /// Of two tables together.
    #[must_use]
    pub fn and(self, other: Lost) -> Lost {
        match (self, other) {
            (Lost::NotKnown, _) | (_, Lost::NotKnown) => Lost::NotKnown,
            (Lost::Exactly(one), Lost::Exactly(more)) => Lost::Exactly(one.saturating_add(more)),
            (Lost::Exactly(one) | Lost::AtMost(one), Lost::Exactly(more) | Lost::AtMost(more)) => {
                Lost::AtMost(one.saturating_add(more))
            }
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::Exactly(rows) => write!(f, "{rows} lost"),
            Lost::AtMost(0) => f.write_str("0 lost"),
            Lost::AtMost(rows) => write!(f, "lost: unknown, at most {rows}"),
            Lost::NotKnown => f.write_str("lost: not known"),
        }
    }
}

/// What comes of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSalvage {
    /// The table.
    pub table: String,
    /// Rows of the damaged file that are in the new one.
    pub saved: u64,
    /// Rows that are in neither the damaged file's sound pages nor a backup.
    pub lost: Lost,
    /// Rows that were taken from a backup instead; they may be older than what was lost.
    pub merged: u64,
}

impl fmt::Display for TableSalvage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} saved, {}", self.table, self.saved, self.lost)?;
        if self.merged > 0 {
            write!(f, ", {} from a backup", self.merged)?;
        }
        Ok(())
    }
}

/// What comes of a damaged database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SalvageReport {
    /// How.
    pub method: Method,
    /// Table by table, by name.
    pub tables: Vec<TableSalvage>,
    /// The run whose copy rows were taken from.
    pub backup: Option<String>,
    /// Rows on pages whose table is not certain; they stay in the quarantine.
    pub unassigned: u64,
    /// Rows that refer to rows that are not there.
    pub dangling: u64,
    /// What a person has to know besides.
    pub notes: Vec<String>,
}

/// Damaged tables named in one line; the record has all of them.
const TABLES_SHOWN: usize = 5;

impl SalvageReport {
    /// Rows of the damaged file that are in the new one.
    pub fn saved(&self) -> u64 {
        self.tables.iter().map(|table| table.saved).sum()
    }

    /// Rows of all tables that are gone.
    pub fn lost(&self) -> Lost {
        let lost = self.tables.iter().map(|table| match table.lost {
            Lost::AtMost(0) => Lost::Exactly(0),
            lost => lost,
        });
        lost.fold(Lost::Exactly(0), Lost::and)
    }

    /// One line.
    pub fn summary(&self) -> String {
        let merged: u64 = self.tables.iter().map(|table| table.merged).sum();
        let lost = self.lost();
        let (saved, tables) = (self.saved(), self.tables.len());
        let mut words = format!("{saved} rows of {tables} tables saved, {lost}");
        if let Some(backup) = self.backup.as_ref().filter(|_| merged > 0) {
            words += &format!(", {merged} taken from the copy of run {backup}");
        }
        let is_hurt = |table: &&TableSalvage| !table.lost.is_nothing() || table.merged > 0;
        let mut hurt: Vec<&TableSalvage> = self.tables.iter().filter(is_hurt).collect();
        // Those of which something is known come first, then those with the most rows.
        hurt.sort_by_key(|table| (table.lost == Lost::NotKnown, Reverse(table.saved)));
        let hurt: Vec<String> = hurt
            .iter()
            .take(TABLES_SHOWN)
            .map(ToString::to_string)
            .collect();
        if !hurt.is_empty() {
            words += &format!(" ({})", hurt.join("; "));
        }
        words
    }
}
