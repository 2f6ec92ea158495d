//! Reading the application's `.env`. The grammar is dotenvy's; beside it stands only what dotenvy
//! leaves out: line numbers, and the limits on what is opened.

use std::cell::Cell;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use super::text_file::read_if_there;
use super::{ConfigError, Place};

/// One variable of a `.env` file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) name: String,
    pub(super) value: String,
    /// The lines it stands on, from 0; several for a quoted value with line breaks.
    pub(super) lines: Range<usize>,
}

/// Names and values in the order of the file; none where there is no file.
pub(super) fn read(path: &Path, at: &Place) -> Result<Vec<(String, String)>, ConfigError> {
    let Some(text) = read_if_there(path, at)? else {
        return Ok(Vec::new());
    };
    let assignments = parse(&text).map_err(|line| ConfigError::EnvLine {
        path: path.to_owned(),
        line,
    })?;
    let pair = |assignment: Assignment| (assignment.name, assignment.value);
    Ok(assignments.into_iter().map(pair).collect())
}

/// The line, from 1, of a variable in a `.env`; where it stands twice, of the one that counts.
pub fn line_of(path: &Path, name: &str) -> Option<usize> {
    let text = read_if_there(path, &Place::Default).ok()??;
    let mut assignments = parse(&text).ok()?.into_iter();
    let last = assignments.rfind(|assignment| assignment.name == name)?;
    Some(last.lines.start + 1)
}

/// The assignments of a text without a byte order mark, or the line, from 1, where the first thing
/// begins that is neither an assignment nor a comment.
pub(super) fn parse(text: &str) -> Result<Vec<Assignment>, usize> {
    let lines: Vec<&str> = text.lines().collect();
    let handed_out = Cell::new(0);
    let mark = mark_not_in(text);
    let text = without_plain_dollars(text, mark);
    // dotenvy refuses blanks at the end of a file whose last line lacks its newline.
    let text = format!("{text}\n");
    let reader = LineByLine {
        rest: text.as_bytes(),
        handed_out: &handed_out,
    };
    let mut assignments = Vec::new();
    let mut begin = 0;
    for item in dotenvy::Iter::new(reader) {
        let end = handed_out.get().min(lines.len());
        // What was handed out since the last assignment begins with blank lines and comments.
        begin += lines[begin.min(end)..end]
            .iter()
            .take_while(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
            .count();
        // No environment holds a NUL.
        let Some((name, value)) = item.ok().filter(|(_, value)| !value.contains('\0')) else {
            return Err(begin + 1);
        };
        assignments.push(Assignment {
            name,
            value: value.replace(mark, "$"),
            lines: begin..end,
        });
        begin = end;
    }
    Ok(assignments)
}

/// A dollar sign without a brace behind it is itself: python-dotenv, which reads the same file for the
/// application, expands `${NAME}` only, and dotenvy `$NAME` too. So a mark stands for it while dotenvy reads.
fn without_plain_dollars(text: &str, mark: char) -> String {
    let mut marked = String::with_capacity(text.len());
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        let is_plain = character == '$' && before != Some('\\') && rest.peek() != Some(&'{');
        marked.push(if is_plain { mark } else { character });
        before = Some(character);
    }
    marked
}

/// A character for private use that the text does not use.
fn mark_not_in(text: &str) -> char {
    let private = '\u{e000}'..='\u{f8ff}';
    private
        .clone()
        .find(|&mark| !text.contains(mark))
        .unwrap_or(*private.start())
}

/// Hands out one line per read, so that what dotenvy has taken is known by line: it buffers a
/// whole read, and reads again only when that is used up.
struct LineByLine<'a> {
    rest: &'a [u8],
    handed_out: &'a Cell<usize>,
}

impl Read for LineByLine<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let line = self
            .rest
            .split_inclusive(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        let part = &line[..line.len().min(buf.len())];
        buf[..part.len()].copy_from_slice(part);
        if part.ends_with(b"\n") {
            self.handed_out.set(self.handed_out.get() + 1);
        }
        self.rest = &self.rest[part.len()..];
        Ok(part.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(text: &str) -> Vec<(String, String, Range<usize>)> {
        parse(text)
            .unwrap()
            .into_iter()
            .map(|a| (a.name, a.value, a.lines))
            .collect()
    }

    #[test]
    fn every_form_of_a_line_is_read_and_placed() {
        let text = "# comment\r\n\r\nA=1\r\nexport B='two words' # why\r\nC=\"line 1\nline 2\"\nD=\n# end\nE=x  ";
        let expect = [
            ("A", "1", 2..3),
            ("B", "two words", 3..4),
            ("C", "line 1\nline 2", 4..6),
            ("D", "", 6..7),
            ("E", "x", 8..9),
        ];
        let expect = expect.map(|(name, value, lines)| (name.to_owned(), value.to_owned(), lines));
        assert_eq!(read_back(text), expect);
    }

    #[test]
    fn only_names_in_braces_are_expanded() {
        let text = "A=1\nB=pa$word\nC=\"tok$A_9\"\nD=$2b$12$abc\nE='$A'\nF=${A}2\nG=\"x\\$A\"\nH=\u{e000}$\n";
        let values: Vec<String> = parse(text)
            .unwrap()
            .into_iter()
            .map(|it| it.value)
            .collect();
        let expect = [
            "1",
            "pa$word",
            "tok$A_9",
            "$2b$12$abc",
            "$A",
            "12",
            "x$A",
            "\u{e000}$",
        ];
        assert_eq!(values, expect);
    }

    #[test]
    fn a_line_longer_than_any_buffer_is_one_line() {
        let text = format!("A={}\nB=2\n", "x".repeat(100_000));
        assert_eq!(read_back(&text)[1], ("B".to_owned(), "2".to_owned(), 1..2));
    }

    #[test]
    fn a_line_that_is_nothing_is_named() {
        let cases = [
            ("A=1\n# c\n\nnot a line\n", 4),
            ("A=1\nB='open\n\nC=3\n", 2),
            ("1A=1", 1),
            ("A=1\nB=x\0y", 2),
            ("A=two words", 1),
            ("A=1\r\n=2\r\n", 2),
        ];
        for (text, line) in cases {
            assert_eq!(parse(text), Err(line), "{text:?}");
        }
    }
}
