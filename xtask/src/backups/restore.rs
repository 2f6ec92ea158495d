//! `cargo xtask backups restore`: a kept copy takes the place of a database that is lost or bad.

use std::path::PathBuf;

use anyhow::Context as _;
use boot_checks::engine::{self, KeptRows, Left, PutBack, PutBackError, PutBackPlan, Wanted};
use boot_checks::host::{Host, shell};
use boot_checks::model::Verdict;
use serde_json::{Value, json};

use crate::application::ApplicationArgs;
use crate::duration;
use crate::heal::Format;
use crate::output;

/// Put a kept copy in the place of a database that is lost, vanished or bad
///
/// The copy is tried first: it is compared with the journal, opened, every page and index of it is looked
/// at, and its rows are counted beside those that are there now. What is there now is kept, all of its
/// files, in var/boot/quarantine/, and comes back with `undo`. A person decides: without --apply nothing
/// is written.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// The run that kept the copy, as `backups list` prints it
    #[arg(value_name = "RUN")]
    run_id: String,

    /// Where the run kept several copies: the database, or the copy itself
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,

    /// Print the plan and write nothing
    #[arg(long, conflicts_with = "apply")]
    plan: bool,

    /// Carry out exactly the plan with this fingerprint, and no other
    #[arg(long, value_name = "FINGERPRINT")]
    apply: Option<String>,

    /// How long to wait for a boot that is under way and for whoever has the database open, such as 30s
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration::parse)]
    lock_timeout: std::time::Duration,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Pretty)]
    format: Format,
}

const EXAMPLES: &str = "Examples:
  cargo xtask backups list                                      which copies there are
  cargo xtask backups restore 20261123_203824 --plan            what it would mean, and its fingerprint
  cargo xtask backups restore 20261123_203824 --apply 5f2c9a01…  exactly that, or nothing

Exit codes: 0 put back, or planned with --plan; 1 the copy is damaged, or somebody has the database open,
and nothing was changed; 2 usage, no such copy; 3 it was begun and was taken back; 7 a boot is under
way; 8 it waits for --apply, or the plan is no longer the one that was named; 78 configuration";

/// The least likeness at which a run is suggested for one that is not known.
const LIKENESS_MIN: f64 = 0.8;

pub(super) fn run(args: &Args, application: &ApplicationArgs) -> anyhow::Result<u8> {
    let host = Host::real().context("the current folder is gone")?;
    let config = match application.load(&host) {
        Ok(config) => config,
        Err(error) => {
            let (is_json, hint) = (args.format == Format::Json, error.hint());
            let (error, verdict) = (error.to_string(), Verdict::Config);
            return Ok(output::not_begun(is_json, verdict, &error, Some(&hint))?);
        }
    };
    let wanted = Wanted {
        run_id: args.run_id.clone(),
        path: args.path.clone(),
    };
    let asked = Asked { args, application };
    let notify = |line: &str| output::complain(line);
    let answer = match &args.apply {
        None => engine::plan_put_back(&config.root, &wanted).map(|plan| match args.plan {
            true => Answer::of_plan(&asked, Verdict::MayStart, &plan),
            false => Answer::of_plan(&asked, Verdict::NeedsApproval, &plan),
        }),
        Some(fingerprint) => {
            let timeout = args.lock_timeout;
            engine::put_back(config, host, &wanted, fingerprint, timeout, notify)
                .map(|done| Answer::of_done(&asked, &done))
        }
    };
    let answer = answer.unwrap_or_else(|error| Answer::of_error(&asked, &error));
    match args.format {
        Format::Json => output::data(&format!("{:#}\n", answer.json(args)))?,
        Format::Pretty => answer.print()?,
    }
    Ok(answer.verdict.exit_code())
}

/// What was typed, for the commands that are printed.
struct Asked<'a> {
    args: &'a Args,
    application: &'a ApplicationArgs,
}

impl Asked<'_> {
    fn apply_command(&self, plan: &PutBackPlan) -> String {
        let (run_id, fingerprint) = (&plan.run_id, &plan.fingerprint);
        let path = self.args.path.as_ref();
        let path = path.map_or_else(String::new, |path| shell::quoted_path(path) + " ");
        let of = self.application.again();
        format!("cargo xtask backups restore {run_id} {path}--apply {fingerprint}{of}")
    }

    fn next(&self, error: &PutBackError) -> Option<String> {
        let run_id = &self.args.run_id;
        let of = self.application.again();
        Some(match error {
            PutBackError::Unknown { known, .. } => {
                let like = |known: &&String| strsim::jaro_winkler(known, run_id) >= LIKENESS_MIN;
                let likeness = |known: &&String| (strsim::jaro_winkler(known, run_id) * 1e6) as u64;
                let nearest = known.iter().filter(like).max_by_key(likeness);
                match nearest.or(known.last()) {
                    Some(run) => {
                        format!("did you mean `{run}`? `cargo xtask backups list{of}` has all")
                    }
                    None => format!(
                        "`cargo xtask backups list{of}` has all; no run has kept a database"
                    ),
                }
            }
            PutBackError::NoSuchCopy { kept, .. } | PutBackError::Several { kept, .. } => {
                let kept: Vec<String> = kept.iter().map(|it| shell::quoted_path(it)).collect();
                format!("name one of these after the run: {}", kept.join(", "))
            }
            PutBackError::Damaged { .. } => {
                format!("`cargo xtask backups verify{of}` says which copies are whole")
            }
            PutBackError::Unsound { database, .. } => format!(
                "take another run's; or copy this one, with what lies beside it, to {} yourself: `cargo xtask \
                 boot{of}` then tells what can be saved of it",
                database.display()
            ),
            PutBackError::Changed(plan) => {
                format!("if that is meant, `{}`", self.apply_command(plan))
            }
            PutBackError::HalfWay(_) => format!("`cargo xtask boot{of}` finishes it"),
            PutBackError::Present { path, .. } => format!(
                "move {} away, or make it readable, and plan again",
                path.display()
            ),
            PutBackError::NoFolder(_) => "mount its disk, or make the folder".to_owned(),
            _ => return None,
        })
    }
}

/// What is printed.
struct Answer {
    verdict: Verdict,
    /// For standard output.
    text: String,
    /// For standard error.
    error: Option<String>,
    plan: Option<PutBackPlan>,
    done: Option<PutBack>,
    next: Option<String>,
}

impl Answer {
    fn of_plan(asked: &Asked<'_>, verdict: Verdict, plan: &PutBackPlan) -> Answer {
        Answer {
            verdict,
            text: words(plan) + "decision: it waits for a person, and nothing was changed\n",
            error: None,
            plan: Some(plan.clone()),
            done: None,
            next: Some(format!("`{}`", asked.apply_command(plan))),
        }
    }

    fn of_done(asked: &Asked<'_>, done: &PutBack) -> Answer {
        let (run_id, from) = (&done.run_id, &done.plan.run_id);
        let (_, database) = done.plan.names();
        let of = asked.application.again();
        let mut text = format!("run {run_id} put the copy of run {from} back\n");
        text += &format!(
            "  restored {database}: {}; checked again\n",
            rows_words(&done.plan)
        );
        if let Some(folder) = &done.set_aside {
            text += &format!("  kept what was there in {}\n", folder.display());
        }
        Answer {
            verdict: Verdict::MayStart,
            text,
            error: None,
            plan: Some(done.plan.clone()),
            done: Some(done.clone()),
            next: Some(format!("`cargo xtask undo {run_id}{of}` takes it back")),
        }
    }

    fn of_error(asked: &Asked<'_>, error: &PutBackError) -> Answer {
        let plan = match error {
            PutBackError::Changed(plan) => Some((**plan).clone()),
            _ => None,
        };
        Answer {
            verdict: verdict(error),
            text: plan.as_ref().map(words).unwrap_or_default(),
            error: Some(error.to_string()),
            plan,
            done: None,
            next: asked.next(error),
        }
    }

    fn print(&self) -> anyhow::Result<()> {
        let next = self.next.as_ref().map(|next| format!("next: {next}\n"));
        match &self.error {
            None => output::data(&(self.text.clone() + &next.unwrap_or_default()))?,
            Some(error) => {
                output::data(&self.text)?;
                output::complain(&format!("error: {error}"));
                if let Some(next) = next {
                    output::complain(&format!("  {}", next.trim_end()));
                }
            }
        }
        Ok(())
    }

    fn json(&self, args: &Args) -> Value {
        json!({
            "command": "restore",
            "copy_of": args.run_id,
            "run_id": self.done.as_ref().map(|done| &done.run_id),
            "exit_code": self.verdict.exit_code(),
            "exit_name": self.verdict.word(),
            "error": self.error,
            "plan": self.plan,
            "set_aside": self.done.as_ref().and_then(|done| done.set_aside.as_ref()),
            "next": self.next,
        })
    }
}

fn words(plan: &PutBackPlan) -> String {
    let mut text = format!("plan {} of restore\n", plan.fingerprint);
    let (copy, database) = plan.names();
    text += &format!(
        "  put {copy} in the place of {database}\n  the copy is from {}, before anything that run {} changed: {}\n",
        time_of(&plan.run_id),
        plan.run_id,
        rows_words(plan)
    );
    match &plan.unreadable {
        Some(reason) => text += &format!("  what is there now cannot be counted: {reason}\n"),
        None if plan.differs.is_empty() => text += "  every table has as many rows now\n",
        None => {}
    }
    for table in &plan.differs {
        text += &format!(
            "  {}: {} now, {} in the copy\n",
            table.table,
            count(table.now),
            count(table.copy)
        );
    }
    for file in &plan.present {
        text += &format!("  set {file} aside in var/boot/quarantine/, where it stays\n");
    }
    text
}

/// The time with which a run's name begins, as people write it.
fn time_of(run_id: &str) -> String {
    let time = run_id.get(..TIME.len()).unwrap_or_default();
    match jiff::civil::DateTime::strptime("%Y%m%d_%H%M%S", time) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => "an unknown time".to_owned(),
    }
}

/// How a run's name begins.
const TIME: &str = "YYYYMMDD_HHMMSS";

fn count(rows: KeptRows) -> String {
    match rows {
        KeptRows::NoTable => "no such table".to_owned(),
        KeptRows::Counted(1) => "1 row".to_owned(),
        KeptRows::Counted(rows) => format!("{rows} rows"),
        KeptRows::Unreadable => "unreadable".to_owned(),
    }
}

fn rows_words(plan: &PutBackPlan) -> String {
    format!("{} rows of {} tables", plan.rows, plan.tables)
}

fn verdict(error: &PutBackError) -> Verdict {
    match error {
        PutBackError::Unknown { .. }
        | PutBackError::NoSuchCopy { .. }
        | PutBackError::Several { .. } => Verdict::Usage,
        PutBackError::Lock(boot_checks::host::lock::LockError::Held { .. }) => Verdict::LockHeld,
        PutBackError::Changed(_) => Verdict::NeedsApproval,
        PutBackError::Failed { left, .. } if *left != Left::Untouched => Verdict::HealFailed,
        PutBackError::NotVerified { .. } => Verdict::HealFailed,
        PutBackError::Lock(_)
        | PutBackError::Journal(_)
        | PutBackError::HalfWay(_)
        | PutBackError::Damaged { .. }
        | PutBackError::Unsound { .. }
        | PutBackError::NoFolder(_)
        | PutBackError::Present { .. }
        | PutBackError::Failed { .. } => Verdict::Blocked,
    }
}

#[cfg(test)]
mod tests {
    use boot_checks::engine::DoorError;

    use super::*;

    #[test]
    fn only_what_was_begun_is_a_failed_heal() {
        for (left, expect) in [
            (Left::Untouched, Verdict::Blocked),
            (Left::TakenBack, Verdict::HealFailed),
            (Left::Something(None), Verdict::HealFailed),
        ] {
            let error = DoorError::NotPossible("no".to_owned());
            assert_eq!(verdict(&PutBackError::Failed { error, left }), expect);
        }
    }
}
