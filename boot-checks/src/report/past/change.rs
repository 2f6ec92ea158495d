//! A change that a playbook wanted, as a record has it.

use serde::Deserialize as _;
use serde_json::Value;

use super::loose::text;
use crate::model::SalvageReport;
use crate::report::words::count;

/// Statements, files and the like that are shown of one change; the record has them all.
const ITEMS_MAX: usize = 12;

/// What it would do, in lines: as [`crate::model::Change`] was written.
pub(super) fn lines(change: &Value) -> Vec<String> {
    let field = |name: &str| text(&change[name]);
    let path = field("path");
    match change["kind"].as_str().unwrap_or_default() {
        "create-folder" => vec![format!("make the folder {path}")],
        "create-file" => match change["mode"].as_u64() {
            Some(mode) => vec![format!("make {path} with mode {mode:o}")],
            None => vec![format!("make {path}")],
        },
        "append-to-file" => vec![format!("add to the end of {path}")],
        "edit-file" => vec![format!("edit {path}")],
        "replace-own-file" => vec![format!("write {path}")],
        "create-database" => match joined(change, "versions").as_str() {
            "" => vec![format!("make the database {path}")],
            versions => vec![format!(
                "make the database {path}, by migrations {versions}"
            )],
        },
        "apply-migrations" => vec![format!("apply migrations {}", joined(change, "versions"))],
        "adopt-schema" => {
            let versions = joined(change, "versions");
            let head = format!("add to the database, and record migrations {versions}");
            let lacking = items(change, "lacking_rows");
            let lacking = lacking.map(|it| format!("without {it}, which the migrations write"));
            listed(head, items(change, "statements").chain(lacking))
        }
        "restamp-migrations" => {
            let versions = joined(change, "versions");
            vec![format!("renew the checksums of migrations {versions}")]
        }
        "rebuild-database" => {
            let head = format!("put what was saved in the place of {path}, which is kept");
            let report = SalvageReport::deserialize(&change["report"]);
            listed(head, report.iter().map(SalvageReport::summary))
        }
        "restore-copy" => {
            let copy = field("copy");
            vec![format!("put {copy} in the place of {path}, which is kept")]
        }
        "write-rows" => {
            let statements = count(items_of(change, "statements").count(), "statement");
            vec![format!("change rows by {statements}, in one transaction")]
        }
        "run-migrator" => {
            let argv: Vec<String> = items(change, "argv").collect();
            let files = items_of(change, "files").map(|it| text(&it["path"]));
            let files = files.map(|path| format!("by {path}"));
            listed(format!("run `{}`", argv.join(" ")), files)
        }
        _ => vec![text(change)],
    }
}

/// The values of a list, comma-separated.
fn joined(change: &Value, name: &str) -> String {
    let all: Vec<String> = items(change, name).collect();
    all.join(", ")
}

fn items(change: &Value, name: &str) -> impl Iterator<Item = String> {
    items_of(change, name).map(text)
}

fn items_of<'a>(change: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    change[name].as_array().into_iter().flatten()
}

fn listed(head: String, items: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines = vec![head];
    let mut items = items;
    lines.extend(items.by_ref().take(ITEMS_MAX).map(|it| format!("- {it}")));
    match items.count() {
        0 => {}
        more => lines.push(format!("- ... and {more} more in the record")),
    }
    lines
}
