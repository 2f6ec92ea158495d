//! Do the database's pages fit together?
//!
//! Looking at every page costs as much as the database is large, so it is done after an unclean end
//! (a log or a journal was left behind, the machine was started anew, the last boot did not end
//! well), every so many boots, and where a person asks for a part of the checks or for a playbook that heals damaged
//! pages; and only for so long. A look that was not finished says so. Within that time
//! the entries of indexes are compared with the rows of their tables too, for a page that fits its place may be
//! another's. What a boot can see at any size, `database_readable` has seen before; what a crash left beside the
//! database, it has tried on a copy, and where every page fitted there, none is looked at twice. Values that are
//! not what their table asks for are the application's: they are told, and nobody heals them. Damaged pages are
//! healed by `rebuild_database` where it is proven that nothing is lost, and by `salvage_database` with a person's
//! approval.

use crate::checks::Check;
use crate::checks::support::{ask, cannot_look, counted, database_finding};
use crate::context::{Context, LOOK_BUDGET, LeftLog};
use crate::model::{CheckResult, Finding, Findings};
use crate::services::db::{BOOTS_BETWEEN, DbError, Due, FullLook, Integrity, full_check};

/// See the module.
pub struct DatabaseIntact;

impl Check for DatabaseIntact {
    fn title(&self) -> &'static str {
        "Database is intact"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        if cx.database_path().is_none() {
            return Ok(Findings::not_applicable("the database is in memory"));
        }
        let (due, last) = cx.integrity_due();
        let Some(due) = due else {
            let left = last.map_or(0, |last| last.boots_left());
            let left = counted(left, "boot");
            let observed = format!("header and schema; every page again in {left}");
            return Ok(Findings::healthy(observed));
        };
        if due == Due::LeftBehind
            && let LeftLog::Fits { seen: Ok(seen), .. } = cx.left_log()
            && seen.is_sound()
        {
            cx.note_integrity(&seen);
            return Ok(judge(cx, due, seen));
        }
        let mut seen = None;
        let asked = ask(cx, |connection| {
            seen = Some(full_check(connection, LOOK_BUDGET)?);
            Ok(Findings::default())
        })?;
        let Some(FullLook {
            seen,
            indexes_are_compared,
        }) = seen
        else {
            return match asked.problems.into_iter().next() {
                Some(problem) => Ok(Findings::problem(problem)),
                None => Err(cannot_look("the pages could not be looked at")),
            };
        };
        cx.note_integrity(&seen);
        let is_told = indexes_are_compared || !seen.is_sound_where_seen();
        let findings = judge(cx, due, seen);
        Ok(match is_told {
            true => findings,
            false => findings.note(format!(
                "the entries of the indexes were not compared with the rows: that needs more than {} s; \
                 `PRAGMA integrity_check` has no limit of time",
                LOOK_BUDGET.as_secs()
            )),
        })
    }
}

fn judge(cx: &Context, due: Due, seen: Integrity) -> Findings {
    let why = match due {
        Due::Unknown => "no finished check is known".to_owned(),
        Due::LeftBehind => "a log or journal was left behind".to_owned(),
        Due::Restarted => "the machine was started anew".to_owned(),
        Due::Routine => format!("{BOOTS_BETWEEN} boots since the last time"),
        Due::Asked => "asked for".to_owned(),
    };
    match seen {
        Integrity::Intact => Findings::healthy(format!("every page fits ({why})")),
        Integrity::Contents(words) => {
            told(Findings::healthy(format!("every page fits ({why})")), words)
        }
        Integrity::Partly { lacks, contents } => {
            let seen = Findings::healthy(format!("every page that could be looked at ({why})"));
            told(seen, contents).note(format!(
                "could not look at all of it: {lacks}; for that SQLite needs what only the application registers, \
                 or rows that are kept elsewhere"
            ))
        }
        Integrity::Unfinished => {
            let seconds = LOOK_BUDGET.as_secs();
            Findings::healthy(format!(
                "header and schema only: every page needs more than {seconds} s ({why})"
            ))
            .note("not every page was looked at; `PRAGMA quick_check` has no limit of time")
        }
        Integrity::Damaged(words) => {
            let error = DbError::Corrupt {
                code: 11,
                message: words.first().cloned().unwrap_or_default(),
            };
            let mut finding: Finding = database_finding(cx, &error);
            for word in words.iter().skip(1).take(WORDS_SHOWN) {
                finding = finding.evidence("and", word);
            }
            Findings::problem(finding)
        }
    }
}

/// What the application wrote is no damage, and nobody's to heal.
fn told(mut findings: Findings, contents: Vec<String>) -> Findings {
    let left_out = contents.len().saturating_sub(1 + WORDS_SHOWN);
    for word in contents.iter().take(1 + WORDS_SHOWN) {
        findings = findings.note(format!("{word}: the rows are as they were written"));
    }
    match left_out {
        0 => findings,
        _ => findings.note(format!(
            "and {left_out} more such values, or rows, at least"
        )),
    }
}

/// Beside the first: enough to see how far the damage goes.
const WORDS_SHOWN: usize = 4;
