//! `cargo xtask playbooks`: what may be healed, and who decides.

use boot_checks::playbooks;
use serde_json::json;

use crate::output;

/// List the playbooks: what each does, how risky it is, and who decides
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  cargo xtask playbooks
  cargo xtask playbooks --json | jq '.playbooks[].id'

Tiers: tier_1 acts, tier_2 acts and leaves a notice, tier_3 needs an approval of exactly its plan, tier_4
a quorum";

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let metas: Vec<_> = playbooks::ALL
        .iter()
        .map(|playbook| playbook.meta())
        .collect();
    if args.json {
        let text = serde_json::to_string_pretty(&json!({ "playbooks": metas }))?;
        output::data(&format!("{text}\n"))?;
        return Ok(0);
    }
    let width = metas.iter().map(|meta| meta.id.len()).max().unwrap_or(0);
    let mut text = String::new();
    for meta in metas {
        text += &format!(
            "{:width$}  {:8} {}  {}; fixes {}\n",
            meta.id,
            meta.risk.word(),
            meta.tier.word(),
            meta.description,
            meta.fixes.join(", ")
        );
    }
    output::data(&text)?;
    Ok(0)
}
