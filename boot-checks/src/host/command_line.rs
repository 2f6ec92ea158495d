//! Another process's command line, as it may be shown.

use crate::model::REDACTED;

/// What the name of an option or a variable holds whose value is a secret.
const SECRET_NAMES: [&str; 7] = [
    "pass",
    "pwd",
    "token",
    "secret",
    "key",
    "credential",
    "auth",
];

/// Characters that are shown: enough to recognise a program by.
const CHARS_MAX: usize = 300;

/// The words of a command line without the values of secret options, in one bounded line. A process's
/// words are for whoever may look at that process; ours go into reports.
pub(super) fn shown(words: &[String]) -> String {
    let mut is_value = false;
    let mut all = Vec::new();
    for word in words {
        let (text, next_is_value) = shown_word(word);
        all.push(if is_value { REDACTED.to_owned() } else { text });
        // A value may look like an option, and an option may stand where a value was left out.
        is_value = next_is_value;
    }
    let line = all.join(" ");
    match line.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// One word, and whether the next one is its value.
fn shown_word(word: &str) -> (String, bool) {
    if word.contains(char::is_whitespace) {
        return (shown_script(word), false);
    }
    match word.strip_prefix("-p") {
        Some("") => return (word.to_owned(), true),
        // Also a long option with a single dash, whose value comes next.
        Some(_) => return (format!("-p{REDACTED}"), is_secret(word)),
        None => {}
    }
    if let Some((name, _)) = word.split_once('=').filter(|(name, _)| is_secret(name)) {
        return (format!("{name}={REDACTED}"), false);
    }
    if word.starts_with('-') && is_secret(word) {
        return (word.to_owned(), true);
    }
    (without_password_of_url(word), false)
}

/// A whole command in one word, as for a shell. How it is quoted is not looked into: from its first secret
/// on, nothing is shown.
fn shown_script(script: &str) -> String {
    let mut all = Vec::new();
    for word in script.split_whitespace() {
        let (text, next_is_value) = shown_word(word);
        if next_is_value || text != word {
            if next_is_value {
                all.push(text);
            }
            all.push(REDACTED.to_owned());
            break;
        }
        all.push(text);
    }
    all.join(" ")
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

/// `scheme://user:password@host` without the password.
fn without_password_of_url(word: &str) -> String {
    let parts = || {
        let start = word.find("://")? + 3;
        let end = start + word[start..].rfind('@')?;
        let colon = start + word[start..end].find(':')?;
        Some((&word[..=colon], &word[end..]))
    };
    match parts() {
        Some((before, after)) => format!("{before}{REDACTED}{after}"),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str], expected: &str) {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        assert_eq!(shown(&words), expected);
    }

    #[test]
    fn values_of_secret_options_are_not_shown() {
        check(&["app", "--port", "80", "a b"], "app --port 80 a b");
        check(
            &["hold.py", "db", "--password", "hunter2", "-p", "pw", "x"],
            "hold.py db --password [redacted] -p [redacted] x",
        );
        check(
            &["app", "--db-PASS=a=b", "-phunter2", "-P", "80"],
            "app --db-PASS=[redacted] -p[redacted] -P 80",
        );
        for name in [
            "pwd",
            "api-token",
            "secret",
            "ssh-key",
            "credentials",
            "auth",
        ] {
            check(
                &["app", &format!("--{name}"), "value with spaces", "end"],
                &format!("app --{name} [redacted] end"),
            );
        }
        check(
            &["env", "API_KEY=abc", "x://me:pw@host/db"],
            "env API_KEY=[redacted] x://me:[redacted]@host/db",
        );
        check(&["app", "--password"], "app --password");
        check(
            &["app", "-password", "hunter2", "x"],
            "app -p[redacted] [redacted] x",
        );
    }

    #[test]
    fn what_looks_like_an_option_is_a_value_and_an_option() {
        check(
            &["app", "--no-password", "--token", "abc", "-v"],
            "app --no-password [redacted] [redacted] -v",
        );
    }

    #[test]
    fn of_a_script_nothing_is_shown_from_its_first_secret_on() {
        check(
            &["sh", "-c", "mysql -u me --password 'a b' db", "end"],
            "sh -c mysql -u me --password [redacted] end",
        );
        check(&["sh", "-c", "TOKEN='a b' app"], "sh -c [redacted]");
    }

    #[test]
    fn a_line_is_bounded() {
        let words = vec!["ä".repeat(1000)];
        assert_eq!(shown(&words).chars().count(), CHARS_MAX + 1);
    }
}
