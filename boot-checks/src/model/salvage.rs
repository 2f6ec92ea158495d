use std::cmp::Reverse;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How a damaged database is made whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// SQLite left a part of the log without checksums: what was committed is moved into the file.
    Log,
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
    /// Whether its own pages are damaged or speak against it; else it is only not certain that they do not.
    #[serde(default)]
    pub is_hurt: bool,
}

impl TableSalvage {
    /// How bad it is, for whoever has to decide; the worst is the least.
    fn badness(&self) -> impl Ord + use<> {
        let known = match self.lost {
            Lost::Exactly(rows) | Lost::AtMost(rows) => Some(rows),
            Lost::NotKnown => None,
        };
        let is_left = self.saved > 0 || self.merged > 0;
        let rank = match known {
            Some(1..) if !is_left => 0,
            None if !is_left && self.is_hurt => 0,
            Some(1..) => 1,
            None if self.is_hurt => 2,
            None => 3,
            Some(0) => 4,
        };
        // Of an unknown loss, the less there is left, the more may be gone.
        let left = self.saved + self.merged;
        (rank, Reverse(known), left)
    }
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
    /// Names exactly the contents of that copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_digest: Option<String>,
    /// Rows on pages whose table is not certain; they stay in the quarantine.
    pub unassigned: u64,
    /// Rows that refer to rows that are not there.
    pub dangling: u64,
    /// Tables whose last number given by AUTOINCREMENT is lost, though no row of them need be.
    #[serde(default)]
    pub counters: Vec<String>,
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
        match self.counters.as_slice() {
            [] => {}
            [table] => words += &format!(", the counter of {table} lost"),
            tables => words += &format!(", the counters of {} tables lost", tables.len()),
        }
        let is_hurt = |table: &&TableSalvage| !table.lost.is_nothing() || table.merged > 0;
        let mut hurt: Vec<&TableSalvage> = self.tables.iter().filter(is_hurt).collect();
        // Whoever approves reads the first of them.
        hurt.sort_by_key(|table| table.badness());
        let mut named: Vec<String> = hurt
            .iter()
            .take(TABLES_SHOWN)
            .map(ToString::to_string)
            .collect();
        match hurt.len().saturating_sub(TABLES_SHOWN) {
            0 => {}
            1 => named.push("and 1 more table, in the record".to_owned()),
            more => named.push(format!("and {more} more tables, in the record")),
        }
        if !named.is_empty() {
            words += &format!(" ({})", named.join("; "));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, saved: u64, lost: Lost, is_hurt: bool) -> TableSalvage {
        TableSalvage {
            table: name.to_owned(),
            saved,
            lost,
            merged: 0,
            is_hurt,
        }
    }

    fn summary(tables: &[TableSalvage]) -> String {
        SalvageReport {
            method: Method::Salvage,
            tables: tables.to_vec(),
            backup: Some("r".to_owned()),
            backup_digest: None,
            unassigned: 0,
            dangling: 0,
            counters: Vec::new(),
            notes: Vec::new(),
        }
        .summary()
    }

    #[test]
    fn the_worst_tables_stand_first() {
        let taken = TableSalvage {
            merged: 9,
            ..table("taken", 9, Lost::Exactly(0), true)
        };
        // As they are to be told, from the worst on; of the last nothing is lost.
        let told = [
            table("one and all", 0, Lost::Exactly(6), true),
            table("all of it", 0, Lost::NotKnown, true),
            table("many", 7, Lost::AtMost(300), true),
            table("one", 90, Lost::Exactly(1), true),
            table("damaged", 20, Lost::NotKnown, true),
            table("damaged elsewhere", 3000, Lost::NotKnown, true),
            table("empty or not", 0, Lost::NotKnown, false),
            table("uncounted", 5000, Lost::NotKnown, false),
            taken,
            table("fine", 1, Lost::Exactly(0), false),
        ];
        for better in 0..9 {
            let mut tables = told[better..].to_vec();
            tables.reverse();
            let words = summary(&tables);
            let (_, list) = words.split_once(" (").unwrap();
            let hurt = &told[better..9];
            let mut expect: Vec<String> = hurt.iter().take(5).map(ToString::to_string).collect();
            match hurt.len().saturating_sub(5) {
                0 => {}
                1 => expect.push("and 1 more table, in the record".to_owned()),
                more => expect.push(format!("and {more} more tables, in the record")),
            }
            assert_eq!(list, format!("{})", expect.join("; ")));
        }
    }
}
