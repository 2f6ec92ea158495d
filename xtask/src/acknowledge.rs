//! `cargo xtask acknowledge`: takes away what a boot says of things that were done without asking.

use anyhow::Context as _;
use boot_checks::engine;
use boot_checks::host::Host;
use boot_checks::model::Verdict;
use boot_checks::services::notices;

use crate::application::ApplicationArgs;
use crate::output;

/// Take away the notices of what tier 2 did
///
/// A playbook of tier 2 acts without asking and leaves a notice; it stands in every boot's report until
/// somebody has seen it. Without a run, the notices are listed.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// The run whose notices are taken away
    #[arg(conflicts_with = "all")]
    run_id: Option<String>,

    /// Take all notices away
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    application: ApplicationArgs,
}

const EXAMPLES: &str = "Examples:
  cargo xtask acknowledge                   list them
  cargo xtask acknowledge 20261123_203824   those of one run
  cargo xtask acknowledge --all

Exit codes: 0 listed or taken away, 1 they cannot be read or written, 2 this run left none, 78 no such
application";

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let host = Host::real().context("the current folder is gone")?;
    let Some(root) = args.application.root(&host) else {
        output::complain("error: there is no such application; name its folder with --root");
        return Ok(Verdict::Config.exit_code());
    };
    let state_folder = root.join("var/boot");
    let found = match (&args.run_id, args.all) {
        (None, false) => notices::read(&state_folder),
        (run_id, _) => engine::acknowledge(&state_folder, run_id.as_deref()),
    };
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            let file = notices::file(&state_folder);
            output::complain(&format!("error: {}: {error}", file.display()));
            return Ok(Verdict::Blocked.exit_code());
        }
    };
    if let (Some(run_id), true) = (&args.run_id, found.is_empty()) {
        output::complain(&format!("error: run {run_id} left no notice"));
        let of = args.application.again();
        output::complain(&format!(
            "  next: `cargo xtask acknowledge{of}` lists what there is"
        ));
        return Ok(Verdict::Usage.exit_code());
    }
    let is_list = args.run_id.is_none() && !args.all;
    let word = if is_list { "" } else { "acknowledged " };
    let mut text = String::new();
    for notice in &found {
        let (run_id, playbook) = (&notice.run_id, &notice.playbook);
        text += &format!("{word}{run_id} {playbook}: {}\n", notice.summary);
    }
    if found.is_empty() {
        text += "there is no notice\n";
    }
    output::data(&text)?;
    Ok(Verdict::MayStart.exit_code())
}
