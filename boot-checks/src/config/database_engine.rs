//! Database URLs of other engines: far enough to name host and database, never a password.

/// Schemes of engines other than SQLite, without their `+driver`.
const ENGINES: [(&str, &str); 17] = [
    ("postgres", "PostgreSQL"),
    ("postgresql", "PostgreSQL"),
    ("postgis", "PostgreSQL"),
    ("cockroachdb", "CockroachDB"),
    ("mysql", "MySQL"),
    ("mysql2", "MySQL"),
    ("mariadb", "MariaDB"),
    ("mssql", "SQL Server"),
    ("sqlserver", "SQL Server"),
    ("oracle", "Oracle"),
    ("mongodb", "MongoDB"),
    ("duckdb", "DuckDB"),
    ("libsql", "libSQL"),
    ("redis", "Redis"),
    ("snowflake", "Snowflake"),
    ("bigquery", "BigQuery"),
    ("redshift", "Redshift"),
];

/// The engine that a scheme without its driver names.
pub(super) fn engine_of(dialect: &str) -> Option<&'static str> {
    ENGINES
        .iter()
        .find(|(scheme, _)| dialect.eq_ignore_ascii_case(scheme))
        .map(|(_, engine)| *engine)
}

/// Host and database of what follows the scheme's colon.
///
/// Passwords are often not escaped, so that parts of them may look like host or path. Either name
/// is given only where no reading of the text makes it a part of the user information: there is
/// no `@`, or exactly one, and it stands before the first `/`, `?` and `#`; and only of letters
/// that such names have.
pub(super) fn host_and_database(rest: &str) -> (Option<String>, Option<String>) {
    let Some(rest) = rest.strip_prefix("//") else {
        return (None, None);
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let host = match (authority.split_once('@'), rest.matches('@').count()) {
        (Some((_user_info, host)), 1) => host,
        // `user:password` that lacks its host looks like `host:port` with an odd port.
        (None, 0) if port_is_plain(authority) => authority,
        _ => return (None, None),
    };
    let path = tail.strip_prefix('/').unwrap_or_default();
    let database = &path[..path.find(['?', '#']).unwrap_or(path.len())];
    (shown(host, ".-_:,[]"), shown(database, ".-_"))
}

fn port_is_plain(authority: &str) -> bool {
    match authority.rsplit_once(':') {
        Some((_, port)) => port.bytes().all(|byte| byte.is_ascii_digit()),
        None => true,
    }
}

fn shown(name: &str, punctuation: &str) -> Option<String> {
    let plain = |c: char| c.is_alphanumeric() || punctuation.contains(c);
    (!name.is_empty() && name.chars().all(plain)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_database_are_named_only_where_no_password_can_be_meant() {
        let cases = [
            (
                "//u:p@db.example:5432/grace?ssl=1",
                Some("db.example:5432"),
                Some("grace"),
            ),
            ("//db.example/grace", Some("db.example"), Some("grace")),
            ("//[::1]:5432/grace", Some("[::1]:5432"), Some("grace")),
            ("///grace?host=/run/pg&password=x", None, Some("grace")),
            ("//u:p@h", Some("h"), None),
            ("//u:pa/ss@h/db", None, None),
            ("//u:p@ss@h/db", None, None),
            ("//u:p?x@h/db", None, None),
            ("//u:hunter2", None, None),
            ("u:p@h/db", None, None),
            ("", None, None),
        ];
        for (rest, host, database) in cases {
            let (found_host, found_database) = host_and_database(rest);
            assert_eq!(
                (found_host.as_deref(), found_database.as_deref()),
                (host, database),
                "{rest}"
            );
        }
    }
}
