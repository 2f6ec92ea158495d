//! The one boundary at which secrets leave the stream of events. Whatever is rendered or written
//! was cleaned here before.

mod shapes;

use std::ops::Range;

use memchr::memmem::Finder;

use crate::model::{Event, REDACTED};

/// Shorter values are found in too many innocent words to be taken out, and are no secrets worth
/// the name.
const MIN_SECRET_BYTES: usize = 4;

/// Lines of a secret with several lines that are long enough to be one of their own.
const MIN_LINE_BYTES: usize = 12;

/// Takes secrets out of texts: the values that it was given, and whatever has the shape of one
/// (passwords in URLs, well-known tokens, private keys, assignments to secret names).
#[derive(Debug)]
pub struct Redactor {
    values: Vec<Finder<'static>>,
}

impl Redactor {
    /// A redactor that knows these values. Those of fewer than four bytes are passed over.
    pub fn new(secret_values: impl IntoIterator<Item = String>) -> Redactor {
        let mut needles: Vec<String> = secret_values
            .into_iter()
            .flat_map(|value| spellings(&value))
            .filter(|value| value.len() >= MIN_SECRET_BYTES)
            .collect();
        needles.sort_unstable();
        needles.dedup();
        // An automaton of them all costs more to build than a boot's few kilobytes cost to search.
        let values = needles
            .iter()
            .map(|needle| Finder::new(needle).into_owned());
        Redactor {
            values: values.collect(),
        }
    }

    /// The event without secrets.
    #[must_use]
    pub fn event(&self, mut event: Event) -> Event {
        event.for_each_text(&mut |text| self.clean(text));
        event
    }

    /// The text without secrets, for messages that are no event.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        self.clean(&mut text);
        text
    }

    fn clean(&self, text: &mut String) {
        let mut ranges = Vec::new();
        for value in &self.values {
            find_all(value, text.as_bytes(), &mut ranges);
        }
        shapes::find(text, &mut ranges);
        if !ranges.is_empty() {
            *text = without(text, ranges);
        }
    }
}

/// Every match, overlapping ones too: of a secret that overlaps itself, the rest must not stay.
fn find_all(value: &Finder<'_>, text: &[u8], ranges: &mut Vec<Range<usize>>) {
    let mut from = 0;
    while let Some(found) = value.find(&text[from..]) {
        let start = from + found;
        ranges.push(start..start + value.needle().len());
        from = start + 1;
    }
}

/// A secret in every spelling in which a message may quote it.
fn spellings(value: &str) -> Vec<String> {
    let mut all = vec![value.to_owned()];
    let trimmed = value.trim();
    if trimmed.len() != value.len() {
        all.push(trimmed.to_owned());
    }
    if value.contains('\n') {
        let lines = value.lines().map(str::trim);
        all.extend(
            lines
                .filter(|line| line.len() >= MIN_LINE_BYTES)
                .map(str::to_owned),
        );
    }
    if value.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return all;
    }
    let json = serde_json::Value::from(value).to_string();
    all.push(json[1..json.len() - 1].to_owned());
    let debug = format!("{value:?}");
    all.push(debug[1..debug.len() - 1].to_owned());
    all.push(
        percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC)
            .to_string(),
    );
    all.push(
        value
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;"),
    );
    all
}

/// The text with each range replaced; ranges that touch or overlap become one.
fn without(text: &str, mut ranges: Vec<Range<usize>>) -> String {
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    let mut clean = String::with_capacity(text.len());
    let mut end = 0;
    for range in ranges {
        if range.start > end || (range.start == 0 && end == 0) {
            clean.push_str(&text[end..range.start]);
            clean.push_str(REDACTED);
        }
        end = end.max(range.end);
    }
    clean.push_str(&text[end..]);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BootReport;
    use crate::report::{self, Style, sample};

    fn clean(secrets: &[&str], text: &str) -> String {
        Redactor::new(secrets.iter().map(|secret| (*secret).to_owned())).text(text)
    }

    #[test]
    fn given_values_go_in_every_spelling() {
        for (secret, text, expect) in [
            ("hunter2!", "it is hunter2!.", "it is [redacted]."),
            ("abcd", "abcd", "[redacted]"),
            ("abcd", "abcdabcd-abcd", "[redacted]-[redacted]"),
            ("a\"b\\c", r#"{"x": "a\"b\\c"}"#, r#"{"x": "[redacted]"}"#),
            ("p@ss word", "u:p%40ss%20word", "u:[redacted]"),
            ("<b&d>", "<x>&lt;b&amp;d&gt;</x>", "<x>[redacted]</x>"),
            ("pässwort", "mit pässwort!", "mit [redacted]!"),
            ("  padded  ", "was padded", "was [redacted]"),
            (
                "first-line-of-it\nsecond-line-of-it",
                "saw second-line-of-it",
                "saw [redacted]",
            ),
            ("abc", "abc is too short", "abc is too short"),
            ("", "nothing", "nothing"),
        ] {
            assert_eq!(clean(&[secret], text), expect, "{secret}");
        }
    }

    #[test]
    fn the_longest_wins_and_no_rest_of_an_overlap_stays() {
        assert_eq!(clean(&["abcd", "abcdefgh"], "abcdefgh"), "[redacted]");
        assert_eq!(clean(&["abcdef", "defghi"], "xabcdefghix"), "x[redacted]x");
    }

    #[test]
    fn a_secret_that_overlaps_itself_goes_whole() {
        let redactor = Redactor::new(["abab".to_owned()]);
        assert_eq!(redactor.text("x ababab y"), "x [redacted] y");
    }

    #[test]
    fn cleaning_twice_changes_nothing() {
        let once = clean(
            &["hunter22"],
            "postgres://me:hunter22@db SECRET_KEY=hunter22",
        );
        assert_eq!(once, "postgres://me:[redacted]@db SECRET_KEY=[redacted]");
        assert_eq!(clean(&["hunter22"], &once), once);
    }

    /// What is planted: characters that JSON, XML and `Debug` spell differently.
    const PLANTED: &str = "pl4nted\"<s&c>\\ret";

    /// Every text of an event holds the secret, in the middle of other words.
    fn planted() -> Vec<Event> {
        let mut streams = [
            sample::aborted(),
            sample::completed_with_fixes(),
            sample::observed(),
            sample::partial(),
            sample::every_kind(),
        ];
        let events = streams.iter_mut().flatten();
        let mut number = 0;
        for event in events {
            event.for_each_text(&mut |text| {
                number += 1;
                *text = format!("{text} a{PLANTED}z{number}");
            });
        }
        assert!(number > 100, "{number}");
        streams.concat()
    }

    #[test]
    fn no_artefact_holds_a_planted_secret_in_any_spelling() {
        let redactor = Redactor::new([PLANTED.to_owned()]);
        let clean: Vec<Event> = planted().into_iter().map(|it| redactor.event(it)).collect();
        let debug = format!("{clean:?}");
        assert!(!debug.contains("pl4nted"), "{debug}");
        for boot in clean.split_inclusive(|it| matches!(it, Event::BootFinished { .. })) {
            let report = BootReport::fold(boot).unwrap();
            let style = Style {
                color: true,
                width: 120,
            };
            for artefact in [
                report::pretty(&report, style),
                report::text(&report),
                report::json(&report),
                report::junit(&report),
                report::prometheus(&report, &jiff::tz::TimeZone::UTC),
            ] {
                assert!(artefact.contains("[redacted]") || artefact.starts_with("# HELP"));
                assert!(!artefact.contains("pl4nted"), "{artefact}");
                assert!(!artefact.contains("&c>"), "{artefact}");
            }
        }
    }

    #[test]
    fn bytes_of_a_change_are_never_rendered() {
        let json: Vec<String> = sample::every_kind()
            .iter()
            .filter_map(|event| match event {
                Event::RepairFinished { repair, .. } => {
                    Some(serde_json::to_string(repair).unwrap())
                }
                _ => None,
            })
            .collect();
        let json = json.concat();
        let in_numbers = b"never rendered".map(|byte| byte.to_string()).join(",");
        assert!(json.contains("create-file") && json.contains("append-to-file"));
        assert!(
            !json.contains("never rendered") && !json.contains(&in_numbers),
            "{json}"
        );
    }
}
