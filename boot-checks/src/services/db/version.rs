use std::fmt;

/// A version of SQLite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SqliteVersion {
    major: u32,
    minor: u32,
    patch: u32,
}

/// The first release in which two processes that reset a write-ahead log at the same time cannot lose
/// committed rows (<https://www.sqlite.org/wal.html#walresetbug>).
pub const WAL_SAFE_FROM: SqliteVersion = SqliteVersion {
    major: 3,
    minor: 51,
    patch: 3,
};

impl SqliteVersion {
    /// From what `sqlite_version()` answers, such as `3.51.3`.
    pub fn parse(text: &str) -> Option<SqliteVersion> {
        let mut parts = text.split('.').map(str::parse);
        let mut next = || parts.next().unwrap_or(Ok(0)).ok();
        Some(SqliteVersion {
            major: next()?,
            minor: next()?,
            patch: next()?,
        })
    }

    /// Whether this SQLite may share a database with other processes.
    ///
    /// Safety: only a write-ahead log is in danger, and a boot always shares: the application opens the same database after it, or beside
    /// it.
    pub fn may_share(self, is_wal: bool) -> bool {
        !is_wal || self >= WAL_SAFE_FROM
    }
}

impl fmt::Display for SqliteVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_shared_log_under_an_old_sqlite_is_refused() {
        let cases = [
            ("3.51.3", true, true),
            ("3.51.2", true, false),
            ("3.51.2", false, true),
            ("3.7.17", true, false),
            ("3.52", true, true),
            ("4.0.0", true, true),
        ];
        for (version, is_wal, allowed) in cases {
            let parsed = SqliteVersion::parse(version).unwrap();
            assert_eq!(parsed.may_share(is_wal), allowed, "{version} {is_wal}");
        }
        assert_eq!(SqliteVersion::parse("no version"), None);
    }
}
