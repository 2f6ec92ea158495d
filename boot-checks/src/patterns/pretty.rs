//! A diagnosis for people: 80 columns, plain ASCII words around the log's own text.

use std::fmt::Write as _;

use super::diagnosis::{Diagnosis, Incident};

/// Width of a page.
const PAGE_WIDTH_COLUMNS: usize = 80;
/// Messages that are shown of one pattern; the rest is counted.
const MESSAGES_MAX: usize = 12;
const INDENT: &str = "  ";

/// The diagnosis as text, one section for each pattern in the order of their first places.
pub fn pretty(name: &str, diagnosis: &Diagnosis) -> String {
    let mut out = String::new();
    let sections = sections(&diagnosis.incidents);
    let sightings: u64 = diagnosis
        .incidents
        .iter()
        .map(|incident| incident.count)
        .sum();
    line(
        &mut out,
        &format!(
            "{name}: {}, {}, {}",
            counted(diagnosis.lines, "line"),
            counted(sections.len() as u64, "known incident"),
            counted(sightings, "sighting"),
        ),
    );
    for section in &sections {
        write_section(&mut out, section);
    }
    if sections.is_empty() {
        line(
            &mut out,
            "No known incident. What is not known here may still be wrong.",
        );
    }
    if diagnosis.omitted > 0 {
        line(&mut out, "");
        let omitted = counted(diagnosis.omitted, "further sighting");
        line(&mut out, &format!("{omitted} not shown: too many differ."));
    }
    if let Some(reason) = &diagnosis.incomplete {
        line(&mut out, "");
        wrapped(&mut out, "", &format!("Not read to the end: {reason}"));
    }
    out
}

/// Incidents of one pattern that mean the same.
fn sections(incidents: &[Incident]) -> Vec<Vec<&Incident>> {
    let mut sections: Vec<Vec<&Incident>> = Vec::new();
    for incident in incidents {
        let same = |section: &&mut Vec<&Incident>| {
            section[0].pattern == incident.pattern && section[0].cause == incident.cause
        };
        match sections.iter_mut().find(same) {
            Some(section) => section.push(incident),
            None => sections.push(vec![incident]),
        }
    }
    sections
}

fn write_section(out: &mut String, section: &[&Incident]) {
    let first = section[0];
    line(out, "");
    line(out, first.pattern);
    wrapped(out, INDENT, first.title);
    for incident in section.iter().take(MESSAGES_MAX) {
        write_message(out, incident);
    }
    if section.len() > MESSAGES_MAX {
        let more = section.len() - MESSAGES_MAX;
        line(
            out,
            &format!("{INDENT}  ... and {more} more like these (--format json has all)"),
        );
    }
    field(out, "cause", first.cause);
    let mut heal = format!(
        "{}, risk {}, {}",
        first.playbook.unwrap_or("no playbook, a person decides"),
        first.risk,
        first.tier
    );
    if let Some(step) = &first.escalation {
        let _ = write!(heal, "; {}: risk {}, {}", step.when, step.risk, step.tier);
    }
    field(out, "heal", &heal);
    field(out, "do", first.advice);
    field(out, "next", first.next_command);
}

fn write_message(out: &mut String, incident: &Incident) {
    let times = format!("{}x", incident.count);
    let place = if incident.first == incident.last {
        format!("line {}", incident.first.line)
    } else {
        format!("lines {} to {}", incident.first.line, incident.last.line)
    };
    line(out, &format!("{INDENT}  {times:>6}  {place}"));
    wrapped(out, "            ", &incident.message);
}

fn field(out: &mut String, name: &str, text: &str) {
    let mut body = String::new();
    wrapped(&mut body, "         ", text);
    let label = format!("{INDENT}{:<7}", format!("{name}:"));
    body.replace_range(..label.len(), &label);
    out.push_str(&body);
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// Writes words in lines of the page's width. A word that is longer has a line of its own.
fn wrapped(out: &mut String, indent: &str, text: &str) {
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > PAGE_WIDTH_COLUMNS {
            out.push('\n');
            column = 0;
        }
        if column == 0 {
            out.push_str(indent);
            column = indent.len();
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
}

fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patterns::{Options, diagnose_bytes};

    #[test]
    fn a_page_reads_well() {
        let log = "INFO start\nERROR boot: No module named 'backend.schemas'\n\
                   AttributeError: type object 'VerificationEvent' has no attribute 'passed'\n\
                   INFO again\nERROR boot: No module named 'backend.schemas'\n\
                   ERROR boot: No module named 'backend.temporal.models'\n\
                   app.py:6: RuntimeWarning: coroutine 'TriggerMesh.publish' was never awaited\n";
        let diagnosis = diagnose_bytes(log.as_bytes(), &Options::default());
        let page = pretty("app.log", &diagnosis);
        assert!(page.is_ascii());
        assert!(
            page.lines()
                .all(|line| line.chars().count() <= PAGE_WIDTH_COLUMNS)
        );
        insta::assert_snapshot!(page, @r###"
        app.log: 7 lines, 3 known incidents, 5 sightings

        missing_internal_module
          One of the application's own modules is not there
                2x  lines 2 to 5
                    No module named 'backend.schemas'
                1x  line 6
                    No module named 'backend.temporal.models'
          cause: A module was moved, renamed or never committed, and an import still
                 names its old place; or the application's root is not on the import
                 path.
          heal:  no playbook, a person decides, risk high, tier_3
          do:    Correct the import to the nearest existing module, or bring the module
                 back; start from the application's root.
          next:  cargo xtask boot --observe --stage preflight

        verification_events_schema_mismatch
          Code and table disagree on verification_events.passed
                1x  line 3
                    type object 'VerificationEvent' has no attribute 'passed'
          cause: A fault of code, not of the schema: the class itself lacks the
                 attribute, and no migration adds it.
          heal:  no playbook, a person decides, risk high, tier_3
          do:    Add the attribute to the model, or correct the code that asks for it.
          next:  cargo xtask boot --observe --stage schema_secrets

        trigger_mesh_unawaited
          An async call is never awaited, so it never runs
                1x  line 7
                    coroutine 'TriggerMesh.publish' was never awaited
          cause: A coroutine function is called without await; the event it should
                 publish or the subscription it should make is lost silently.
          heal:  verify_async_subscriptions, risk low, tier_1; to edit source: risk
                 high, tier_3
          do:    Put await before the call, inside an async function.
          next:  cargo xtask boot --observe --stage startup_playbooks
        "###);
    }

    #[test]
    fn nothing_found_says_what_that_means() {
        let diagnosis = diagnose_bytes(b"INFO start\n", &Options::default());
        insta::assert_snapshot!(pretty("app.log", &diagnosis), @r###"
        app.log: 1 line, 0 known incidents, 0 sightings
        No known incident. What is not known here may still be wrong.
        "###);
    }
}
