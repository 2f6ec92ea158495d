use proptest::prelude::*;

use super::*;

fn parse_at_root(url: &str) -> Result<DatabaseLocation, ConfigError> {
    parse(url, Path::new("/app"), &Place::Variable("DATABASE_URL"))
}

#[test]
fn each_dialect_means_one_path() {
    let cases = [
        ("sqlite:///./x.db", Some("/app/x.db")),
        ("sqlite:///x.db", Some("/app/x.db")),
        ("sqlite:////srv/x.db", Some("/srv/x.db")),
        (
            "sqlite+aiosqlite:///./backend/grace.db",
            Some("/app/backend/grace.db"),
        ),
        ("sqlite+aiosqlite:////srv/x.db", Some("/srv/x.db")),
        (
            "sqlite+pysqlite:///x.db?timeout=5&check_same_thread=false",
            Some("/app/x.db"),
        ),
        ("SQLite:///x.db", Some("/app/x.db")),
        ("sqlite3:x.db", Some("/app/x.db")),
        ("sqlite3:///x.db", Some("/app/x.db")),
        ("sqlite:x.db", Some("/app/x.db")),
        ("sqlite:./data/x.db", Some("/app/data/x.db")),
        ("sqlite:/srv/x.db", Some("/srv/x.db")),
        ("sqlite://x.db", Some("/app/x.db")),
        ("sqlite://data/x.db?mode=rwc", Some("/app/data/x.db")),
        ("sqlite:///../x.db", Some("/app/../x.db")),
        ("sqlite:///a%20b%C3%A9.db", Some("/app/a bé.db")),
        ("sqlite:///100%25.db", Some("/app/100%.db")),
        ("sqlite:///a%3Fb%23c.db", Some("/app/a?b#c.db")),
        ("sqlite:///a#b.db", Some("/app/a#b.db")),
        ("file:x.db", Some("/app/x.db")),
        ("file:./dev.db", Some("/app/dev.db")),
        ("file:/srv/x.db", Some("/srv/x.db")),
        ("file:///srv/x.db?mode=ro#part", Some("/srv/x.db")),
        ("file://localhost/srv/x.db", Some("/srv/x.db")),
        ("sqlite:file:x.db?mode=rwc&uri=true", Some("/app/x.db")),
        ("sqlite:///file:x.db?uri=true", Some("/app/x.db")),
        ("sqlite:///file:///srv/x.db?uri=true", Some("/srv/x.db")),
        ("  sqlite:///x.db\n", Some("/app/x.db")),
        ("sqlite:///x.db?immutable=0", Some("/app/x.db")),
        ("sqlite://", None),
        ("sqlite:", None),
        ("sqlite:///", None),
        ("sqlite::memory:", None),
        ("sqlite://:memory:", None),
        ("sqlite:///:memory:", None),
        ("file::memory:?cache=shared", None),
        (
            "sqlite:///file:name?mode=memory&cache=shared&uri=true",
            None,
        ),
    ];
    for (url, expect) in cases {
        let location = parse_at_root(url).unwrap_or_else(|err| panic!("{url}: {err}"));
        assert_eq!(location.path.as_deref(), expect.map(Path::new), "{url}");
        assert_eq!(location.url, url.trim());
    }
}

#[test]
fn what_cannot_be_understood_is_said() {
    let cases = [
        ("", UrlProblem::NoScheme),
        ("./grace.db", UrlProblem::NoScheme),
        ("/srv/x.db", UrlProblem::NoScheme),
        (r"C:\x.db", UrlProblem::NoScheme),
        (
            "sqllite:///x.db",
            UrlProblem::UnknownScheme {
                suggestion: Some("sqlite"),
            },
        ),
        ("gopher://x", UrlProblem::UnknownScheme { suggestion: None }),
        (
            "sqlite+aiosqllite:///x.db",
            UrlProblem::UnknownDriver {
                suggestion: "aiosqlite",
            },
        ),
        (
            "sqlite+PySQLite:///x.db",
            UrlProblem::UnknownDriver {
                suggestion: "pysqlite",
            },
        ),
        ("sqlite://user:pw@host/x.db", UrlProblem::NamesHost),
        ("file://elsewhere/x.db", UrlProblem::NamesHost),
        ("sqlite:///100%.db", UrlProblem::BadEscape),
        ("sqlite:///x%2", UrlProblem::BadEscape),
        ("sqlite:///x%+1.db", UrlProblem::BadEscape),
        ("sqlite:///%FF.db", UrlProblem::NotUtf8),
        ("sqlite:///a%00.db", UrlProblem::Nul),
        ("sqlite:///data/", UrlProblem::Folder),
        ("sqlite:///x.db?mode=rx", UrlProblem::BadMode),
        ("sqlite:///x.db?timeout=soon", UrlProblem::BadTimeout),
        ("sqlite:///x.db?timeout=-1", UrlProblem::BadTimeout),
        #[cfg(not(windows))]
        ("sqlite:///C:/x.db", UrlProblem::Drive),
        #[cfg(not(windows))]
        (r"sqlite:C:\x.db", UrlProblem::Drive),
        #[cfg(not(windows))]
        ("file:///C:/x.db", UrlProblem::Drive),
    ];
    for (url, expect) in cases {
        match parse_at_root(url) {
            Err(ConfigError::DatabaseUrl { problem, .. }) => assert_eq!(problem, expect, "{url}"),
            other => panic!("{url}: {other:?}"),
        }
    }
}

#[test]
fn a_driver_that_only_a_package_could_bring_is_kept() {
    for (url, expect) in [
        ("sqlite+libsql:///x.db", Some("libsql")),
        ("sqlite+:///x.db", Some("")),
        ("sqlite:///x.db", None),
        ("sqlite+pysqlcipher:///x.db", None),
        ("sqlite+pysqlite_numeric:///x.db", None),
    ] {
        let location = parse_at_root(url).unwrap();
        assert_eq!(location.foreign_driver.as_deref(), expect, "{url}");
    }
}

#[test]
fn options_that_trust_nobody_writes_are_refused() {
    for url in [
        "sqlite:///x.db?immutable=1",
        "sqlite:///x.db?mode=ro&nolock=on",
    ] {
        let found = parse_at_root(url);
        assert!(
            matches!(found, Err(ConfigError::UnsafeDatabaseOption { .. })),
            "{found:?}"
        );
    }
}

#[test]
fn other_engines_are_named_and_their_passwords_are_not() {
    let cases = [
        (
            "postgres://grace:hunter2@db.example/app",
            "PostgreSQL database `app` on `db.example`",
        ),
        (
            "postgresql+asyncpg://u:hunter2@h:5432/app?ssl=1",
            "PostgreSQL database `app` on `h:5432`",
        ),
        (
            "mysql+pymysql://u:hunter2@h/app",
            "MySQL database `app` on `h`",
        ),
        ("mariadb://u:hun/ter2@h/app", "MariaDB"),
    ];
    for (url, expect) in cases {
        let message = parse_at_root(url).unwrap_err().to_string();
        assert_eq!(
            message,
            format!(
                "unsupported database engine: {expect} (environment variable DATABASE_URL): \
                 only SQLite is supported yet"
            )
        );
    }
}

#[test]
fn only_known_options_are_shown() {
    let cases = [
        (
            "sqlite:///x.db?mode=rwc&key=hunter2",
            "sqlite:///x.db?mode=rwc&***",
        ),
        ("file:x.db?hunter2", "file:x.db?***"),
    ];
    for (url, expect) in cases {
        assert_eq!(parse_at_root(url).unwrap().display, expect);
    }
}

/// Every text that may be shown.
fn shown(result: &Result<DatabaseLocation, ConfigError>) -> String {
    match result {
        Ok(location) => format!("{} {location:?}", location.display),
        Err(err) => format!("{err} {err:?} {}", err.hint()),
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(url in r"((sqlite|file|sqlite3|postgres|[a-z+]{0,6}):)?(//?/?/?)?(\PC|[%/:@?#&=.\\\x00\n]){0,24}") {
        if let Ok(DatabaseLocation { path: Some(path), .. }) = parse_at_root(&url) {
            prop_assert!(path.is_absolute(), "{path:?}");
        }
    }

    #[test]
    fn no_password_is_shown(
        scheme in "(postgres|postgresql[+]asyncpg|mysql|mongodb[+]srv|sqlite|sqlite[+]pysqlcipher|nonsense)",
        user in "[a-z]{0,4}",
        before in r"[a-z0-9@/:?#%&=.]{0,3}",
        after in r"[a-z0-9@/:?#%&=.]{0,3}",
        tail in r"(@[a-z]{1,4}(:[0-9]{1,4})?/[a-z]{0,4}(\?[a-z]=[a-z@]{0,3})?)",
    ) {
        let url = format!("{scheme}://{user}:{before}hunter2{after}{tail}");
        let shown = shown(&parse_at_root(&url));
        prop_assert!(!shown.contains("hunter2"), "{url}: {shown}");
    }
}
