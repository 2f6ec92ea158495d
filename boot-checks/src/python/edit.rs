use std::path::PathBuf;

use serde::Serialize;

use super::source::{BOM, decode};

/// Lines of context around a change in a diff.
const CONTEXT_LINES: usize = 3;

/// One replacement in a file, in bytes of its text after the mark of UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TextEdit {
    /// First byte that is replaced.
    pub start: usize,
    /// The byte after the last that is replaced.
    pub end: usize,
    /// What stands there instead.
    pub replacement: String,
}

/// A change of one source file that was checked in memory; nothing has been written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EditProposal {
    /// The file, relative to the project's root.
    pub file: PathBuf,
    /// What it does, in one line.
    pub description: String,
    /// The replacements, in the order of the text; they do not overlap.
    pub edits: Vec<TextEdit>,
    /// The same as a unified diff.
    pub diff: String,
}

impl EditProposal {
    pub(super) fn new(
        file: PathBuf,
        description: String,
        text: &str,
        mut edits: Vec<TextEdit>,
    ) -> Option<EditProposal> {
        edits.sort_by_key(|edit| edit.start);
        let after = apply(text, &edits)?;
        let name = file.display().to_string();
        let diff = similar::TextDiff::from_lines(text, &after)
            .unified_diff()
            .context_radius(CONTEXT_LINES)
            .header(&format!("a/{name}"), &format!("b/{name}"))
            .to_string();
        Some(EditProposal {
            file,
            description,
            edits,
            diff,
        })
    }

    /// The edit from one text to another: what lies between what both begin and end with.
    pub(super) fn from_texts(
        file: PathBuf,
        description: String,
        before: &str,
        after: &str,
    ) -> Option<EditProposal> {
        let same = |(a, b): &(char, char)| a == b;
        let start: usize = before
            .chars()
            .zip(after.chars())
            .take_while(same)
            .map(|(c, _)| c.len_utf8())
            .sum();
        let (rest, new) = (before.get(start..)?, after.get(start..)?);
        let end: usize = rest
            .chars()
            .rev()
            .zip(new.chars().rev())
            .take_while(same)
            .map(|(c, _)| c.len_utf8())
            .sum();
        let edit = TextEdit {
            start,
            end: before.len() - end,
            replacement: new.get(..new.len() - end)?.to_owned(),
        };
        EditProposal::new(file, description, before, vec![edit])
    }

    /// The bytes of the file with the edits, every other byte as it was: a mark of UTF-8, line ends, a missing last
    /// one. `None`: they are not the bytes that the edits were made for, or their encoding is none of UTF-8 and latin-1.
    pub fn apply_to_bytes(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let text = decode(bytes).ok()?;
        let after = apply(&text, &self.edits)?;
        let (mark, body) = match bytes.strip_prefix(BOM) {
            Some(body) => (BOM, body),
            None => (&[][..], bytes),
        };
        let latin = |text: &str| -> Option<Vec<u8>> {
            let byte = |c| u8::try_from(u32::from(c)).ok();
            text.chars().map(byte).collect()
        };
        let edited = if body == text.as_bytes() {
            after.into_bytes()
        } else if latin(&text).as_deref() == Some(body) {
            latin(&after)?
        } else {
            return None;
        };
        Some([mark, &edited].concat())
    }

    /// The text with the edits; `None`: it is not the text that they were made for.
    pub fn apply(&self, text: &str) -> Option<String> {
        apply(text, &self.edits)
    }
}

fn apply(text: &str, edits: &[TextEdit]) -> Option<String> {
    let mut result = String::with_capacity(text.len());
    let mut at = 0;
    for edit in edits {
        result.push_str(text.get(at..edit.start)?);
        result.push_str(&edit.replacement);
        at = edit.end.max(edit.start);
    }
    result.push_str(text.get(at..)?);
    Some(result)
}
