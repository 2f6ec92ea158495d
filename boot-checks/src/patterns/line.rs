use super::prefix;

/// How much of its line is read before an anchor. What messages begin with is far shorter; a line
/// of megabytes full of anchors must not be read anew for each.
pub(super) const LINE_BEFORE_BYTES: usize = 512;
/// How much of its line is read from an anchor on.
pub(super) const LINE_AFTER_BYTES: usize = 1024;
/// How far before an anchor its line's beginning is looked for.
pub(super) const LINE_START_BYTES: usize = 16 * 1024;
/// How much of the lines before a message a signature with `window` reads.
const WINDOW_BYTES: usize = 4 * 1024;

/// The part of a line that is read: all of it, but for very long ones.
pub(super) struct Line {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether `start` is where the line really begins.
    from_beginning: bool,
}

impl Line {
    /// The line around an anchor.
    pub(super) fn around(bytes: &[u8], anchor: usize) -> Line {
        let floor = anchor.saturating_sub(LINE_BEFORE_BYTES);
        let before = memchr::memrchr(b'\n', &bytes[floor..anchor]);
        let ceiling = bytes.len().min(anchor + LINE_AFTER_BYTES);
        let after = memchr::memchr(b'\n', &bytes[anchor..ceiling]);
        let mut end = after.map_or(ceiling, |newline| anchor + newline);
        if end > anchor && bytes[end - 1] == b'\r' {
            end -= 1;
        }
        Line {
            start: before.map_or(floor, |newline| floor + newline + 1),
            end,
            from_beginning: before.is_some() || floor == 0,
        }
    }

    /// Where the line begins, when that is near enough to be known.
    pub(super) fn whole_start(&self, bytes: &[u8]) -> Option<usize> {
        if self.from_beginning {
            return Some(self.start);
        }
        let floor = self.start.saturating_sub(LINE_START_BYTES);
        let before = memchr::memrchr(b'\n', &bytes[floor..self.start]);
        match before {
            Some(newline) => Some(floor + newline + 1),
            None if floor == 0 => Some(0),
            None => None,
        }
    }
}

/// The lines before and the line itself, without what loggers put before each.
pub(super) fn window_before(bytes: &[u8], line: &Line, window: &mut Vec<u8>) {
    window.clear();
    if line.from_beginning {
        let floor = line.start.saturating_sub(WINDOW_BYTES);
        let skip = match memchr::memchr(b'\n', &bytes[floor..line.start]) {
            Some(newline) if floor > 0 => floor + newline + 1,
            _ => floor,
        };
        for before in bytes[skip..line.start].split_inclusive(|byte| *byte == b'\n') {
            window.extend_from_slice(prefix::strip(before));
            window.push(b'\n');
        }
    }
    window.extend_from_slice(prefix::strip(&bytes[line.start..line.end]));
}
