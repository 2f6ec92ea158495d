//! The files that a command of the application's runs by: who edits one of them changes what it does.
//!
//! They are those that its words name, the usual files of configuration in the folder that it runs in, the folders
//! that these name, and the usual folders of migrations. What those files import or read beyond is not known.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::model::CommandFile;

/// What migration tools read without being told.
const CONFIGURATIONS: [&str; 14] = [
    ".sequelizerc",
    "Rakefile",
    "alembic.ini",
    "atlas.hcl",
    "config/database.yml",
    "dbconfig.yml",
    "diesel.toml",
    "flyway.conf",
    "flyway.toml",
    "knexfile.js",
    "knexfile.ts",
    "liquibase.properties",
    "prisma/schema.prisma",
    "pyproject.toml",
];

/// Where they look for migrations without being told.
const FOLDERS: [&str; 6] = [
    "alembic",
    "db/migrate",
    "db/migrations",
    "migrations",
    "prisma/migrations",
    "sql",
];

/// What names the folder of migrations in a configuration.
const FOLDER_KEYS: [&str; 7] = [
    "changeLogFile",
    "dir",
    "directory",
    "locations",
    "migrations_dir",
    "script_location",
    "version_locations",
];

/// As many files are looked at; a folder with more is no folder of migrations.
const FILES_MAX: usize = 2_000;

/// As much of a file is read. What is behind it counts by its length.
const BYTES_MAX: u64 = 64 << 20;

/// What a run of the tool makes itself.
const MADE_BY_RUNS: [&str; 4] = ["__pycache__", ".git", "node_modules", "var"];

/// What stands in the place of the digest of a file that cannot be read.
const UNREADABLE: &str = "cannot be read";

/// The files that a command is run by, in `root`; `not` are those that it works on.
pub fn files_of(
    argv: &[String],
    root: &Path,
    search_path: Option<&str>,
    not: &[PathBuf],
) -> Vec<CommandFile> {
    let mut found = Found {
        root,
        not,
        files: BTreeMap::new(),
    };
    let Some((program, arguments)) = argv.split_first() else {
        return Vec::new();
    };
    if let Some(program) = program_of(program, root, search_path) {
        found.add(&program);
    }
    for (at, argument) in arguments.iter().enumerate() {
        let is_module = at > 0 && arguments[at - 1] == "-m";
        for word in words_of(argument) {
            found.add_configuration(&root.join(&word));
            if is_module {
                found.add_module(&word);
            }
        }
    }
    for name in CONFIGURATIONS {
        found.add_configuration(&root.join(name));
    }
    for name in FOLDERS {
        found.add(&root.join(name));
    }
    found.files.into_values().collect()
}

/// As it will be run, where that is below the root.
fn program_of(program: &str, root: &Path, search_path: Option<&str>) -> Option<PathBuf> {
    let path = match program.contains('/') || cfg!(windows) && program.contains('\\') {
        true => root.join(program),
        false => std::env::split_paths(search_path?)
            .map(|folder| root.join(folder).join(program))
            .find(|path| path.is_file())?,
    };
    path.starts_with(root).then_some(path)
}

/// An argument, what stands behind `=` in it, and the words of one that is a script.
fn words_of(argument: &str) -> Vec<String> {
    let mut words = vec![argument.to_owned()];
    words.extend(argument.split_once('=').map(|(_, value)| value.to_owned()));
    if argument.contains(char::is_whitespace) {
        words.extend(shlex::split(argument).unwrap_or_default());
    }
    words.retain(|word| !word.is_empty());
    words
}

struct Found<'a> {
    root: &'a Path,
    not: &'a [PathBuf],
    files: BTreeMap<PathBuf, CommandFile>,
}

impl Found<'_> {
    /// A file, or what is in a folder below the root; nothing where there is nothing of the kind.
    fn add(&mut self, path: &Path) {
        let path = &without_dots(path);
        if path.is_dir() {
            // The root itself is where it runs, not what it runs by.
            if path.starts_with(self.root) && !is_or_holds(path, self.root) {
                self.add_folder(path);
            }
            return;
        }
        let is_known = self.files.contains_key(path) || self.files.len() >= FILES_MAX;
        if is_known || !path.is_file() || self.is_worked_on(path) {
            return;
        }
        let shown = path.strip_prefix(self.root).unwrap_or(path);
        let file = CommandFile {
            path: shown.display().to_string(),
            sha256: digest(path).unwrap_or_else(|_| UNREADABLE.to_owned()),
        };
        self.files.insert(path.to_owned(), file);
    }

    fn is_worked_on(&self, path: &Path) -> bool {
        let real = path.canonicalize();
        let real = real.as_deref().unwrap_or(path);
        self.not.iter().any(|it| it == path || it == real)
    }

    fn add_folder(&mut self, folder: &Path) {
        // What cannot be listed says nothing of what it holds; the command will fail on it itself.
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let is_made = MADE_BY_RUNS.iter().any(|made| path.ends_with(made))
                || path.extension().is_some_and(|it| it == "pyc");
            // A link may lead round in a circle.
            let leads_elsewhere = path.is_symlink() && path.is_dir();
            if !is_made && !leads_elsewhere {
                self.add(&path);
            }
        }
    }

    /// A file, and the folders that it names.
    fn add_configuration(&mut self, path: &Path) {
        let path = &without_dots(path);
        self.add(path);
        if !self.files.contains_key(path) {
            return;
        }
        let mut text = Vec::new();
        let read = File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut text));
        if read.is_err() {
            return;
        }
        let here = path.parent().unwrap_or(self.root);
        for folder in folders_in(&String::from_utf8_lossy(&text)) {
            let folder = folder.replace("%(here)s", &here.to_string_lossy());
            // Alembic's `package:folder`.
            let folder = folder.replace(':', "/");
            self.add(&self.root.join(&folder));
            self.add(&here.join(&folder));
        }
    }

    /// A module that Python is to run.
    fn add_module(&mut self, name: &str) {
        let path = self.root.join(name.replace('.', "/"));
        self.add(&path.with_extension("py"));
        self.add(&path.join("__init__.py"));
        self.add(&path.join("__main__.py"));
    }
}

/// Each file in one spelling.
fn without_dots(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| *part != Component::CurDir)
        .collect()
}

/// Whether it is this folder, or one that holds it.
fn is_or_holds(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => other.starts_with(one),
        _ => true,
    }
}

/// What a configuration says where the migrations are.
fn folders_in(text: &str) -> Vec<String> {
    let mut folders = Vec::new();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(['=', ':']) else {
            continue;
        };
        if FOLDER_KEYS.contains(&key.trim().trim_matches(['"', '\''])) {
            let values = value.split([' ', ',', ';', '[', ']', '"', '\'']);
            folders.extend(values.filter(|it| !it.is_empty()).map(str::to_owned));
        }
    }
    folders
}

fn digest(path: &Path) -> Result<String, io::Error> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut digest = Sha256::new();
    let mut part = vec![0; 1 << 16];
    let mut rest = file.take(BYTES_MAX);
    loop {
        let read = rest.read(&mut part)?;
        if read == 0 {
            break;
        }
        digest.update(&part[..read]);
    }
    if length > BYTES_MAX {
        digest.update(length.to_le_bytes());
    }
    let bytes = digest.finalize();
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(argv: &[&str], root: &Path, search_path: Option<&str>) -> Vec<String> {
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        let not = [root.join("app.db")];
        let files = files_of(&argv, root, search_path, &not);
        files.into_iter().map(|file| file.path).collect()
    }

    fn root_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn what_a_command_names_and_its_configuration_is_found() {
        let root = root_with(&[
            ("up.py", "1"),
            ("bin/tool", "2"),
            ("app.db", "rows"),
            ("app/migrate.py", "3"),
            (
                "alembic.ini",
                "[alembic]\nscript_location = %(here)s/history\n",
            ),
            ("history/env.py", "4"),
            ("history/versions/1.py", "5"),
            ("history/versions/__pycache__/1.pyc", "6"),
            ("other.ini", "script_location = app:more"),
            ("app/more/1.py", "7"),
            ("unrelated.py", "8"),
        ]);
        let usual = ["alembic.ini", "history/env.py", "history/versions/1.py"];
        for (argv, own) in [
            (&["alembic", "upgrade", "head"][..], &[][..]),
            (&["python3", "up.py", "app.db", "."], &["up.py"]),
            (&["sh", "-c", "exec python3 'up.py'"], &["up.py"]),
            (&["./bin/tool"], &["bin/tool"]),
            (&["tool"], &["bin/tool"]),
            (&["python3", "-m", "app.migrate"], &["app/migrate.py"]),
            (
                &["alembic", "--config=other.ini"],
                &["app/more/1.py", "other.ini"],
            ),
        ] {
            let mut expected: Vec<&str> = usual.iter().chain(own).copied().collect();
            let mut seen = names(argv, root.path(), Some("bin:/usr/bin:/bin"));
            expected.sort_unstable();
            seen.sort_unstable();
            assert_eq!(seen, expected, "{argv:?}");
        }
    }

    #[test]
    fn another_text_is_another_digest() {
        let root = root_with(&[("up.py", "1")]);
        let of = || files_of(&["sh".into(), "up.py".into()], root.path(), None, &[]);
        let before = of();
        assert_eq!(before, of());
        std::fs::write(root.path().join("up.py"), "2").unwrap();
        assert_ne!(before, of());
    }
}
