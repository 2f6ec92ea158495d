/// The value as it is written behind `NAME=`, so that dotenvy and python-dotenv read back exactly
/// it; none where there is no such form.
///
/// Bare where nothing in it means anything to either, which is also what container runtimes read;
/// in single quotes where no escape is needed; else in double quotes. What cannot be written:
/// NUL; a carriage return, which Python's text mode turns into a newline; `${`, which
/// python-dotenv expands in any quotes; `$` beside what needs double quotes, where dotenvy
/// expands it and python-dotenv has no escape for it; and a final backslash, which older releases
/// of python-dotenv take for an escape of the closing quote.
pub(super) fn quote(value: &str) -> Option<String> {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_-./:+@%,=?&".contains(c);
    if !value.is_empty() && value.chars().all(bare) {
        return Some(value.to_owned());
    }
    if value.contains(['\0', '\r']) || value.contains("${") || value.ends_with('\\') {
        return None;
    }
    if !value.contains(['\'', '\\', '\n']) {
        return Some(format!("'{value}'"));
    }
    if value.contains('$') {
        return None;
    }
    let escaped = value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    Some(format!("\"{escaped}\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::env_file;
    use super::*;

    #[test]
    fn the_plainest_form_is_taken() {
        let cases = [
            ("abc", Some("abc")),
            (
                "sqlite+aiosqlite:///./var/grace.db",
                Some("sqlite+aiosqlite:///./var/grace.db"),
            ),
            ("", Some("''")),
            ("two words", Some("'two words'")),
            ("#1", Some("'#1'")),
            ("pa$word", Some("'pa$word'")),
            ("it's", Some("\"it's\"")),
            ("a\nb", Some("\"a\\nb\"")),
            (r#"C:\x "y""#, Some(r#""C:\\x \"y\"""#)),
            ("${HOME}", None),
            ("$it's", None),
            ("a\rb", None),
            ("a\0b", None),
            ("a\\", None),
        ];
        for (value, expect) in cases {
            assert_eq!(quote(value).as_deref(), expect, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in r#"([a-z '"\\$#\n{}=\t]|\PC){0,12}"#) {
            if let Some(quoted) = quote(&value) {
                let read = env_file::parse(&format!("A={quoted}\nB=\"2\"\n")).unwrap();
                prop_assert_eq!(&read[0].value, &value);
                prop_assert_eq!(&read[1].value, "2");
            }
        }
    }
}
