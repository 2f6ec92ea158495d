//! The other programs of an incident: this very binary in a process of its own, which really holds
//! the lock, really listens, or is really killed.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use boot_checks::services::db::{Access, Connection};

/// What a program says once it has done what it was started for.
const READY: &str = "ready";

/// The name of the hidden command.
pub(crate) const COMMAND: &str = "replay-program";

/// How long a statement waits for a lock: nobody else has the database open while a state is made.
const PATIENCE: Duration = Duration::from_secs(5);

/// Take the part of another program in a replay
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    part: Part,
}

#[derive(clap::Subcommand)]
enum Part {
    /// Run the statements of the first line of standard input, and those of the second when it comes
    Database { path: PathBuf },
    /// Listen on a port until standard input ends
    Listen { port: u16 },
}

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    match &args.part {
        Part::Database { path } => hold(path)?,
        Part::Listen { port } => listen(*port)?,
    }
    Ok(0)
}

fn hold(path: &Path) -> anyhow::Result<()> {
    let mut connection = Connection::open(path, Access::ReadWrite, PATIENCE)?;
    let mut lines = io::stdin().lines();
    for statements in lines.by_ref().take(1) {
        connection.execute(&statements?)?;
    }
    ready()?;
    for statements in lines {
        connection.execute(&statements?)?;
    }
    connection.close();
    Ok(())
}

fn listen(port: u16) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    ready()?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    drop(listener);
    Ok(())
}

fn ready() -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{READY}")?;
    out.flush()
}

/// A program that runs. It ends when this is dropped: its standard input ends then.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    input: Option<ChildStdin>,
    /// What it runs before it ends.
    end: String,
}

impl Program {
    /// Starts a program that has run these statements and stays.
    pub(super) fn with_database(path: &Path, run: &str, end: &str) -> anyhow::Result<Program> {
        let mut program = Program::spawn(&["database".as_ref(), path.as_os_str()])?;
        program.end = one_line(end);
        program.say(&one_line(run))?;
        program.wait_until_ready()?;
        Ok(program)
    }

    /// Starts a program that listens.
    pub(super) fn listening(port: u16) -> anyhow::Result<Program> {
        let port = port.to_string();
        let mut program = Program::spawn(&["listen".as_ref(), port.as_ref()])?;
        program.wait_until_ready()?;
        Ok(program)
    }

    fn spawn(arguments: &[&std::ffi::OsStr]) -> anyhow::Result<Program> {
        let binary = std::env::current_exe().context("this program has no file")?;
        let mut child = Command::new(binary)
            .arg(COMMAND)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .context("cannot start another program")?;
        let input = child.stdin.take();
        Ok(Program {
            child,
            input,
            end: String::new(),
        })
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        match &mut self.input {
            Some(input) => writeln!(input, "{line}"),
            None => Ok(()),
        }
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let mut line = String::new();
        if let Some(output) = self.child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        ensure!(
            line.trim() == READY,
            "the other program ended before its time"
        );
        Ok(())
    }

    /// Lets it do the last it has to do, and waits for its end.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        let last = std::mem::take(&mut self.end);
        if !last.is_empty() {
            self.say(&last)?;
        }
        drop(self.input.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "the other program ended with {status}");
        Ok(())
    }

    /// Ends it at once, as a crash or the kernel would: it has no say in it.
    pub(super) fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.input.take());
        // One that was told to end, or killed, has been waited for.
        let _ = self.child.wait();
    }
}

fn one_line(statements: &str) -> String {
    statements.split_whitespace().collect::<Vec<_>>().join(" ")
}
