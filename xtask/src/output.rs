//! Standard output and standard error. A reader that went away is a quiet end.

use std::io::{self, IsTerminal, Write};

use boot_checks::host;
use boot_checks::model::Verdict;
use boot_checks::report::Style;
use clap::ValueEnum;

/// Columns where nothing says how many there are.
const WIDTH_DEFAULT: usize = 80;

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// How standard output is written to.
    pub(crate) fn style(self) -> Style {
        let wanted = match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb(),
        };
        let columns = std::env::var("COLUMNS")
            .ok()
            .and_then(|columns| columns.parse().ok());
        let width = columns
            .or_else(host::terminal_width)
            .unwrap_or(WIDTH_DEFAULT);
        Style {
            color: wanted,
            width,
        }
    }
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Writes data to standard output.
///
/// # Errors
///
/// The system's reason; not when the reader went away.
pub(crate) fn data(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes a line for people to standard error. Where even that is gone, nobody can be told.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Says why a command did not begin: on standard error, and where JSON is asked for as its one object too.
///
/// # Errors
///
/// As [`data`].
pub(crate) fn not_begun(
    is_json: bool,
    verdict: Verdict,
    error: &str,
    next: Option<&str>,
) -> io::Result<u8> {
    complain(&format!("error: {error}"));
    if let Some(next) = next {
        complain(&format!("  next: {next}"));
    }
    if is_json {
        let object = serde_json::json!({
            "exit_code": verdict.exit_code(),
            "exit_name": verdict.word(),
            "error": error,
            "next": next,
        });
        data(&format!("{object:#}\n"))?;
    }
    Ok(verdict.exit_code())
}
