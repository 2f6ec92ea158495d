//! The tools that are compared, each used as its own documentation says, with its defaults.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::application::{Application, Migration};
use crate::bench::process::release;
use crate::output;

/// One of them.
pub(super) struct Tool {
    kind: Kind,
    program: PathBuf,
    version: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gate,
    SqlxMigrator,
    SqlxCli,
    Alembic,
}

/// Those that are here; says how the others are had.
pub(super) fn installed() -> anyhow::Result<Vec<Tool>> {
    let target = release(&["--bin", "xtask", "--example", "sqlx_migrator"])?;
    let mut tools = vec![
        Tool {
            kind: Kind::Gate,
            program: target.join("xtask"),
            version: String::new(),
        },
        Tool {
            kind: Kind::SqlxMigrator,
            program: target.join("examples/sqlx_migrator"),
            version: String::new(),
        },
    ];
    let others = [
        (
            Kind::SqlxCli,
            "sqlx",
            "cargo install sqlx-cli --no-default-features --features sqlite",
        ),
        (
            Kind::Alembic,
            "alembic",
            "python3 -m venv venv && venv/bin/pip install alembic, and venv/bin in PATH",
        ),
    ];
    for (kind, program, how) in others {
        match version(program) {
            Some(version) => tools.push(Tool {
                kind,
                program: program.into(),
                version,
            }),
            None => output::complain(&format!(
                "bench: `{program}` is not in PATH; to compare it: {how}"
            )),
        }
    }
    Ok(tools)
}

fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then(|| {
        text.split_whitespace()
            .last()
            .map(str::to_owned)
            .unwrap_or_default()
    })
}

const BOOT_TOML: &str = "name = \"orders\"
[database]
url = \"sqlite:///./app.db\"
[migrations]
folder = \"migrations\"
";

impl Tool {
    pub(super) fn title(&self) -> String {
        let name = match self.kind {
            Kind::Gate => "Grace Boot",
            Kind::SqlxMigrator => "sqlx's migrator",
            Kind::SqlxCli => "sqlx-cli",
            Kind::Alembic => "Alembic",
        };
        format!("{name} {}", self.version).trim_end().to_owned()
    }

    /// Whether it keeps its record as sqlx does.
    pub(super) fn is_sqlx(&self) -> bool {
        self.kind != Kind::Alembic
    }

    /// Its own files in an empty root.
    pub(super) fn set_up(&self, application: &Application) -> anyhow::Result<()> {
        let root = application.root();
        match self.kind {
            Kind::Gate => std::fs::write(root.join("boot.toml"), BOOT_TOML)?,
            Kind::SqlxMigrator | Kind::SqlxCli => {}
            Kind::Alembic => {
                let made = Command::new(&self.program)
                    .args(["init", "alembic"])
                    .current_dir(root)
                    .output()?;
                ensure!(made.status.success(), "`alembic init` failed");
                return self.set_up_copy(application);
            }
        }
        std::fs::create_dir(root.join("migrations"))?;
        Ok(())
    }

    /// Where the database is, for a tool that is told in a file.
    pub(super) fn set_up_copy(&self, application: &Application) -> anyhow::Result<()> {
        if self.kind != Kind::Alembic {
            return Ok(());
        }
        let ini = application.root().join("alembic.ini");
        let text = std::fs::read_to_string(&ini)?;
        let url = format!(
            "sqlalchemy.url = sqlite:///{}",
            application.database().display()
        );
        let lines = text.lines().map(|line| {
            let is_url = line.starts_with("sqlalchemy.url");
            if is_url { url.as_str() } else { line }
        });
        let text: Vec<&str> = lines.collect();
        std::fs::write(ini, text.join("\n"))?;
        Ok(())
    }

    pub(super) fn add(
        &self,
        application: &Application,
        migration: &Migration,
    ) -> anyhow::Result<()> {
        let version = migration.version;
        if self.kind == Kind::Alembic {
            let path = format!("alembic/versions/{version}_migration.py");
            let text = alembic_revision(migration);
            return std::fs::write(application.root().join(path), text).context("a revision");
        }
        let text: String = migration
            .statements
            .iter()
            .map(|sql| format!("{sql};\n"))
            .collect();
        std::fs::write(self.migration_file(application, version), text).context("a migration")
    }

    /// The file of a migration, which an editor may save in its own way.
    pub(super) fn migration_file(&self, application: &Application, version: u32) -> PathBuf {
        let path = match self.kind {
            Kind::Alembic => format!("alembic/versions/{version}_migration.py"),
            _ => format!("migrations/{version}_migration.sql"),
        };
        application.root().join(path)
    }

    /// Migrates; of the gate, boots.
    pub(super) fn command(&self, application: &Application) -> Command {
        let mut command = Command::new(&self.program);
        match self.kind {
            Kind::Gate => {
                command.args(["boot", "--root"]).arg(application.root());
                // What else may be said in the environment.
                command.env_remove("DATABASE_URL").env("BOOT_PORT", "1");
            }
            Kind::SqlxMigrator => {
                command.arg(application.database()).arg("migrations");
            }
            Kind::SqlxCli => {
                let url = format!("sqlite://{}?mode=rwc", application.database().display());
                command.args(["migrate", "run", "--database-url", &url]);
            }
            Kind::Alembic => {
                command
                    .args(["upgrade", "head"])
                    .env("PYTHONDONTWRITEBYTECODE", "1");
            }
        }
        command
    }
}

/// As `alembic revision` writes it: each follows the newest one that there was.
fn alembic_revision(migration: &Migration) -> String {
    let down = match migration.version {
        1 => "None",
        _ => "'1'",
    };
    let statements: String = migration
        .statements
        .iter()
        .map(|sql| format!("    op.execute(\"\"\"{sql}\"\"\")\n"))
        .collect();
    format!(
        "from alembic import op\n\nrevision = '{}'\ndown_revision = {down}\nbranch_labels = None\n\
         depends_on = None\n\ndef upgrade():\n{statements}\ndef downgrade():\n    pass\n",
        migration.version
    )
}
