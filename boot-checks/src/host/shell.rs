//! Commands that are printed for a person to copy.

use std::path::Path;

/// A path as one word of a POSIX shell. One that is no text is written with replacement characters, as it is
/// shown everywhere.
pub fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// A text as one word of a POSIX shell.
pub fn quoted(text: &str) -> String {
    // Refused is only NUL, which no argument can hold.
    match shlex::try_quote(text) {
        Ok(quoted) => quoted.into_owned(),
        Err(_) => quoted(&text.replace('\0', "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_it_is_quoted_and_a_shell_reads_one_word() {
        for plain in ["/srv/grace", "var/grace.db", "a-b_c.9"] {
            assert_eq!(quoted(plain), plain);
        }
        for text in [
            "",
            "a b",
            "it's",
            "\"x\"",
            "$HOME `id` ; &",
            "!",
            "a\nb",
            "~",
            "#",
        ] {
            let read = shlex::split(&quoted(text));
            assert_eq!(read, Some(vec![text.to_owned()]));
        }
        assert_eq!(quoted("a\0 b"), quoted("a b"));
    }
}
