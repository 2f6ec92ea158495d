//! The same faults on the gate, on sqlx's own migrator, on sqlx-cli and on Alembic.

mod application;
mod library;
mod tools;
mod trials;

use std::num::NonZeroUsize;

use self::library::Library;
use self::tools::Tool;
use crate::output;

/// The same faults on the gate and on tools that migrate: what was lost, and what a person owes
///
/// Prints a Markdown table. sqlx-cli and Alembic are used where they are installed; nothing is
/// installed. Needs a C compiler, for the library that fails and kills at system calls.
#[derive(clap::Args)]
pub(super) struct Args {
    /// At most this many instants of each kind of fault, spread evenly; all without it
    #[arg(long)]
    points: Option<NonZeroUsize>,

    /// Processes at once
    #[arg(long, default_value_t = 32)]
    processes: usize,
}

pub(super) fn run(args: &Args) -> anyhow::Result<u8> {
    let library = Library::build()?;
    let tools = tools::installed()?;
    let mut columns = Vec::new();
    for tool in &tools {
        output::complain(&format!("bench: {}", tool.title()));
        columns.push(cells(tool, &library, args)?);
    }
    output::data(&table(&tools, &columns))?;
    Ok(0)
}

/// What is tried, with the words for a reader who has not seen the code.
const TRIALS: [&str; 10] = [
    "killed at each change of the file system during a migration, then run again",
    "disk full from each of those changes on, then run again with room",
    "many at once, 5 rounds, one migration pending",
    "a live process holds a write transaction",
    "1,000 rows in a write-ahead log that a crash left, then a migration",
    "table rebuilt, 1,000 rows refer to it with ON DELETE CASCADE",
    "a column, a table, an index dropped, a column renamed, all migrations recorded",
    "the database is newer than the migrations",
    "a migration that is older than an applied one",
    "an applied migration's line endings changed (CRLF)",
];

fn cells(tool: &Tool, library: &Library, args: &Args) -> anyhow::Result<Vec<String>> {
    let points = args.points.map(NonZeroUsize::get);
    Ok(vec![
        trials::at_each_change(tool, library, points, "kill")?,
        trials::at_each_change(tool, library, points, "persistent")?,
        trials::at_once(tool, args.processes)?,
        trials::beside_a_holder(tool)?,
        trials::with_a_hot_log(tool)?,
        trials::with_children(tool)?,
        trials::with_drift(tool)?,
        trials::newer(tool)?,
        trials::out_of_order(tool)?,
        trials::line_endings(tool)?,
    ])
}

fn table(tools: &[Tool], columns: &[Vec<String>]) -> String {
    let titles: Vec<String> = tools.iter().map(Tool::title).collect();
    let mut table = format!(
        "| | {} |\n|---|{}\n",
        titles.join(" | "),
        "---|".repeat(tools.len())
    );
    for (row, what) in TRIALS.iter().enumerate() {
        let cells: Vec<&str> = columns.iter().map(|column| column[row].as_str()).collect();
        table += &format!("| {what} | {} |\n", cells.join(" | "));
    }
    table
}
