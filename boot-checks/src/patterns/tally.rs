//! Adds up what was found, piece by piece; pieces are merged in the order of the input.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::diagnosis::{Diagnosis, Incident, Place};
use super::matcher::{Compiled, Found, matcher};
use super::ownership::OwnPackages;

/// Different incidents that are kept. A log with more is not read by people; the rest is counted.
const INCIDENTS_MAX: usize = 10_000;
/// Characters of a message that are kept.
const MESSAGE_CHARS_MAX: usize = 240;
/// Characters of a captured text that are kept.
const CAPTURE_CHARS_MAX: usize = 160;

/// A password inside an address.
static URL_PASSWORD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(://[^/\s:@]*:)[^@\s/]+@").ok());

/// One match, as the matcher reports it.
pub(super) struct Sighting<'a> {
    pub(super) index: u16,
    pub(super) compiled: &'a Compiled,
    pub(super) found: Found<'a>,
    pub(super) offset: u64,
    pub(super) block: u64,
    pub(super) own_evidence: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    index: u16,
    count: u64,
    first: Place,
    last: Place,
    first_block: u64,
    last_block: u64,
    own_evidence: bool,
    message: String,
    captures: BTreeMap<&'static str, String>,
}

/// What a piece of the input showed. Lines are counted from the piece's own beginning.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Newlines seen so far.
    pub(super) lines: u64,
    entries: Vec<Entry>,
    by_key: HashMap<Vec<u8>, usize>,
    /// Sightings of incidents beyond those kept.
    omitted: u64,
    key: Vec<u8>,
}

impl Tally {
    /// Counts a sighting, once for each traceback or line.
    pub(super) fn add(&mut self, sighting: &Sighting<'_>) {
        let mut key = std::mem::take(&mut self.key);
        write_key(&mut key, sighting);
        let place = Place {
            line: self.lines + 1,
            offset: sighting.offset,
        };
        match self.by_key.get(&key) {
            Some(index) => {
                let entry = &mut self.entries[*index];
                entry.own_evidence |= sighting.own_evidence;
                if entry.last_block != sighting.block {
                    entry.count += 1;
                    entry.last = place;
                    entry.last_block = sighting.block;
                }
            }
            None if self.entries.len() >= INCIDENTS_MAX => self.omitted += 1,
            None => {
                self.by_key.insert(key.clone(), self.entries.len());
                self.entries.push(entry(sighting, place));
            }
        }
        self.key = key;
    }

    /// Appends what the following piece of the input showed. Answers the keys that grew.
    pub(super) fn merge(&mut self, next: Tally) -> Vec<usize> {
        let mut grown = Vec::new();
        let lines = self.lines;
        let mut keys: Vec<(Vec<u8>, usize)> = next.by_key.into_iter().collect();
        keys.sort_by_key(|(_, index)| *index);
        for ((key, _), mut entry) in keys.into_iter().zip(next.entries) {
            entry.first.line += lines;
            entry.last.line += lines;
            match self.by_key.get(&key) {
                Some(index) => {
                    let known = &mut self.entries[*index];
                    let same = u64::from(known.last_block == entry.first_block);
                    known.own_evidence |= entry.own_evidence;
                    if entry.count > same {
                        known.count += entry.count - same;
                        known.last = entry.last;
                        known.last_block = entry.last_block;
                        grown.push(*index);
                    }
                }
                None if self.entries.len() >= INCIDENTS_MAX => self.omitted += entry.count,
                None => {
                    grown.push(self.entries.len());
                    self.by_key.insert(key, self.entries.len());
                    self.entries.push(entry);
                }
            }
        }
        self.lines += next.lines;
        self.omitted += next.omitted;
        grown
    }

    /// The incidents at these places of [`Tally::merge`]'s answer.
    pub(super) fn incidents_at(&self, places: &[usize], own: &OwnPackages) -> Vec<Incident> {
        places
            .iter()
            .filter_map(|index| self.entries[*index].incident(own))
            .collect()
    }

    /// The result, with incidents in the order of their first places.
    pub(super) fn finish(self, bytes: u64, ends_in_newline: bool, own: &OwnPackages) -> Diagnosis {
        let mut incidents: Vec<Incident> = self
            .entries
            .iter()
            .filter_map(|entry| entry.incident(own))
            .collect();
        incidents.sort_by(|a, b| {
            (a.first.offset, a.pattern, &a.captures).cmp(&(b.first.offset, b.pattern, &b.captures))
        });
        Diagnosis {
            incidents,
            lines: self.lines + u64::from(bytes > 0 && !ends_in_newline),
            bytes,
            omitted: self.omitted,
            incomplete: None,
        }
    }
}

impl Entry {
    /// `None` where the module turned out to belong to the other pattern.
    fn incident(&self, own: &OwnPackages) -> Option<Incident> {
        let compiled = matcher().compiled(self.index);
        if let Some(wanted) = compiled.signature.own_package {
            let module = self.captures.get("module").map_or("", String::as_str);
            if (self.own_evidence || own.owns(module)) != wanted {
                return None;
            }
        }
        Some(Incident::new(
            compiled.pattern,
            compiled.signature,
            self.captures.clone(),
            self.message.clone(),
            self.count,
            self.first,
            self.last,
        ))
    }
}

/// What makes two sightings the same incident: the pattern, what it says beyond it, the subject.
fn write_key(key: &mut Vec<u8>, sighting: &Sighting<'_>) {
    let signature = sighting.compiled.signature;
    key.clear();
    key.extend_from_slice(sighting.compiled.pattern.id.as_bytes());
    key.push(u8::from(signature.other.is_some()));
    for subject in signature.subject {
        key.push(0);
        let found = subject
            .split('|')
            .find_map(|name| sighting.found.capture(name));
        let found = found.unwrap_or_default();
        key.extend_from_slice(&found[..found.len().min(CAPTURE_CHARS_MAX)]);
    }
}

fn entry(sighting: &Sighting<'_>, place: Place) -> Entry {
    let names = sighting.found.regex.capture_names().flatten();
    let captures = names
        .filter_map(|name| {
            let value = sighting.found.capture(name)?;
            let name = static_name(sighting.compiled, name)?;
            Some((name, clean(value, CAPTURE_CHARS_MAX)))
        })
        .collect();
    let matched = sighting.found.matched();
    let last_line = matched
        .rsplit(|byte| *byte == b'\n')
        .next()
        .unwrap_or(matched);
    Entry {
        index: sighting.index,
        count: 1,
        first: place,
        last: place,
        first_block: sighting.block,
        last_block: sighting.block,
        own_evidence: sighting.own_evidence,
        message: clean(last_line.trim_ascii(), MESSAGE_CHARS_MAX),
        captures,
    }
}

/// The name as it stands in the catalogue, which lives as long as the program.
fn static_name(compiled: &Compiled, name: &str) -> Option<&'static str> {
    let regex = compiled.signature.regex;
    let at = regex.find(&format!("(?P<{name}>"))? + "(?P<".len();
    regex.get(at..at + name.len())
}

/// Text from a log is not trusted: no control characters, no passwords, a bounded length.
fn clean(text: &[u8], chars_max: usize) -> String {
    let text = &text[..text.len().min(chars_max * 8)];
    let text = match &*URL_PASSWORD {
        Some(password) => password.replace_all(text, b"${1}***@".as_slice()),
        None => text.into(),
    };
    let text = String::from_utf8_lossy(&text);
    let mut out: String = text
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .take(chars_max)
        .collect();
    if text.chars().nth(chars_max).is_some() {
        out.push_str("...");
    }
    out
}
