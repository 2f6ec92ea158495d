use std::fmt::Write;

use anstyle::{AnsiColor, Effects, Style as Ansi};

use super::words::printable;

/// How a terminal is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether ANSI colours are used.
    pub color: bool,
    /// Columns; brought into 60 to 120.
    pub width: usize,
}

/// Narrower, nothing can be read; wider, the eye loses the line.
const WIDTHS: std::ops::RangeInclusive<usize> = 60..=120;

/// Width of the rules, whatever the terminal's (SPEC.md, "Usage").
const RULE: &str = "============================================================";

/// Lines of one text that a terminal shows; the report and the record have them all.
const MAX_LINES: usize = 20;

/// The word in brackets at the beginning of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Check,
    Ok,
    Fix,
    Warn,
    Fail,
    Error,
    Skip,
    NotRun,
    Wait,
}

impl Tag {
    fn word(self) -> &'static str {
        match self {
            Tag::Check => "[CHECK]",
            Tag::Ok => "[OK]",
            Tag::Fix => "[FIX]",
            Tag::Warn => "[WARN]",
            Tag::Fail => "[FAIL]",
            Tag::Error => "[ERROR]",
            Tag::Skip => "[SKIP]",
            Tag::NotRun => "[NOT RUN]",
            Tag::Wait => "[WAIT]",
        }
    }

    fn ansi(self) -> Ansi {
        match self {
            Tag::Check => Ansi::new().bold(),
            Tag::Ok => AnsiColor::Green.on_default(),
            Tag::Fix => AnsiColor::Cyan.on_default().bold(),
            Tag::Warn | Tag::Wait => AnsiColor::Yellow.on_default().bold(),
            Tag::Fail | Tag::Error => AnsiColor::Red.on_default().bold(),
            Tag::Skip | Tag::NotRun => Ansi::new().effects(Effects::DIMMED),
        }
    }
}

/// Lines for a terminal: wrapped, indented, coloured.
#[derive(Debug)]
pub(super) struct Page {
    text: String,
    style: Style,
    /// Where a text stands whole of which lines are left out.
    whole_in: &'static str,
}

impl Page {
    pub(super) fn new(style: Style) -> Page {
        let width = style.width.clamp(*WIDTHS.start(), *WIDTHS.end());
        Page {
            text: String::new(),
            style: Style { width, ..style },
            whole_in: "the report",
        }
    }

    /// A page that is itself the report.
    pub(super) fn of_record(style: Style) -> Page {
        Page {
            whole_in: "the record",
            ..Page::new(style)
        }
    }

    /// What was written since the last call.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    pub(super) fn blank(&mut self) {
        self.text.push('\n');
    }

    pub(super) fn rule(&mut self) {
        self.text.push_str(RULE);
        self.text.push('\n');
    }

    /// A line between rules.
    pub(super) fn header(&mut self, title: &str) {
        self.rule();
        self.colored("", title, Ansi::new().bold());
        self.rule();
    }

    /// A line that says how it ended, in that tag's colour.
    pub(super) fn headline(&mut self, tag: Tag, line: &str) {
        self.colored("", line, tag.ansi().bold());
    }

    /// `[OK] …`, the following lines below the text.
    pub(super) fn tagged(&mut self, indent: usize, tag: Tag, body: &str) {
        let before = " ".repeat(indent);
        let word = tag.word();
        let (on, off) = self.codes(tag.ansi());
        let hanging = indent + word.len() + 1;
        self.wrapped(
            &format!("{before}{on}{word}{off} "),
            hanging,
            body,
            Ansi::new(),
        );
    }

    /// `label: value` in a column of labels, the following lines below the value.
    pub(super) fn field(&mut self, indent: usize, label: &str, width: usize, value: &str) {
        let before = format!("{}{label:width$}", " ".repeat(indent));
        let hanging = before.chars().count();
        self.wrapped(&before, hanging, value, Ansi::new());
    }

    /// A line as it is, below an indent: a diff is not wrapped.
    pub(super) fn verbatim(&mut self, indent: usize, line: &str) {
        self.text.push_str(&" ".repeat(indent));
        self.text.push_str(&printable(line));
        self.text.push('\n');
    }

    /// Plain text below an indent.
    pub(super) fn plain(&mut self, body: &str) {
        self.wrapped("", 0, body, Ansi::new());
    }

    fn colored(&mut self, before: &str, body: &str, ansi: Ansi) {
        self.wrapped(before, before.len(), body, ansi);
    }

    fn wrapped(&mut self, before: &str, hanging: usize, body: &str, ansi: Ansi) {
        let (on, off) = self.codes(ansi);
        let mut lines = Vec::new();
        for line in body.lines() {
            wrap(
                &printable(line),
                self.style.width.saturating_sub(hanging),
                &mut lines,
            );
        }
        let hidden = lines.len().saturating_sub(MAX_LINES);
        if hidden > 0 {
            lines.truncate(MAX_LINES);
            lines.push(format!("... {hidden} more lines in {}", self.whole_in));
        }
        if lines.is_empty() {
            lines.push(String::new());
        }
        for (number, line) in lines.iter().enumerate() {
            if number == 0 {
                self.text.push_str(before);
            } else {
                let _ = write!(self.text, "{:hanging$}", "");
            }
            let _ = write!(self.text, "{on}{line}{off}");
            let kept = self.text.trim_end_matches(' ').len();
            self.text.truncate(kept);
            self.text.push('\n');
        }
    }

    fn codes(&self, ansi: Ansi) -> (String, String) {
        if !self.style.color || ansi.is_plain() {
            return (String::new(), String::new());
        }
        (ansi.render().to_string(), ansi.render_reset().to_string())
    }
}

/// Breaks one line at spaces. What cannot be broken goes over the edge: a path or a command that is
/// cut in two cannot be copied.
fn wrap(line: &str, width: usize, lines: &mut Vec<String>) {
    // Nearly every line is one already. Its bytes are at least as many as its columns.
    let has_gaps = line.contains("  ") || line.starts_with(' ') || line.ends_with(' ');
    if line.len() <= width && !has_gaps {
        lines.push(line.to_owned());
        return;
    }
    let mut current = String::new();
    let mut columns = 0;
    for word in words(line) {
        let length = word.chars().count();
        if columns > 0 && columns + 1 + length > width {
            lines.push(std::mem::take(&mut current));
            columns = 0;
        }
        if columns > 0 {
            current.push(' ');
            columns += 1;
        }
        current.push_str(word);
        columns += length;
    }
    lines.push(current);
}

/// The words of a line; what stands between backticks is one, and so is a line that is a path.
fn words(line: &str) -> Vec<&str> {
    if is_path(line) {
        return vec![line.trim()];
    }
    let mut words = Vec::new();
    let mut start = 0;
    let mut in_backticks = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            // An opening backtick without a closing one quotes nothing.
            b'`' => in_backticks = !in_backticks && line[at + 1..].contains('`'),
            b' ' if !in_backticks => {
                words.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    words.push(&line[start..]);
    words.retain(|word| !word.is_empty());
    words
}

/// Whether the whole line is a path, which may hold spaces: it begins as one and no sentence follows.
fn is_path(line: &str) -> bool {
    let bytes = line.as_bytes();
    let is_drive = bytes.len() > 2
        && bytes[0].is_ascii_alphabetic()
        && bytes[1] == b':'
        && matches!(bytes[2], b'\\' | b'/');
    let begins = is_drive
        || ["/", "./", "../", "~/", "\\\\"]
            .iter()
            .any(|it| line.starts_with(it));
    let last = line.rsplit(' ').next().unwrap_or(line);
    begins && (!line.contains(' ') || last.contains(['/', '\\']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, width: usize, expect: &[&str]) {
        let mut lines = Vec::new();
        wrap(line, width, &mut lines);
        assert_eq!(lines, expect, "of {line}");
    }

    #[test]
    fn lines_break_between_words_and_nowhere_else() {
        check("one two three", 7, &["one two", "three"]);
        check("", 7, &[""]);
        check(
            "see /a/very/long/path/x.db now",
            9,
            &["see", "/a/very/long/path/x.db", "now"],
        );
        check("run `a b c d` first", 8, &["run", "`a b c d`", "first"]);
        check(
            "a lone ` quotes nothing",
            8,
            &["a lone `", "quotes", "nothing"],
        );
        check("/srv/my app/data/x.db", 8, &["/srv/my app/data/x.db"]);
        check("C:\\My Files\\x.db", 8, &["C:\\My Files\\x.db"]);
        check(
            "/srv/x.db is no database",
            12,
            &["/srv/x.db is", "no database"],
        );
        check("grün grün grün", 9, &["grün grün", "grün"]);
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        let mut page = Page::new(Style {
            color: false,
            width: 80,
        });
        page.tagged(0, Tag::Ok, "a\u{1b}[2Jb\r\nc\u{202e}d\u{7}");
        assert_eq!(page.take(), "[OK] a\\u{1b}[2Jb\n     c\\u{202e}d\\u{7}\n");
    }
}
