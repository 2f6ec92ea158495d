use std::fs;
use std::time::Duration;

use super::super::{RequiredColumn, RequiredRecords, RequiredTable};
use super::*;

/// A root with these files, and the inputs that point at it.
struct Fixture {
    root: tempfile::TempDir,
    inputs: Inputs,
}

impl Fixture {
    fn new(files: &[(&str, &str)]) -> Fixture {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(root.path().join(name), text).unwrap();
        }
        let inputs = Inputs {
            root: Some(root.path().to_owned()),
            current_dir: "/".into(),
            ..Inputs::default()
        };
        Fixture { root, inputs }
    }

    fn variable(mut self, name: &str, value: &str) -> Fixture {
        self.inputs
            .variables
            .insert(name.to_owned(), value.to_owned());
        self
    }

    fn load(&self) -> BootConfig {
        load(&self.inputs).unwrap()
    }

    /// Message and hint, with the root as `/app`.
    fn complaint(&self) -> String {
        let err = load(&self.inputs).unwrap_err();
        let text = format!("{err}\n  {}\n", err.hint());
        text.replace(self.root.path().to_str().unwrap(), "/app")
    }
}

#[test]
fn with_nothing_typed_grace_is_meant() {
    let fixture = Fixture::new(&[]);
    let config = fixture.load();
    let root = fixture.root.path();
    assert_eq!(config.application, "grace");
    assert_eq!(config.config_file, None);
    assert_eq!(config.database.value.path, Some(root.join("var/grace.db")));
    assert_eq!(config.database.source, Source::Default);
    assert_eq!(config.migrations, Migrations::BuiltIn);
    assert_eq!(config.port, Some(8000));
    assert_eq!(config.required_secrets, ["SECRET_KEY", "DATABASE_URL"]);
    assert_eq!(config.env_file, root.join(".env"));
    assert_eq!(
        config.writable_folders,
        ["logs", "var", "grace_training"].map(|name| root.join(name))
    );
    let tables: Vec<_> = config
        .tables
        .iter()
        .map(|table| (table.name.as_str(), table.columns.len()))
        .collect();
    assert_eq!(
        tables,
        [
            ("verification_events", 11),
            ("playbooks", 10),
            ("meta_loop_configs", 7)
        ]
    );
    assert_eq!(config.records.len(), 2);
}

#[test]
fn another_application_has_neutral_defaults() {
    let config = Fixture::new(&[(
        "boot.toml",
        "name = 'orders'\ndatabase.url = 'sqlite:///o.db'\n",
    )])
    .load();
    assert_eq!(config.migrations, Migrations::None);
    assert_eq!(
        (config.tables.len(), config.records.len(), config.port),
        (0, 0, None)
    );
    assert!(config.required_secrets.is_empty());
    assert_eq!(config.writable_folders, [config.root.join("logs")]);
}

#[test]
fn every_key_arrives() {
    let fixture = Fixture::new(&[(
        "boot.toml",
        "\u{feff}name = 'orders'\r\nport = 0x1F90\r\nenv_file = 'conf/app.env'\r\n\
         required_secrets = ['A']\r\nwritable_folders = ['../spool', '/var/x']\r\n\
         [database]\nurl = 'sqlite:///./orders.db'\n\
         [migrations]\ncommand = ['alembic', 'upgrade', 'head']\ncheck = ['alembic', 'current']\ntimeout_seconds = 7\n\
         [tables]\norders = ['id', 'total REAL']\nitems = []\n\
         [records.orders]\nfields = ['id']\nat_least = 3\n[records.items]\n",
    )]);
    let config = fixture.load();
    let root = fixture.root.path();
    assert_eq!(config.config_file, Some(root.join("boot.toml")));
    assert_eq!(
        (config.application.as_str(), config.port),
        ("orders", Some(8080))
    );
    assert_eq!(config.env_file, root.join("conf/app.env"));
    assert_eq!(config.required_secrets, ["A"]);
    assert_eq!(
        config.writable_folders,
        [root.join("../spool"), "/var/x".into()]
    );
    assert_eq!(config.database.value.path, Some(root.join("orders.db")));
    assert_eq!(config.database.source, Source::ConfigFile);
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let external = Migrations::External {
        apply: words("alembic upgrade head"),
        check: Some(words("alembic current")),
        timeout: Duration::from_secs(7),
    };
    assert_eq!(config.migrations, external);
    let column = |name: &str, declared_type: Option<&str>| RequiredColumn {
        name: name.to_owned(),
        declared_type: declared_type.map(str::to_owned),
    };
    let orders = vec![column("id", None), column("total", Some("REAL"))];
    let table = |name: &str, columns| RequiredTable {
        name: name.to_owned(),
        columns,
    };
    assert_eq!(
        config.tables,
        [table("orders", orders), table("items", vec![])]
    );
    let records = |table: &str, fields: &[&str], at_least| RequiredRecords {
        table: table.to_owned(),
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        at_least,
    };
    assert_eq!(
        config.records,
        [records("orders", &["id"], 3), records("items", &[], 0)]
    );
}

#[test]
fn the_stronger_source_wins() {
    let files = [
        (
            "boot.toml",
            "port = 1\ndatabase.url = 'sqlite:///toml.db'\n",
        ),
        (".env", "DATABASE_URL=sqlite:///env-file.db\nBOOT_PORT=2\n"),
    ];
    let database = |fixture: &Fixture| {
        let database = fixture.load().database;
        let name = database
            .value
            .path
            .unwrap()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        (name, database.source)
    };
    let fixture = Fixture::new(&files[..1]);
    assert_eq!(
        database(&fixture),
        ("toml.db".to_owned(), Source::ConfigFile)
    );
    assert_eq!(fixture.load().port, Some(1));
    let fixture = Fixture::new(&files);
    assert_eq!(
        database(&fixture),
        ("env-file.db".to_owned(), Source::EnvFile)
    );
    assert_eq!(fixture.load().port, Some(2));
    let mut fixture = fixture
        .variable("DATABASE_URL", "sqlite:///environment.db")
        .variable("BOOT_PORT", "3");
    assert_eq!(
        database(&fixture),
        ("environment.db".to_owned(), Source::Environment)
    );
    assert_eq!(fixture.load().port, Some(3));
    fixture.inputs.database_url = Some("sqlite:///flag.db".to_owned());
    assert_eq!(database(&fixture), ("flag.db".to_owned(), Source::Flag));
}

#[test]
fn the_named_file_is_read() {
    let files = [
        ("boot.toml", "port = 1"),
        ("a.toml", "port = 2"),
        ("b.toml", "port = 3"),
    ];
    let fixture = Fixture::new(&files);
    let named = |name: &str| fixture.root.path().join(name);
    let mut inputs = fixture.inputs.clone();
    inputs.current_dir = fixture.root.path().to_owned();
    inputs
        .variables
        .insert("BOOT_CONFIG".to_owned(), "a.toml".to_owned());
    let config = load(&inputs).unwrap();
    assert_eq!(
        (config.port, config.config_file),
        (Some(2), Some(named("a.toml")))
    );
    inputs.config = Some("b.toml".into());
    let config = load(&inputs).unwrap();
    assert_eq!(
        (config.port, config.config_file),
        (Some(3), Some(named("b.toml")))
    );
}

#[test]
fn each_fault_of_boot_toml_is_told() {
    let texts = [
        "name = 'hunter2",
        "port = 80\nport = 81",
        "\u{feff}\n  prot = 8000",
        "colour = 'red'",
        "[database]\nuri = 'sqlite:///x.db'",
        "[migrations]\nsource = 'none'\ntimeout-seconds = 1",
        "records.orders = { 'é' = 1, atleast = 1 }",
        "database = 'postgres://u:hunter2@h/d'",
        "port = 'hunter2'",
        "port = 65536",
        "port = -1",
        "env_file = \"a\\u0000b\"",
        "writable_folders = [\"logs\", \"a\\u0000b\"]",
        "writable_folders = ['logs', 1]",
        "name = ''",
        "[migrations]",
        "[migrations]\nsource = 'built-in'\nfolder = 'm'",
        "[migrations]\nsource = 'alembic'",
        "[migrations]\ncommand = []",
        "[migrations]\ncommand = ['a']\ncheck = ['']",
        "[migrations]\ncommand = ['a']\ntimeout_seconds = 0",
        "[migrations]\nfolder = 'nowhere'",
        "[migrations]\nsource = 'built-in'\ncheck = ['a']",
        "[tables]\norders = ['id', 'ID REAL']",
        "[tables]\norders = ['\"open']",
        "[tables.orders]\nid = 'REAL'",
        "[records.orders]\nat_least = -1",
        "name = 'orders'",
        "database.url = './grace.db'",
        "database.url = 'sqllite:///x.db'",
        "database.url = 'sqlite:///x.db?immutable=1'",
        "database.url = 'postgresql+asyncpg://u:hunter2@h/d'",
        "python.entrypoint = 'a'",
        "python.packages = ['../up']",
        "python.timeout_seconds = 1",
        "[python.imports]\n'a b:C' = []",
        "[python.imports]\na = ['x']",
    ];
    let complaints: String = texts
        .iter()
        .map(|text| Fixture::new(&[("boot.toml", text)]).complaint())
        .collect();
    assert!(!complaints.contains("hunter2"), "{complaints}");
    insta::assert_snapshot!(complaints, @r#"
    invalid TOML: /app/boot.toml:1:16: invalid literal string, expected `'`
      correct the line; the syntax is TOML 1.1
    invalid TOML: /app/boot.toml:2:1: duplicate key
      correct the line; the syntax is TOML 1.1
    unknown key: `prot` (/app/boot.toml:2:3): boot.toml has no such key
      did you mean `port`?
    unknown key: `colour` (/app/boot.toml:1:1): boot.toml has no such key
      known keys: name, port, env_file, required_secrets, writable_folders, database, migrations, tables, records, python
    unknown key: `database.uri` (/app/boot.toml:2:1): [database] has no such key
      did you mean `url`?
    unknown key: `migrations.timeout-seconds` (/app/boot.toml:3:1): [migrations] has no such key
      did you mean `timeout_seconds`?
    unknown key: `records.orders.é` (/app/boot.toml:1:20): [records.orders] has no such key
      known keys: fields, at_least
    wrong type: `database` (/app/boot.toml:1:12): expected a table, found a text
      write a table
    wrong type: `port` (/app/boot.toml:1:8): expected a whole number, found a text
      write a whole number
    invalid value: `port` (/app/boot.toml:1:8): a port is a number from 1 to 65535
      correct the value, or take the key out
    invalid value: `port` (/app/boot.toml:1:8): a port is a number from 1 to 65535
      correct the value, or take the key out
    invalid value: `env_file` (/app/boot.toml:1:12): a text here must not contain NUL
      correct the value, or take the key out
    invalid value: `writable_folders` (/app/boot.toml:1:29): a text here must not contain NUL
      correct the value, or take the key out
    wrong type: `writable_folders` (/app/boot.toml:1:29): expected a list of texts in quotes, found a whole number
      write a list of texts in quotes
    invalid value: `name` (/app/boot.toml:1:8): a text here must not be empty
      correct the value, or take the key out
    missing key: `[migrations]` (/app/boot.toml:1:2): it names no source of migrations
      give exactly one of `source`, `folder` and `command`
    contradicting keys: `migrations.folder` (/app/boot.toml:3:1): `migrations.source` is given too
      keep one of the two
    invalid value: `migrations.source` (/app/boot.toml:2:10): the sources are "built-in" and "none"
      correct the value, or take the key out
    empty command: `migrations.command` (/app/boot.toml:2:1): its first item must name a program
      write program and arguments, as in ["alembic", "upgrade", "head"]
    empty command: `migrations.check` (/app/boot.toml:3:1): its first item must name a program
      write program and arguments, as in ["alembic", "upgrade", "head"]
    invalid value: `migrations.timeout_seconds` (/app/boot.toml:3:19): a command may take from 1 second to 86400
      correct the value, or take the key out
    missing folder: /app/nowhere (/app/boot.toml:2:10): there is no such folder of migrations
      create the folder, or name the one that holds <VERSION>_<NAME>.sql
    missing key: `migrations.check` (/app/boot.toml:3:1): it stands beside a command only
      add `command = ["program", "argument"]`, or take the key out
    invalid value: `tables.orders` (/app/boot.toml:2:17): the column is named twice
      correct the value, or take the key out
    invalid value: `tables.orders` (/app/boot.toml:2:11): a column is `name` or `name TYPE`
      correct the value, or take the key out
    wrong type: `tables.orders` (/app/boot.toml:1:1): expected a list of texts in quotes, found a table
      write a list of texts in quotes
    invalid value: `records.orders.at_least` (/app/boot.toml:2:12): a count of rows is not negative
      correct the value, or take the key out
    no database: application `orders` (/app/boot.toml): neither DATABASE_URL nor `[database] url` is set
      set DATABASE_URL, or write `url = "sqlite:///./app.db"` under `[database]`
    invalid database URL: /app/boot.toml:1:16: it has no scheme
      put `sqlite:///` before a relative path, `sqlite:////` before `srv/x.db` for an absolute one
    invalid database URL: /app/boot.toml:1:16: its scheme is unknown
      did you mean `sqlite`?
    unsafe database option: `immutable=1` (/app/boot.toml:1:16): it shows stale rows: SQLite then ignores the WAL
      take the option out of the URL
    unsupported database engine: PostgreSQL database `d` on `h` (/app/boot.toml:1:16): only SQLite is supported yet
      point the gate at a SQLite database, or start without it
    unknown key: `python.entrypoint` (/app/boot.toml:1:8): [python] has no such key
      did you mean `entry_point`?
    invalid value: `python.packages` (/app/boot.toml:1:20): a package is a dotted name below the root, such as "backend"
      correct the value, or take the key out
    invalid value: `python.timeout_seconds` (/app/boot.toml:1:26): it stands beside `interpreter`, and there is none
      correct the value, or take the key out
    invalid value: `python.imports.a b:C` (/app/boot.toml:2:1): it is written "package.module:Class" or "package.module"
      correct the value, or take the key out
    invalid value: `python.imports.a` (/app/boot.toml:2:6): attributes are those of a class: write "package.module:Class"
      correct the value, or take the key out
    "#);
}

#[test]
fn each_fault_of_files_and_variables_is_told() {
    let mut complaints = String::new();
    let mut tell = |fixture: Fixture| complaints.push_str(&fixture.complaint());
    let with = |change: &dyn Fn(&mut Fixture)| {
        let mut fixture = Fixture::new(&[("file", "")]);
        change(&mut fixture);
        fixture
    };
    tell(with(&|f| {
        f.inputs.root = Some(f.root.path().join("absent"))
    }));
    tell(with(&|f| f.inputs.root = Some(f.root.path().join("file"))));
    tell(with(&|f| {
        f.inputs.root = Some(f.root.path().join("file/below"))
    }));
    tell(with(&|f| {
        f.inputs.config = Some(f.root.path().join("absent.toml"))
    }));
    tell(with(&|f| {
        fs::create_dir(f.root.path().join("boot.toml")).unwrap()
    }));
    tell(with(&|f| {
        fs::create_dir(f.root.path().join(".env")).unwrap()
    }));
    tell(with(&|f| {
        fs::write(f.root.path().join("boot.toml"), b"a\n\xFF").unwrap()
    }));
    tell(with(&|f| {
        fs::write(f.root.path().join(".env"), b"A=1\nB=\xFF").unwrap()
    }));
    tell(with(&|f| {
        fs::write(f.root.path().join(".env"), vec![b'#'; 1024 * 1024 + 1]).unwrap()
    }));
    tell(Fixture::new(&[(
        ".env",
        "A=1\nSECRET_KEY=two words hunter2\n",
    )]));
    tell(Fixture::new(&[(
        ".env",
        "DATABASE_URL=mysql://u:hunter2@h/d\n",
    )]));
    tell(Fixture::new(&[(".env", "BOOT_PORT=hunter2\n")]));
    tell(Fixture::new(&[]).variable("BOOT_PORT", "0"));
    tell(Fixture::new(&[]).variable("DATABASE_URL", "hunter2"));
    assert!(!complaints.contains("hunter2"), "{complaints}");
    insta::assert_snapshot!(complaints, @r#"
    missing root: /app/absent (--root): there is no such folder
      name the application's folder with --root or BOOT_ROOT
    root is not a folder: /app/file (--root): it is a file
      name the application's folder with --root or BOOT_ROOT
    unreadable: /app/file/below (--root): Not a directory (os error 20)
      let the user that runs the boot read it, or name another path
    missing file: /app/absent.toml (--config): there is no such file
      name an existing file, or leave it out: without boot.toml Grace's defaults hold
    not a file: /app/boot.toml (the default place): it is a folder
      move it away, or name another file
    not a file: /app/.env (the default place): it is a folder
      move it away, or name another file
    not UTF-8: /app/boot.toml:2: the line has a byte that is not UTF-8
      save the file as UTF-8
    not UTF-8: /app/.env:2: the line has a byte that is not UTF-8
      save the file as UTF-8
    file too large: /app/.env (the default place): over 1048576 bytes
      check that this is the file that was meant
    invalid line: /app/.env:2: neither NAME=value nor a comment
      put the value in single quotes, and close every quote
    unsupported database engine: MySQL database `d` on `h` (DATABASE_URL in /app/.env): only SQLite is supported yet
      point the gate at a SQLite database, or start without it
    invalid value: `BOOT_PORT` (BOOT_PORT in /app/.env): a port is a number from 1 to 65535
      correct the value, or take the key out
    invalid value: `BOOT_PORT` (environment variable BOOT_PORT): a port is a number from 1 to 65535
      correct the value, or take the key out
    invalid database URL: environment variable DATABASE_URL: it has no scheme
      put `sqlite:///` before a relative path, `sqlite:////` before `srv/x.db` for an absolute one
    "#);
}

#[cfg(unix)]
#[test]
fn pipes_are_not_opened_and_broken_links_are_not_passed_over() {
    use std::os::unix::fs::symlink;
    let fixture = Fixture::new(&[]);
    let at = |name: &str| fixture.root.path().join(name);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at(".env"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    let pipe = fixture.complaint();
    fs::remove_file(at(".env")).unwrap();
    symlink("nowhere", at("boot.toml")).unwrap();
    insta::assert_snapshot!(pipe + &fixture.complaint(), @r#"
    not a file: /app/.env (the default place): it is a pipe or a device
      move it away, or name another file
    unreadable: /app/boot.toml (the default place): No such file or directory (os error 2)
      let the user that runs the boot read it, or name another path
    "#);
}
