//! What an incident looks like, as data: how to make its state for real, and what must come of it.
//! Also of the states in which there is nothing to heal, and which a hasty gate would heal.
//!
//! The source is `replay.toml` beside a pattern, and the files below `root/` beside that. The build
//! reads it with these very types, so a mistake is found before anything runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One state with what must come of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// The state, in a line.
    pub title: String,
    /// Variables of the application's environment, over those of the sandbox.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// How the state is made, in order.
    #[serde(default)]
    pub arrange: Vec<Arrangement>,
    /// How the error shows itself to the application.
    #[serde(default)]
    pub errors: Vec<Probe>,
    /// What a person does who follows the advice, where no playbook heals it.
    #[serde(default)]
    pub remedy: Vec<Arrangement>,
    /// What must come of it.
    pub expect: Expectation,
}

/// One thing that is done to make a state. A closed set: whatever a fixture needs has a name here.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Arrangement {
    /// Statements in the application's database.
    Sql {
        /// Run in order.
        run: String,
    },
    /// The database is made anew with the gate's own migrations up to this one only.
    MigratedTo {
        /// The last version that is applied.
        version: i64,
    },
    /// A file is written; its folders are made.
    File {
        /// Below the application's root.
        path: String,
        /// Everything that it holds.
        text: String,
    },
    /// A file is removed.
    NoFile {
        /// Below the application's root.
        path: String,
    },
    /// A file is copied; its folders are made.
    Copy {
        /// Below the application's root.
        from: String,
        /// Below the application's root.
        to: String,
    },
    /// Another program has the database open, has run these statements, and stays.
    LockHolder {
        /// Run in order.
        run: String,
        /// What it runs when it is done.
        end: String,
    },
    /// Another program ran these statements and was killed before it could close the database.
    KilledWriter {
        /// Run in order.
        run: String,
    },
    /// Another program listens on the application's port.
    PortListener,
    /// Every other program that the fixture started ends, as its owner would end it.
    ProgramsEnd,
    /// A page of the database is overwritten: the root page of this table.
    DamagedTable {
        /// The table.
        table: String,
    },
    /// A folder becomes a file system of its own with this size, filled to the last byte.
    FullDisk {
        /// Below the application's root; what is in it stays.
        folder: String,
        /// Size of the file system.
        size_kib: u32,
        /// The file that took all of the room, below the root.
        filled_by: String,
    },
}

/// How an error is brought about for real, and what it must say.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum Probe {
    /// A statement in the application's database, which must be there and open: an error of opening it
    /// is shown by a Python program.
    Sqlite {
        /// The statement.
        run: String,
        /// A part of the message.
        says: String,
        /// It is shown only: no heal makes it go, since the application would no longer do this.
        #[serde(default)]
        for_show: bool,
    },
    /// A Python program in the application's root, with the application's environment.
    Python {
        /// Its text.
        run: String,
        /// Variables over the application's.
        #[serde(default)]
        environment: BTreeMap<String, String>,
        /// A part of the message.
        says: String,
        /// It is shown only: no heal makes it go, since it is another machine's.
        #[serde(default)]
        for_show: bool,
    },
    /// Binding the application's port.
    Port {
        /// A part of the message.
        says: String,
    },
    /// Writing a file of 64 KiB.
    Write {
        /// Below the application's root.
        path: String,
        /// A part of the message.
        says: String,
    },
}

/// What must come of a state.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// How it ends.
    pub outcome: Outcome,
    /// What it ends in when a person approves, where governance asks one.
    pub approved: Option<Outcome>,
    /// The step that finds it, or that looks and must find nothing.
    #[serde(default)]
    pub step: String,
    /// The finding's code.
    #[serde(default)]
    pub code: String,
    /// The step's status while the gate only looks.
    #[serde(default)]
    pub status: String,
    /// What governance answers, where a playbook has a plan: `apply`, `apply-and-notify`,
    /// `needs-approval` or `needs-quorum`.
    pub decision: Option<String>,
    /// What must be the same again at the end.
    #[serde(default)]
    pub restored: Restored,
}

/// How a replay ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// A playbook healed it, and the same check passes.
    Healed,
    /// Waiting healed it: whoever was in the way came to an end.
    Waited,
    /// A person has to act; the gate says how, and changes nothing.
    Advice,
    /// A playbook proposes; a person decides.
    Proposal,
    /// There is nothing to heal, and nothing is healed.
    NoHeal,
}

/// What must be the same again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restored {
    /// Every byte and every mode of every file.
    #[default]
    Bytes,
    /// Every file but the database's, and every row of it: SQLite itself folds its log in.
    Rows,
}

impl Arrangement {
    /// Whether another program goes on running: what it holds cannot be read any more.
    pub fn is_live(&self) -> bool {
        matches!(
            self,
            Arrangement::LockHolder { .. } | Arrangement::PortListener
        )
    }
}

impl Outcome {
    /// The word for machines.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Healed => "healed",
            Outcome::Waited => "waited",
            Outcome::Advice => "advice",
            Outcome::Proposal => "proposal",
            Outcome::NoHeal => "no-heal",
        }
    }
}

impl Fixture {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// What cannot be understood, with its offset in the text.
    pub fn parse(text: &str) -> Result<Fixture, (usize, String)> {
        let fixture: Fixture = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            (at, error.message().to_owned())
        })?;
        fixture.check().map_err(|problem| (0, problem))?;
        Ok(fixture)
    }

    /// Mistakes that the types let through.
    fn check(&self) -> Result<(), String> {
        let expect = &self.expect;
        if self.title.is_empty() {
            return Err("`title` is empty".to_owned());
        }
        if expect.outcome == Outcome::NoHeal {
            if !self.errors.is_empty() || expect.step.is_empty() {
                return Err(
                    "a state without a heal has no errors, and the step that looks".to_owned(),
                );
            }
        } else {
            for (name, is_missing) in [
                ("errors", self.errors.is_empty()),
                ("expect.step", expect.step.is_empty()),
                ("expect.code", expect.code.is_empty()),
                ("expect.status", expect.status.is_empty()),
            ] {
                if is_missing {
                    return Err(format!("`{name}` is missing"));
                }
            }
            if expect.outcome == Outcome::Advice && self.remedy.is_empty() {
                return Err("advice needs the `remedy` that follows it".to_owned());
            }
        }
        let paths = self.arrange.iter().chain(&self.remedy).flat_map(paths);
        match paths.into_iter().find(|path| !stays_below(path)) {
            Some(path) => Err(format!("`{path}` does not stay below the root")),
            None => Ok(()),
        }
    }

    /// Whether it needs a file system of its own.
    pub fn needs_mount(&self) -> bool {
        let is_mount = |it: &Arrangement| matches!(it, Arrangement::FullDisk { .. });
        self.arrange.iter().any(is_mount)
    }

    /// Whether it needs a Python interpreter.
    pub fn needs_python(&self) -> bool {
        let is_python = |it: &Probe| matches!(it, Probe::Python { .. });
        self.errors.iter().any(is_python)
    }
}

impl Probe {
    /// A part of the message.
    pub fn says(&self) -> &str {
        match self {
            Probe::Sqlite { says, .. }
            | Probe::Python { says, .. }
            | Probe::Port { says }
            | Probe::Write { says, .. } => says,
        }
    }

    /// Whether it says nothing about a heal.
    pub fn is_for_show(&self) -> bool {
        match self {
            Probe::Sqlite { for_show, .. } | Probe::Python { for_show, .. } => *for_show,
            Probe::Port { .. } | Probe::Write { .. } => false,
        }
    }
}

fn paths(arrangement: &Arrangement) -> Vec<&str> {
    match arrangement {
        Arrangement::File { path, .. } | Arrangement::NoFile { path } => vec![path],
        Arrangement::FullDisk {
            folder, filled_by, ..
        } => vec![folder, filled_by],
        Arrangement::Copy { from, to } => vec![from, to],
        _ => Vec::new(),
    }
}

fn stays_below(path: &str) -> bool {
    let is_plain = |part| matches!(part, std::path::Component::Normal(_));
    !path.is_empty() && std::path::Path::new(path).components().all(is_plain)
}
