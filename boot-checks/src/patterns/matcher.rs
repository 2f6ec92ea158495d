//! Searches text for all signatures at once.
//!
//! A vectorised search looks for the anchors: literals, one of which is in every text that a
//! signature matches. Only around an anchor is a regular expression run, over the anchor's line or
//! a bounded part of it. What is found at a place therefore depends on its
//! surroundings alone, never on how the input was cut.

use std::ops::Range;
use std::sync::{LazyLock, OnceLock};

use regex::bytes::{CaptureLocations, Regex};

use super::anchors::Anchors;
use super::line::{LINE_AFTER_BYTES, LINE_BEFORE_BYTES, LINE_START_BYTES, Line, window_before};
use super::pattern::{Pattern, Signature};
use super::tally::{Sighting, Tally};
use super::{catalogue, ownership, traceback};

/// How far before an anchor anything is looked at.
const HISTORY_BYTES: usize = 64 * 1024;
/// What a region must hold before its own part, unless it begins with the input. One byte more than
/// is looked at, so that the first byte looked at is never mistaken for the beginning of the input.
pub(super) const CONTEXT_BYTES: usize = HISTORY_BYTES + 1;
/// How far behind the beginning of an anchor anything is looked at.
pub(super) const LOOKAHEAD_BYTES: usize = LINE_AFTER_BYTES + 64;

/// A line that defines how an incident looks is no incident: catalogues and rule files in a log.
/// It is told by the value that is still open where the anchor begins.
const DEFINITION: &str =
    r#"\b(?:trigger_)?(?:pattern|signature|regex)s?\\*"?\s*[:=]\s*\[?r?\\*["'][^",]*$"#;

static MATCHER: LazyLock<Matcher> = LazyLock::new(Matcher::new);

/// The matcher of the catalogue, built on first use.
pub(super) fn matcher() -> &'static Matcher {
    &MATCHER
}

pub(super) struct Matcher {
    anchors: Anchors,
    /// For each anchor the signatures that need it.
    by_anchor: Vec<Vec<u16>>,
    compiled: Vec<Compiled>,
    expressions: Vec<Expression>,
    definition: OnceLock<Regex>,
}

/// A signature with its expressions, which are compiled when its anchor is first met.
pub(super) struct Compiled {
    pub(super) pattern: &'static Pattern,
    pub(super) signature: &'static Signature,
    /// Signatures with the same expression share one.
    expression: usize,
    unless: OnceLock<Regex>,
}

impl Compiled {
    fn refuted(&self, line: &[u8]) -> bool {
        self.signature.unless.is_some_and(|unless| {
            let unless = self.unless.get_or_init(|| compile(unless));
            unless.is_match(line)
        })
    }
}

struct Expression {
    source: &'static str,
    regex: OnceLock<Regex>,
}

impl Expression {
    fn regex(&self) -> &Regex {
        self.regex.get_or_init(|| compile(self.source))
    }
}

/// A match of an expression around an anchor.
pub(super) struct Found<'a> {
    pub(super) regex: &'a Regex,
    captures: &'a CaptureLocations,
    haystack: &'a [u8],
}

impl<'a> Found<'a> {
    /// The text of a named capture.
    pub(super) fn capture(&self, name: &str) -> Option<&'a [u8]> {
        let index = self
            .regex
            .capture_names()
            .position(|known| known == Some(name))?;
        let (start, end) = self.captures.get(index)?;
        Some(&self.haystack[start..end])
    }

    /// The whole match.
    pub(super) fn matched(&self) -> &'a [u8] {
        let whole = self.captures.get(0);
        whole.map_or(&[], |(start, end)| &self.haystack[start..end])
    }
}

/// What one scan reuses from anchor to anchor.
struct Scratch {
    /// For each expression the places of its last match.
    locations: Vec<Option<CaptureLocations>>,
    /// For each expression the anchor where it last ran, and whether it matched.
    ran: Vec<Option<(usize, bool)>>,
    /// The block of the line that was last asked for.
    block: Option<(usize, traceback::Block)>,
    window: Vec<u8>,
}

fn compile(regex: &str) -> Regex {
    #[expect(
        clippy::expect_used,
        reason = "the build compiles every expression of the catalogue"
    )]
    Regex::new(regex).expect("the build compiled this expression")
}

/// A piece of the input. Anchors that start in `own` are reported; the rest is context.
pub(super) struct Region<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) own: Range<usize>,
    /// Place of `bytes[0]` in the input.
    pub(super) offset: u64,
}

impl Matcher {
    fn new() -> Matcher {
        let mut literals: Vec<&'static str> = Vec::new();
        let mut by_anchor: Vec<Vec<u16>> = Vec::new();
        let mut compiled = Vec::new();
        let mut expressions: Vec<Expression> = Vec::new();
        for pattern in catalogue::all() {
            for signature in pattern.signatures {
                #[expect(clippy::cast_possible_truncation, reason = "the catalogue is small")]
                let index = compiled.len() as u16;
                for anchor in signature.anchors {
                    let place = literals.iter().position(|known| known == anchor);
                    let place = place.unwrap_or_else(|| {
                        literals.push(anchor);
                        by_anchor.push(Vec::new());
                        literals.len() - 1
                    });
                    by_anchor[place].push(index);
                }
                let source = signature.regex;
                let known = expressions.iter().position(|known| known.source == source);
                let expression = known.unwrap_or_else(|| {
                    expressions.push(Expression {
                        source,
                        regex: OnceLock::new(),
                    });
                    expressions.len() - 1
                });
                compiled.push(Compiled {
                    pattern,
                    signature,
                    expression,
                    unless: OnceLock::new(),
                });
            }
        }
        Matcher {
            anchors: Anchors::new(&literals),
            by_anchor,
            compiled,
            expressions,
            definition: OnceLock::new(),
        }
    }

    pub(super) fn compiled(&self, index: u16) -> &Compiled {
        &self.compiled[usize::from(index)]
    }

    /// Adds what the region shows to `tally`.
    pub(super) fn scan(&self, region: &Region<'_>, tally: &mut Tally) {
        let bytes = region.bytes;
        let limit = bytes.len().min(region.own.end + LOOKAHEAD_BYTES);
        let mut counted = region.own.start;
        let mut at = region.own.start;
        let mut scratch = Scratch {
            locations: vec![None; self.expressions.len()],
            ran: vec![None; self.expressions.len()],
            block: None,
            window: Vec::new(),
        };
        while let Some((anchor, start)) = self.anchors.find_in(bytes, at..limit) {
            if start >= region.own.end {
                break;
            }
            at = start + 1;
            tally.lines += newlines(&bytes[counted..start]);
            counted = start;
            let line = Line::around(bytes, start);
            let definition = self.definition.get_or_init(|| compile(DEFINITION));
            if definition.is_match(&bytes[line.start..start]) {
                continue;
            }
            for signature in &self.by_anchor[anchor] {
                self.verify(*signature, region, &line, start, &mut scratch, tally);
            }
        }
        tally.lines += newlines(&bytes[counted..region.own.end]);
    }

    fn verify(
        &self,
        index: u16,
        region: &Region<'_>,
        line: &Line,
        anchor: usize,
        scratch: &mut Scratch,
        tally: &mut Tally,
    ) {
        let compiled = self.compiled(index);
        let regex = self.expressions[compiled.expression].regex();
        let text = &region.bytes[line.start..line.end];
        let (haystack, at) = if compiled.signature.window {
            window_before(region.bytes, line, &mut scratch.window);
            (scratch.window.as_slice(), None)
        } else {
            (text, Some(anchor - line.start))
        };
        let captures =
            scratch.locations[compiled.expression].get_or_insert_with(|| regex.capture_locations());
        let ran = &mut scratch.ran[compiled.expression];
        let matched = match *ran {
            Some((place, matched)) if place == anchor => matched,
            _ => read_at_anchor(regex, captures, haystack, at),
        };
        *ran = Some((anchor, matched));
        if !matched || compiled.refuted(text) {
            return;
        }
        let found = Found {
            regex,
            captures,
            haystack,
        };
        let block = block_of(region, line, anchor, &mut scratch.block);
        let own_evidence = compiled.signature.own_package.is_some()
            && shown_by_frames(
                &found,
                &region.bytes[block.frames_start.min(line.start)..anchor],
            );
        tally.add(&Sighting {
            index,
            compiled,
            found,
            offset: region.offset + anchor as u64,
            block: region.offset + block.start as u64,
            own_evidence,
        });
    }
}

fn block_of(
    region: &Region<'_>,
    line: &Line,
    anchor: usize,
    last: &mut Option<(usize, traceback::Block)>,
) -> traceback::Block {
    let Some(start) = line.whole_start(region.bytes) else {
        // A line too long to have a beginning: each message in it stands for itself.
        return traceback::Block {
            start: anchor,
            frames_start: line.start,
        };
    };
    match *last {
        Some((known, block)) if known == start => block,
        _ => {
            let floor = start.saturating_sub(HISTORY_BYTES - LINE_START_BYTES - LINE_BEFORE_BYTES);
            let block = traceback::block(region.bytes, floor, start);
            *last = Some((start, block));
            block
        }
    }
}

/// Reads the captures of the match that covers `at`, or of the first match.
fn read_at_anchor(
    regex: &Regex,
    captures: &mut CaptureLocations,
    haystack: &[u8],
    at: Option<usize>,
) -> bool {
    let Some(at) = at else {
        return regex.captures_read(captures, haystack).is_some();
    };
    let mut from = 0;
    while let Some(found) = regex.find_at(haystack, from) {
        if found.start() > at {
            return false;
        }
        if found.end() > at {
            return regex
                .captures_read_at(captures, haystack, found.start())
                .is_some();
        }
        from = found.end().max(from + 1);
    }
    false
}

fn shown_by_frames(found: &Found<'_>, frames: &[u8]) -> bool {
    found.capture("module").is_some_and(|module| {
        memchr::memchr(b'.', module).is_some()
            && traceback::frame_files(frames).any(|file| ownership::frame_shows(file, module))
    })
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}
