use std::sync::LazyLock;

use regex::bytes::Regex;

/// What loggers, containers and service managers put before a line. Each part takes exactly one
/// space after it, so that the indentation of a traceback behind it stays.
static PREFIX: LazyLock<Regex> = LazyLock::new(|| {
    let parts = [
        r"\x1b\[[0-9;]*m",
        r"\[[^\]\n]{1,64}\] ",
        r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)? ",
        r"\d\d:\d\d:\d\d(?:[.,]\d{1,9})? ",
        r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [\w.-]{1,64} [\w./-]{1,64}(?:\[\d+\])?: ",
        r"[\w.-]{1,64} {1,24}\| ",
        r"(?:stdout|stderr) [FP] ",
        r"(?:DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL)(?::[\w.]{1,64}:|[: ])",
        r"- ",
    ];
    let pattern = format!(r"(?-u)^(?:\xef\xbb\xbf)?(?:{})*", parts.join("|"));
    #[expect(
        clippy::expect_used,
        reason = "a constant expression, run by the tests below"
    )]
    Regex::new(&pattern).expect("the expression is a constant")
});

/// The line without what was put before it, and without its line ending.
pub(super) fn strip(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // Most lines of a traceback have nothing before them.
    if matches!(line.first(), Some(b' ' | b'\t') | None) {
        return line;
    }
    let end = PREFIX.find(line).map_or(0, |found| found.end());
    &line[end..]
}

#[cfg(test)]
mod tests {
    use super::strip;

    #[test]
    fn prefixes_go_and_indentation_stays() {
        let frame = "  File \"a.py\", line 1";
        for before in [
            "",
            "2025-11-15T10:09:08.921108Z ",
            "2025-11-15 10:09:08,921 ERROR ",
            "Nov 23 19:52:16 web-1 grace[812]: ",
            "backend-1  | ",
            "2025-11-15T10:09:08.921Z stderr F ",
            "[pod/grace/app] ",
            "\u{feff}",
            "\u{1b}[31m",
        ] {
            let line = format!("{before}{frame}\r\n");
            // A line that begins with blanks has no prefix to lose.
            assert_eq!(strip(line.as_bytes()), frame.as_bytes(), "{before:?}");
        }
    }
}
