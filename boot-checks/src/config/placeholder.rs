/// Beginnings of what people write where a value is still to come. Spaces and underscores count
/// as hyphens.
const BEGINNINGS: [&str; 9] = [
    "changeme",
    "change-me",
    "change-this",
    "replaceme",
    "replace-me",
    "replace-this",
    "replace-with-",
    "your-",
    "insert-",
];

/// Whole values that stand for one still to come.
const WORDS: [&str; 5] = ["todo", "tbd", "fixme", "placeholder", "..."];

/// Whether a value only stands for one that is still to be written: empty, `changeme`,
/// `<random-string>`, `your-secret-key-here`, `xxx`, `{{ secret }}` and their like.
pub fn is_placeholder(value: &str) -> bool {
    let value = value.trim().to_lowercase().replace([' ', '_'], "-");
    let enclosed = |open: &str, close: &str| value.starts_with(open) && value.ends_with(close);
    let filler = |with: char| value.len() >= 3 && value.chars().all(|c| c == with);
    value.is_empty()
        || WORDS.contains(&value.as_str())
        || BEGINNINGS
            .iter()
            .any(|beginning| value.starts_with(beginning))
        || enclosed("<", ">")
        || enclosed("{{", "}}")
        || filler('x')
        || filler('*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_and_look_alikes() {
        for value in [
            "",
            "  ",
            "changeme",
            "CHANGE_ME",
            "change-this-in-production",
            "<random-string>",
            "your-secret-key-here",
            "your_api_key",
            "xxx",
            "XXXXXXXX",
            "***",
            "todo",
            "...",
            "{{ secret }}",
            "replace with a real key",
            "insert-key-here",
        ] {
            assert!(is_placeholder(value), "{value:?}");
        }
        for value in [
            "sqlite:///./x.db",
            "yours",
            "xx",
            "0",
            "false",
            "<a",
            "exchangeme",
            "xyz",
            "8f3a9c",
        ] {
            assert!(!is_placeholder(value), "{value:?}");
        }
    }
}
