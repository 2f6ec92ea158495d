//! Finds the traceback that a message ends, by walking back from the message.
//!
//! Only what lies within a fixed distance before a message is looked at, so the answer never
//! depends on how the input was cut into pieces.

use super::prefix;

/// A traceback longer than this is not followed to its head.
const LINES_MAX: usize = 1_500;
/// Source lines and marks below one frame.
const SOURCE_LINES_MAX: usize = 8;
/// Lines of a message between an exception and the next link of its chain.
const MESSAGE_LINES_MAX: usize = 40;
/// Exceptions in one chain that are followed.
const LINKS_MAX: usize = 16;

/// The traceback that a line belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Where it starts: the first line of its first traceback, or the log line that announces it.
    pub(super) start: usize,
    /// Where the frames of the message's own traceback start.
    pub(super) frames_start: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Header,
    Frame,
    Source,
    Chain,
    Blank,
    Text,
}

/// Lines before a place, last first.
#[derive(Clone)]
struct Above<'a> {
    bytes: &'a [u8],
    floor: usize,
    end: usize,
}

impl<'a> Above<'a> {
    fn next(&mut self) -> Option<(usize, &'a [u8])> {
        if self.end <= self.floor {
            return None;
        }
        let body_end = self.end - 1;
        let start = match memchr::memrchr(b'\n', &self.bytes[self.floor..body_end]) {
            Some(newline) => self.floor + newline + 1,
            // The line is cut off by the floor; only a file's own beginning is a line's beginning.
            None if self.floor == 0 => 0,
            None => return None,
        };
        let line = &self.bytes[start..self.end];
        self.end = start;
        Some((start, line))
    }
}

fn kind(line: &[u8]) -> Kind {
    let bare = prefix::strip(line);
    let indented = bare.trim_ascii_start();
    if indented.is_empty() {
        return Kind::Blank;
    }
    let in_bars = indented.len() < bare.len() && matches!(indented[0], b'|' | b'+');
    let (body, deep) = if in_bars {
        if indented.starts_with(b"+-") {
            return Kind::Chain;
        }
        let inner = indented[1..].strip_prefix(b" ").unwrap_or(&indented[1..]);
        let body = inner.trim_ascii_start();
        (body, body.len() < inner.len())
    } else {
        let body = indented
            .strip_prefix(b"***")
            .unwrap_or(indented)
            .trim_ascii_start();
        (
            body,
            indented.len() < bare.len() || body.len() < indented.len(),
        )
    };
    if body.is_empty() {
        Kind::Blank
    } else if body.starts_with(b"Traceback (most recent call last):")
        || body.starts_with(b"Exception Group Traceback (most recent call last):")
    {
        Kind::Header
    } else if body.starts_with(b"File \"") && memchr::memmem::find(body, b"\", line ").is_some() {
        Kind::Frame
    } else if body.starts_with(b"During handling of the above exception")
        || body.starts_with(b"The above exception was the direct cause")
    {
        Kind::Chain
    } else if deep {
        Kind::Source
    } else {
        Kind::Text
    }
}

/// The block that the line at `line_start` ends or is; `floor` is as far back as may be looked.
pub(super) fn block(bytes: &[u8], floor: usize, line_start: usize) -> Block {
    let mut block = Block {
        start: line_start,
        frames_start: line_start,
    };
    let mut message = line_start;
    for link in 0..LINKS_MAX {
        let Some(head) = head_of(bytes, floor, message) else {
            break;
        };
        block.start = head.start;
        if link == 0 {
            block.frames_start = head.start;
        }
        if !head.complete {
            break;
        }
        match before_head(bytes, floor, head.start) {
            Before::Message(earlier) => {
                block.start = earlier;
                message = earlier;
            }
            Before::Announcement(line) => {
                block.start = line;
                break;
            }
            Before::Nothing => break,
        }
    }
    block
}

struct Head {
    start: usize,
    complete: bool,
}

/// The head of the traceback whose message starts at `message`.
fn head_of(bytes: &[u8], floor: usize, message: usize) -> Option<Head> {
    let mut above = Above {
        bytes,
        floor,
        end: message,
    };
    let mut top = None;
    let mut sources = 0;
    for _ in 0..LINES_MAX {
        let Some((start, line)) = above.next() else {
            // The head is out of sight: the message stands for itself.
            return if floor == 0 { top } else { None };
        };
        match kind(line) {
            Kind::Header => {
                return Some(Head {
                    start,
                    complete: true,
                });
            }
            Kind::Frame => {
                sources = 0;
                top = Some(Head {
                    start,
                    complete: false,
                });
            }
            Kind::Source if sources < SOURCE_LINES_MAX => sources += 1,
            _ => return top,
        }
    }
    None
}

enum Before {
    /// The message of an earlier exception of the same chain.
    Message(usize),
    /// The log line that announces the traceback.
    Announcement(usize),
    Nothing,
}

fn before_head(bytes: &[u8], floor: usize, head: usize) -> Before {
    let mut above = Above {
        bytes,
        floor,
        end: head,
    };
    let mut blanks = 0;
    let (start, found) = loop {
        match above.next() {
            None => return Before::Nothing,
            Some((start, line)) => match kind(line) {
                Kind::Blank if blanks < 2 => blanks += 1,
                kind => break (start, kind),
            },
        }
    };
    match found {
        Kind::Chain => message_above(above).map_or(Before::Nothing, Before::Message),
        Kind::Text if blanks == 0 && !ends_traceback(above) => Before::Announcement(start),
        _ => Before::Nothing,
    }
}

/// The first line of the message that ends above: the first one that directly follows frames.
fn message_above(mut above: Above<'_>) -> Option<usize> {
    let mut lines = 0;
    let mut candidate = None;
    while lines < MESSAGE_LINES_MAX {
        let (start, line) = above.next()?;
        match kind(line) {
            Kind::Frame | Kind::Source | Kind::Header => {
                if candidate.is_some() && ends_in_frames(line, above.clone()) {
                    return candidate;
                }
            }
            Kind::Text => candidate = Some(start),
            Kind::Blank | Kind::Chain => {}
        }
        lines += 1;
    }
    None
}

fn ends_in_frames(line: &[u8], mut above: Above<'_>) -> bool {
    let mut kind_here = kind(line);
    for _ in 0..=SOURCE_LINES_MAX {
        match kind_here {
            Kind::Frame | Kind::Header => return true,
            Kind::Source => {}
            _ => return false,
        }
        match above.next() {
            Some((_, line)) => kind_here = kind(line),
            None => return false,
        }
    }
    false
}

/// Whether a text line below these lines is the message of another traceback.
fn ends_traceback(mut above: Above<'_>) -> bool {
    match above.next() {
        Some((_, line)) => ends_in_frames(line, above),
        None => false,
    }
}

/// The files of the frames between two places.
pub(super) fn frame_files(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    memchr::memmem::find_iter(text, b"File ").filter_map(|at| {
        let rest = &text[at + 5..];
        let rest = rest.strip_prefix(b"\\").unwrap_or(rest);
        let rest = rest.strip_prefix(b"\"")?;
        let end = memchr::memchr2(b'"', b'\n', rest)?;
        Some(&rest[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line that holds `message`, and the first line of its block.
    fn check(text: &str, message: &str, expected_start: &str) {
        let at = text.rfind(message).unwrap();
        let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let block = block(text.as_bytes(), 0, line_start);
        let start = text[block.start..].lines().next().unwrap();
        assert_eq!(start, expected_start);
    }

    #[test]
    fn a_message_alone_is_its_own_block() {
        check("INFO a\nERROR b failed\n", "b failed", "ERROR b failed");
    }

    #[test]
    fn the_log_line_before_a_traceback_belongs_to_it() {
        let text = "INFO fine\nERROR root: boot failed\nTraceback (most recent call last):\n  \
                    File \"a.py\", line 4, in <module>\n    import x\nValueError: odd\n";
        check(text, "ValueError", "ERROR root: boot failed");
    }

    #[test]
    fn a_chain_is_one_block() {
        let text = "Traceback (most recent call last):\n  File \"a.py\", line 4, in f\n    g()\n    \
                    ^^^\nsqlite3.OperationalError: first\n\nThe above exception was the direct \
                    cause of the following exception:\n\nTraceback (most recent call last):\n  \
                    File \"b.py\", line 1, in h\nsqlalchemy.exc.OperationalError: second\n[SQL: x]\n\n\
                    During handling of the above exception, another exception occurred:\n\n\
                    Traceback (most recent call last):\n  File \"c.py\", line 1, in k\n\
                    RuntimeError: third\n";
        check(text, "RuntimeError", "Traceback (most recent call last):");
        let line_start = text.find("RuntimeError").unwrap();
        assert_eq!(block(text.as_bytes(), 0, line_start).start, 0);
    }

    #[test]
    fn two_tracebacks_in_a_row_are_two_blocks() {
        let one = "Traceback (most recent call last):\n  File \"a.py\", line 4, in f\n    g()\n\
                   ValueError: odd\n";
        let text = format!("{one}{one}");
        let line_start = text.rfind("ValueError").unwrap();
        assert_eq!(block(text.as_bytes(), 0, line_start).start, one.len());
    }

    #[test]
    fn the_bars_of_a_group_and_prefixes_are_seen_through() {
        let text = "  + Exception Group Traceback (most recent call last):\n  |   File \"a.py\", \
                    line 1, in <module>\n  |     main()\n  | ExceptionGroup: two (2 \
                    sub-exceptions)\n  +-+---------------- 1 ----------------\n    | Traceback \
                    (most recent call last):\n    |   File \"b.py\", line 3, in a\n    | \
                    KeyError: 'x'\n    +------------------------------------\n";
        let line_start = text.find("    | KeyError").unwrap();
        assert_eq!(block(text.as_bytes(), 0, line_start).start, 0);

        let text: String = "ERROR x: failed\nTraceback (most recent call last):\n  File \"a.py\", \
                            line 1, in a\n    b()\nOSError: y\n"
            .lines()
            .map(|line| format!("2025-11-15T10:09:08.9Z stderr F {line}\n"))
            .collect();
        let line_start = text.rfind("2025").unwrap();
        assert_eq!(block(text.as_bytes(), 0, line_start).start, 0);
    }

    #[test]
    fn frames_name_their_files() {
        let text = br#"  File "/srv/a.py", line 3\n  File \"C:\\app\\b.py\", line 4"#;
        let files: Vec<&[u8]> = frame_files(text).collect();
        assert_eq!(
            files,
            [b"/srv/a.py".as_slice(), br"C:\\app\\b.py\".as_slice()]
        );
    }
}
