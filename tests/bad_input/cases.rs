//! What a person wrote that cannot be meant: the configuration, `.env`, the command line.

use std::collections::BTreeMap;
use std::fs;

use crate::support::{Entry, Fixture, answer};

type Setup = fn(&Fixture);

struct Case {
    name: &'static str,
    setup: Setup,
    variables: &'static [(&'static str, &'static str)],
    arguments: &'static [&'static str],
    code: i32,
    words: &'static [&'static str],
}

const PLAIN: Case = Case {
    name: "",
    setup: |_| {},
    variables: &[],
    arguments: &[],
    code: 0,
    words: &[],
};

/// Each is told by what was wrong, why where it is known, and what to do.
const BAD_INPUT: [Case; 16] = [
    Case {
        name: "the database is empty",
        setup: |fixture| drop(fixture.write("var/grace.db", "")),
        code: 1,
        words: &[
            "var/grace.db is an empty file",
            "a copy failed",
            "restore a backup",
        ],
        ..PLAIN
    },
    Case {
        name: "the database is random bytes",
        setup: |fixture| drop(fixture.write("var/grace.db", [0xa5; 12_288])),
        code: 1,
        words: &[
            "is not an SQLite database",
            "does not begin with SQLite's header",
            "DATABASE_URL",
        ],
        ..PLAIN
    },
    Case {
        name: "the database is cut short",
        setup: |fixture| {
            fixture.boot(&[]);
            let bytes = fs::read(fixture.database()).unwrap();
            fs::write(fixture.database(), &bytes[..bytes.len() / 2]).unwrap();
        },
        code: 8,
        words: &[
            "ends before its last page",
            "a copy was cut short",
            "a kept copy can take its place",
        ],
        ..PLAIN
    },
    Case {
        name: "the log is there without its database",
        setup: |fixture| drop(fixture.write("var/grace.db-wal", "rows")),
        code: 1,
        words: &[
            "var/grace.db is gone, and var/grace.db-wal is still there",
            "do not delete",
        ],
        ..PLAIN
    },
    Case {
        name: "another engine's database",
        variables: &[(
            "DATABASE_URL",
            "postgresql+asyncpg://u:hunter2@db.example/grace",
        )],
        code: 78,
        words: &["PostgreSQL", "only SQLite is supported yet", "DATABASE_URL"],
        ..PLAIN
    },
    Case {
        name: ".env is a folder",
        setup: |fixture| fs::create_dir_all(fixture.path(".env")).unwrap(),
        code: 78,
        words: &[".env", "it is a folder", "move it away"],
        ..PLAIN
    },
    Case {
        name: ".env is no UTF-8",
        setup: |fixture| drop(fixture.write(".env", b"NAME=caf\xe9\n")),
        code: 78,
        words: &[".env", "UTF-8", "save the file as UTF-8"],
        ..PLAIN
    },
    Case {
        name: "a line of .env that means nothing",
        setup: |fixture| drop(fixture.write(".env", "A=1\nthis is no line\n")),
        code: 78,
        words: &[".env:2", "neither NAME=value nor a comment"],
        ..PLAIN
    },
    Case {
        name: "an unknown key in boot.toml",
        setup: |fixture| {
            drop(fixture.write("boot.toml", "name = \"grace\"\nwritable_folder = []\n"))
        },
        code: 78,
        words: &[
            "`writable_folder`",
            "boot.toml:2",
            "did you mean `writable_folders`?",
        ],
        ..PLAIN
    },
    Case {
        name: "a wrong type in boot.toml",
        setup: |fixture| drop(fixture.write("boot.toml", "\nport = \"eighty\"\n")),
        code: 78,
        words: &["`port`", "boot.toml:2", "number"],
        ..PLAIN
    },
    Case {
        name: "boot.toml is no TOML",
        setup: |fixture| drop(fixture.write("boot.toml", "name = \n")),
        code: 78,
        words: &["boot.toml:1", "invalid TOML"],
        ..PLAIN
    },
    Case {
        name: "--config names nothing",
        arguments: &["--config", "nowhere.toml"],
        code: 78,
        words: &["nowhere.toml", "--config", "name an existing file"],
        ..PLAIN
    },
    Case {
        name: "the port is no port",
        variables: &[("BOOT_PORT", "99999")],
        code: 78,
        words: &["BOOT_PORT", "1 to 65535"],
        ..PLAIN
    },
    Case {
        name: "a folder's name is a file's",
        setup: |fixture| drop(fixture.write("grace_training", "")),
        code: 1,
        words: &[
            "grace_training is a file and should be a folder",
            "move the file away",
            "create_folders was not run: it cannot heal all of this",
            "the report could not be written",
        ],
        ..PLAIN
    },
    Case {
        name: "an option that is none",
        arguments: &["--obsrve"],
        code: 2,
        words: &["--obsrve", "--observe"],
        ..PLAIN
    },
    Case {
        name: "a time that is none",
        arguments: &["--lock-timeout", "3 days"],
        code: 2,
        words: &["--lock-timeout", "units are ms, s and m"],
        ..PLAIN
    },
];

#[test]
fn bad_input_is_named_and_keeps_the_application_from_starting() {
    for case in BAD_INPUT {
        let fixture = Fixture::empty();
        (case.setup)(&fixture);
        let before = files(&fixture);
        let mut command = fixture.command();
        command
            .envs(case.variables.iter().copied())
            .args(case.arguments);
        let answer = answer(&mut command);
        eprintln!("{}", case.name);
        answer.says_at_once(case.code, case.words);
        assert!(before == files(&fixture), "something was changed");
        assert!(!answer.all().contains("panicked"), "{}", answer.all());
        if case.code == 2 || !fixture.path("logs").exists() {
            continue;
        }
        assert!(
            fixture.report().contains("Success: NO"),
            "{}",
            fixture.report()
        );
    }
}

/// What a person or an application wrote. Folders that are missing may be made before it is refused.
fn files(fixture: &Fixture) -> BTreeMap<String, Entry> {
    let mut files = fixture.tree_of_others();
    files.retain(|name, entry| entry.contents.is_some() && !name.starts_with("var/boot/"));
    files
}
