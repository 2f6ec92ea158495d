//! The words of SQL, as SQLite itself takes a text apart (<https://www.sqlite.org/src/file/src/tokenize.c>).

/// What kind of word it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A keyword, or a name without quotes.
    Word,
    /// A name in double quotes, backticks or brackets.
    Quoted,
    /// A string in single quotes.
    Text,
    /// A number, a parameter or a sign.
    Other,
}

/// One word, and where it begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    pub(crate) start: usize,
}

impl Token<'_> {
    /// Whether it is this keyword or sign.
    pub(crate) fn is(&self, word: &str) -> bool {
        matches!(self.kind, Kind::Word | Kind::Other) && self.text.eq_ignore_ascii_case(word)
    }

    /// The name that it is, without its quotes.
    pub(crate) fn name(&self) -> String {
        let quote = match self.text.chars().next() {
            Some('[') => return self.text.trim_matches(['[', ']']).to_owned(),
            Some(quote @ ('"' | '`' | '\'')) => quote,
            _ => return self.text.to_owned(),
        };
        let inner = self.text.strip_prefix(quote).unwrap_or(self.text);
        let inner = inner.strip_suffix(quote).unwrap_or(inner);
        inner.replace(&format!("{quote}{quote}"), &quote.to_string())
    }

    /// The byte behind it.
    pub(crate) fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// The words of a text, in order; white space, comments and byte order marks are none.
pub(crate) fn tokens(sql: &str) -> impl Iterator<Item = Token<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = sql.get(at..).filter(|rest| !rest.is_empty())?;
            let (kind, length) = first(rest);
            let start = at;
            at += length;
            if let Some(kind) = kind {
                let text = &rest[..length];
                return Some(Token { kind, text, start });
            }
        }
    })
}

/// The kind of what a text begins with, none where it says nothing, and its length.
fn first(rest: &str) -> (Option<Kind>, usize) {
    let until = |end: &str| rest.find(end).map_or(rest.len(), |at| at + end.len());
    let mut letters = rest.chars();
    let begin = letters.next().unwrap_or_default();
    let next = letters.next().unwrap_or_default();
    match begin {
        // SQLite takes a vertical tab for white space only behind other white space, and for a mistake else.
        ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{feff}' => (None, begin.len_utf8()),
        '-' if next == '-' => (None, until("\n")),
        '/' if next == '*' => {
            let end = rest[2..].find("*/").map_or(rest.len(), |at| at + 4);
            (None, end)
        }
        '\'' => (Some(Kind::Text), quoted_length(rest, '\'')),
        '"' | '`' => (Some(Kind::Quoted), quoted_length(rest, begin)),
        '[' => (Some(Kind::Quoted), until("]")),
        '0'..='9' => (Some(Kind::Other), word_length(rest)),
        'x' | 'X' if next == '\'' => (Some(Kind::Other), 1 + quoted_length(&rest[1..], '\'')),
        letter if is_of_a_word(letter) => (Some(Kind::Word), word_length(rest)),
        '<' | '>' | '=' | '!' | '|' if matches!(next, '<' | '>' | '=' | '|') => {
            (Some(Kind::Other), 2)
        }
        _ => (Some(Kind::Other), begin.len_utf8()),
    }
}

fn is_of_a_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == '$' || !letter.is_ascii()
}

fn word_length(rest: &str) -> usize {
    rest.find(|letter| !is_of_a_word(letter))
        .unwrap_or(rest.len())
}

/// A quote within is written twice.
fn quoted_length(rest: &str, quote: char) -> usize {
    let mut at = 1;
    while let Some(found) = rest[at..].find(quote) {
        at += found + 1;
        if !rest[at..].starts_with(quote) {
            return at;
        }
        at += 1;
    }
    rest.len()
}

/// A statement in one spelling: two texts that differ in white space, comments, the case of keywords and names, the
/// quotes of names, or in what SQLite takes for the same only have the same. What stands in double quotes, has more
/// than small letters, and may be a text, is an exception.
pub(crate) fn normalised(sql: &str) -> String {
    spelled(&tokens(sql).collect::<Vec<_>>())
}

/// The same of words.
pub(crate) fn spelled(words: &[Token<'_>]) -> String {
    let mut rest = words;
    while let Some((_, before)) = rest.split_last().filter(|(last, _)| last.is(";")) {
        rest = before;
    }
    let mut spelled: Vec<String> = Vec::new();
    let mut before = None;
    while let Some((first, behind)) = rest.split_first() {
        // SQLite knows triggers of no other kind.
        let is_each_row = EACH_ROW.len() <= rest.len()
            && EACH_ROW
                .iter()
                .zip(rest)
                .all(|(word, token)| token.is(word));
        rest = match is_each_row {
            true => &rest[EACH_ROW.len()..],
            false => behind,
        };
        if !is_each_row {
            let is_name = before.is_some_and(|it| stands_before_a_name(it))
                || behind.first().is_some_and(|it| it.is("."));
            spelled.push(one_spelling(first, is_name));
        }
        before = Some(first);
    }
    spelled.join(" ")
}

const EACH_ROW: [&str; 3] = ["FOR", "EACH", "ROW"];

fn stands_before_a_name(token: &Token<'_>) -> bool {
    [".", "FROM", "INTO", "JOIN", "ON", "UPDATE"]
        .iter()
        .any(|word| token.is(word))
}

/// Where it is no name for sure, what stands in double quotes may be a text.
fn one_spelling(token: &Token<'_>, is_name: bool) -> String {
    match (token.kind, token.text) {
        (Kind::Text, text) => text.to_owned(),
        (Kind::Other, "!=") => "<>".to_owned(),
        (Kind::Other, "==") => "=".to_owned(),
        (Kind::Word, word) if !is_name && word.eq_ignore_ascii_case("ISNULL") => {
            "is null".to_owned()
        }
        (Kind::Word, word) if !is_name && word.eq_ignore_ascii_case("NOTNULL") => {
            "is not null".to_owned()
        }
        (Kind::Other, text) => text.to_ascii_lowercase(),
        (Kind::Quoted, text) if text.starts_with('"') && !is_name && !is_plain(&token.name()) => {
            text.to_owned()
        }
        (Kind::Word | Kind::Quoted, _) => token.name().to_ascii_lowercase(),
    }
}

/// Words that are values where they have no quotes.
const VALUES: [&str; 6] = [
    "current_date",
    "current_time",
    "current_timestamp",
    "false",
    "null",
    "true",
];

/// Whether a name means the same with double quotes and without. Where it is no column's, SQLite takes one with
/// double quotes for a text, of which the case counts (<https://www.sqlite.org/quirks.html#dblquote>).
fn is_plain(name: &str) -> bool {
    let is_of_a_name = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    let is_word = name.starts_with(is_of_a_name)
        && name
            .chars()
            .all(|it| is_of_a_name(it) || it.is_ascii_digit());
    is_word && !VALUES.contains(&name)
}

/// A text on one line: where there was white space or a comment between two words there is one space.
pub(crate) fn on_one_line(sql: &str) -> String {
    let mut text = String::new();
    let mut end = None;
    for token in tokens(sql) {
        if end.is_some_and(|end| end != token.start) {
            text.push(' ');
        }
        text.push_str(token.text);
        end = Some(token.end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_taken_apart_as_sqlite_does() {
        let sql = "\u{feff}SELECT/* ; */ \"a\"\"b\",[c d]-- x\n,'it''s;' <= x'00ff' ; `e` 1.5";
        let words: Vec<&str> = tokens(sql).map(|token| token.text).collect();
        let expected = [
            "SELECT",
            "\"a\"\"b\"",
            ",",
            "[c d]",
            ",",
            "'it''s;'",
            "<=",
            "x'00ff'",
            ";",
            "`e`",
            "1",
            ".",
            "5",
        ];
        assert_eq!(words, expected);
        let names: Vec<String> = tokens(sql)
            .filter(|token| token.kind == Kind::Quoted)
            .map(|token| token.name())
            .collect();
        assert_eq!(names, ["a\"b", "c d", "e"]);
        assert_eq!(on_one_line("a  (b)\n-- c\n d"), "a (b) d");
    }

    #[test]
    fn what_does_not_count_does_not() {
        let one = "create View  [V] as\n  SELECT a -- here\n FROM \"T\" WHERE b = 'X'";
        let other = "CREATE VIEW v AS SELECT a FROM t /* all */ WHERE b='X'";
        assert_eq!(normalised(one), normalised(other));
        assert_ne!(normalised(one), normalised(&other.replace("'X'", "'x'")));
        let trigger =
            "CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW WHEN new.a != 1 BEGIN SELECT 1; END;";
        let other = "CREATE TRIGGER g AFTER INSERT ON t WHEN new.a <> 1 BEGIN SELECT 1; END";
        assert_eq!(normalised(trigger), normalised(other));
        for (one, other) in [
            ("a = \"A\"", "a = \"a\""),
            ("a = \"true\"", "a = true"),
            ("a = \"null\"", "a = null"),
            ("\"a , b\"", "a , b"),
        ] {
            assert_ne!(normalised(one), normalised(other), "{one}");
        }
        assert_eq!(normalised("[A] = \"b\" OR `C`"), normalised("a = B or c"));
        assert_eq!(
            normalised("a ISNULL AND b NOTNULL"),
            normalised("a IS NULL AND b IS NOT NULL")
        );
    }

    #[test]
    fn what_ends_nowhere_ends_with_the_text() {
        for sql in ["'a", "\"a''", "[a", "/* a", "-- a", "x'", "/*", "'''"] {
            assert!(tokens(sql).count() <= 1, "{sql}");
        }
    }
}
