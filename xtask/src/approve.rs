//! `cargo xtask approve`: a person's word for exactly one plan.

use anyhow::Context as _;
use boot_checks::engine::{self, Approved, HealOptions, HealOutcome, Intent, Planned};
use boot_checks::host::lock::LockError;
use boot_checks::host::{self, Host};
use boot_checks::model::{Decision, Ending, Verdict};

use crate::application::ApplicationArgs;
use crate::duration;
use crate::output;

/// The fewest characters that a person may name a plan by.
const PREFIX_MIN: usize = 6;

/// Approve exactly one plan, for once
///
/// The next boot, or `cargo xtask heal` of its playbook, carries it out. A plan that is no longer what
/// it was has another fingerprint, and waits again. A playbook of tier 4 waits for two people, who have
/// different names. Whoever may write below the root may approve.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The plan's fingerprint, or its first characters, at least six
    fingerprint: String,

    /// Who approves [default: the name of the user]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,

    #[command(flatten)]
    application: ApplicationArgs,

    /// How long to wait for a boot that is under way, such as 30s or 500ms
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration::parse)]
    lock_timeout: std::time::Duration,
}

const EXAMPLES: &str = "Examples:
  cargo xtask heal fix_circular_imports --plan   see what is waiting, with its fingerprint
  cargo xtask approve 5f2c9a01b2c3d4e5
  cargo xtask approve 5f2c9a --by ann            in another name

Exit codes: 0 approved, 1 it cannot be looked at or written down, 2 usage, 7 a boot is under way, 8 no plan
has this fingerprint now, 78 configuration";

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let host = Host::real().context("the current folder is gone")?;
    let config = match args.application.load(&host) {
        Ok(config) => config,
        Err(error) => {
            output::complain(&format!("error: {error}"));
            output::complain(&format!("  next: {}", error.hint()));
            return Ok(Verdict::Config.exit_code());
        }
    };
    let Some(by) = args.by.clone().or_else(|| host::user(&host)) else {
        output::complain("error: the environment names no user");
        output::complain("  next: say who approves, with --by NAME");
        return Ok(Verdict::Usage.exit_code());
    };
    let wanted = args.fingerprint.to_ascii_lowercase();
    if wanted.len() < PREFIX_MIN || !wanted.chars().all(|c| c.is_ascii_hexdigit()) {
        output::complain(&format!("error: `{}` is no fingerprint", args.fingerprint));
        output::complain(
            "  next: copy it from the boot's report or from `cargo xtask heal … --plan`",
        );
        return Ok(Verdict::Usage.exit_code());
    }
    let (root, holder) = (config.root.clone(), host::self_description(&host));
    let looked = plans(config, host, args.lock_timeout);
    if let Some(Ending::Refused { verdict, reason }) = &looked.report.ending {
        output::complain(&format!("error: {reason}"));
        return Ok(verdict.exit_code());
    }
    let planned = looked.planned;
    let matching = |one: &&Planned| one.repair.fingerprint.starts_with(&wanted);
    let Some(planned) = planned.iter().find(matching) else {
        output::complain(&format!("error: no plan has the fingerprint {wanted} now"));
        let of = args.application.again();
        output::complain(&format!(
            "  next: see what there is with `cargo xtask heal PLAYBOOK --plan{of}`"
        ));
        return Ok(Verdict::NeedsApproval.exit_code());
    };
    let repair = &planned.repair;
    if matches!(planned.decision, Decision::Apply | Decision::ApplyAndNotify) {
        let people = match planned.approved_by.as_slice() {
            [] => "it needs none".to_owned(),
            people => format!("it has that of {}", people.join(" and ")),
        };
        output::data(&format!(
            "plan {} waits for no approval: {people}\n",
            repair.fingerprint
        ))?;
        return Ok(Verdict::MayStart.exit_code());
    }
    let approved = Approved {
        fingerprint: repair.fingerprint.clone(),
        playbook: repair.playbook.to_owned(),
        by: by.clone(),
    };
    match engine::approve(&root, approved, &holder, args.lock_timeout) {
        Ok(people) => {
            output::data(&words(planned, &by, &people, &args.application))?;
            Ok(Verdict::MayStart.exit_code())
        }
        Err(error) => {
            output::complain(&format!("error: {error}"));
            let verdict = match error {
                LockError::Held { .. } => Verdict::LockHeld,
                LockError::Unusable { .. } => Verdict::Blocked,
            };
            Ok(verdict.exit_code())
        }
    }
}

/// Every plan that could be made now. Looks only.
fn plans(
    config: boot_checks::config::BootConfig,
    host: Host,
    lock_timeout: std::time::Duration,
) -> HealOutcome {
    let options = HealOptions {
        playbook: None,
        intent: Intent::Look,
        lock_timeout,
        // Nothing of what is seen is printed but the plans.
        again: String::new(),
    };
    let on_signal = |_| std::process::exit(Verdict::Blocked.exit_code().into());
    let notify = |line: &str| output::complain(line);
    engine::heal(config, host, &options, notify, on_signal)
}

fn words(planned: &Planned, by: &str, people: &[String], application: &ApplicationArgs) -> String {
    let (fingerprint, playbook) = (&planned.repair.fingerprint, planned.repair.playbook);
    let mut text = format!("{by} approved plan {fingerprint} of {playbook}, for once\n");
    let wanted = match planned.decision {
        Decision::NeedsQuorum => engine::QUORUM,
        _ => 1,
    };
    text += &if people.len() < wanted {
        let (have, missing) = (people.len(), wanted - people.len());
        format!("{have} of {wanted} people; {missing} more must approve it\n")
    } else {
        let of = application.again();
        format!("next: `cargo xtask heal {playbook}{of}`; the next boot does it too\n")
    };
    text
}
