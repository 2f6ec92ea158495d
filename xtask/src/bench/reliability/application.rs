//! An application whose database one of the tools migrates.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use boot_checks::model::SqlValue;
use boot_checks::services::db::{Access, Connection};

use super::tools::Tool;

/// Rows of the application's own.
pub(super) const ROWS: i64 = 1_000;

/// One migration, a statement each.
pub(super) struct Migration {
    pub(super) version: u32,
    pub(super) statements: &'static [&'static str],
}

pub(super) const FIRST: Migration = Migration {
    version: 1,
    statements: &[
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, total REAL, note TEXT)",
        "CREATE INDEX orders_by_total ON orders (total)",
        "CREATE TABLE lines (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL \
         REFERENCES orders (id) ON DELETE CASCADE)",
        "CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT)",
    ],
};

/// How SQLite's documentation changes what ALTER TABLE cannot.
pub(super) const REBUILD: Migration = Migration {
    version: 3,
    statements: &[
        "CREATE TABLE new_orders (id INTEGER PRIMARY KEY, total REAL NOT NULL, note TEXT)",
        "INSERT INTO new_orders SELECT id, total, note FROM orders",
        "DROP TABLE orders",
        "ALTER TABLE new_orders RENAME TO orders",
        "CREATE INDEX orders_by_total ON orders (total)",
    ],
};

/// A root folder; gone when dropped.
pub(super) struct Application {
    folder: tempfile::TempDir,
}

impl Application {
    /// With the first migration applied by the tool itself, and rows in it.
    pub(super) fn with_rows(tool: &Tool) -> anyhow::Result<Application> {
        let application = Application::empty()?;
        tool.set_up(&application)?;
        tool.add(&application, &FIRST)?;
        application.must_run(tool)?;
        application.execute(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
             INSERT INTO orders SELECT i, i * 0.5, 'order ' || i FROM n"
        ))?;
        Ok(application)
    }

    /// The same with the rebuild pending.
    pub(super) fn with_a_pending_rebuild(tool: &Tool) -> anyhow::Result<Application> {
        let application = Application::with_rows(tool)?;
        tool.add(&application, &REBUILD)?;
        Ok(application)
    }

    /// In memory where that is possible: what is tested is the order of calls, not the disk.
    fn empty() -> anyhow::Result<Application> {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory)?
        } else {
            tempfile::tempdir()?
        };
        Ok(Application { folder })
    }

    pub(super) fn copy(&self, tool: &Tool) -> anyhow::Result<Application> {
        let copy = Application::empty()?;
        copy_folder(self.root(), copy.root())?;
        tool.set_up_copy(&copy)?;
        Ok(copy)
    }

    pub(super) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn database(&self) -> PathBuf {
        self.root().join("app.db")
    }

    pub(super) fn run(&self, tool: &Tool) -> anyhow::Result<Output> {
        let mut command = self.command(tool);
        command
            .output()
            .with_context(|| format!("cannot run {command:?}"))
    }

    pub(super) fn command(&self, tool: &Tool) -> Command {
        let mut command = tool.command(self);
        command.current_dir(self.root()).stdin(Stdio::null());
        command
    }

    pub(super) fn must_run(&self, tool: &Tool) -> anyhow::Result<()> {
        let output = self.run(tool)?;
        let words = words(&output);
        ensure!(output.status.success(), "{}: {words}", tool.title());
        Ok(())
    }

    pub(super) fn open(&self) -> anyhow::Result<Connection> {
        Ok(Connection::open(
            &self.database(),
            Access::ReadWrite,
            Duration::from_secs(1),
        )?)
    }

    pub(super) fn execute(&self, sql: &str) -> anyhow::Result<()> {
        let mut connection = self.open()?;
        connection.execute(sql)?;
        connection.close();
        Ok(())
    }

    /// A number; zero where the question cannot be answered, such as for a table that is gone.
    pub(super) fn number(&self, sql: &str) -> i64 {
        let Ok(mut connection) = self.open() else {
            return 0;
        };
        let found = connection.scalar(sql);
        connection.close();
        match found {
            Ok(SqlValue::Integer(number)) => number,
            _ => 0,
        }
    }

    /// Rows of the application that are gone. Those that wait under the rebuilt table's temporary name
    /// are not.
    pub(super) fn lost(&self) -> i64 {
        let there = |table: &str| {
            self.number(&format!(
                "SELECT count(*) FROM {table} WHERE note = 'order ' || id"
            ))
        };
        ROWS - there("orders").max(there("new_orders"))
    }

    /// Whether the rebuild is there, once and whole.
    pub(super) fn is_rebuilt(&self) -> bool {
        let not_null =
            "SELECT count(*) FROM pragma_table_info('orders') WHERE name = 'total' AND \"notnull\"";
        let rest = "SELECT count(*) FROM sqlite_schema WHERE name = 'new_orders'";
        let index = "SELECT count(*) FROM sqlite_schema WHERE name = 'orders_by_total'";
        self.number(not_null) == 1 && self.number(rest) == 0 && self.number(index) == 1
    }
}

pub(super) fn words(output: &Output) -> String {
    let mut all = String::from_utf8_lossy(&output.stdout).into_owned();
    all += &String::from_utf8_lossy(&output.stderr);
    all.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            std::fs::create_dir(&target)?;
            copy_folder(&path, &target)?;
        } else {
            std::fs::copy(&path, &target)?;
        }
    }
    Ok(())
}
