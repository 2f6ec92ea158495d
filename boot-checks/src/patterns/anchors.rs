use std::ops::Range;

use aho_corasick::packed;
use aho_corasick::{AhoCorasick, MatchKind};

/// A search for all anchors at once.
pub(super) enum Anchors {
    Packed(packed::Searcher),
    /// For processors without the vector instructions.
    Automaton(AhoCorasick),
}

impl Anchors {
    pub(super) fn new(literals: &[&str]) -> Anchors {
        let searcher = packed::Config::new()
            .match_kind(packed::MatchKind::LeftmostFirst)
            .builder()
            .extend(literals)
            .build();
        match searcher {
            Some(searcher) => Anchors::Packed(searcher),
            None => {
                #[expect(clippy::expect_used, reason = "the build limits number and length")]
                let automaton = AhoCorasick::builder()
                    .match_kind(MatchKind::LeftmostFirst)
                    .build(literals)
                    .expect("few short literals fit an automaton");
                Anchors::Automaton(automaton)
            }
        }
    }

    /// The first anchor that starts in `span`: its number and its place.
    pub(super) fn find_in(&self, text: &[u8], span: Range<usize>) -> Option<(usize, usize)> {
        let found = match self {
            Anchors::Packed(searcher) => searcher.find_in(text, span.into()),
            Anchors::Automaton(automaton) => {
                automaton.find(aho_corasick::Input::new(text).span(span))
            }
        }?;
        Some((found.pattern().as_usize(), found.start()))
    }
}
