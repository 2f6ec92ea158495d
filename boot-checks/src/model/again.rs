//! Commands that are printed for a person to be run next.

/// How a command of ours begins in a text, quoted as one.
const BEGIN: &str = "`cargo xtask ";

/// Completes every command of ours that is quoted in a text with the options that chose the application: without
/// them it would mean another one.
pub fn complete_commands(text: &mut String, again: &str) {
    let mut from = 0;
    while let Some(begin) = text[from..].find(BEGIN) {
        let inside = from + begin + BEGIN.len();
        let Some(length) = text[inside..].find('`') else {
            return;
        };
        let end = inside + length;
        let is_complete = text[inside..end].ends_with(again);
        if !is_complete {
            text.insert_str(end, again);
        }
        from = end + if is_complete { 1 } else { again.len() + 1 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, again: &str, expect: &str) {
        let mut text = text.to_owned();
        complete_commands(&mut text, again);
        assert_eq!(text, expect);
        complete_commands(&mut text, again);
        assert_eq!(text, expect, "once is enough");
    }

    #[test]
    fn commands_name_the_application_again() {
        let text = "first `cargo xtask backups list`, then `cargo xtask undo 1`: `touch x`";
        check(text, "", text);
        check(
            text,
            " --root '/a b'",
            "first `cargo xtask backups list --root '/a b'`, then `cargo xtask undo 1 --root '/a b'`: `touch x`",
        );
        check("`cargo xtask boot", " --root /a", "`cargo xtask boot");
    }
}
