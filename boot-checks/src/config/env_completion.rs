use super::env_file;
use super::env_quote::quote;
use super::is_placeholder;
use super::text_file::decode;

/// What has to be written so that a `.env` has all the variables that are wanted.
#[derive(Clone, PartialEq, Eq)]
pub enum EnvCompletion {
    /// Nothing: every name is there.
    Nothing,
    /// There is no file: all of its bytes.
    Create(Vec<u8>),
    /// There is a file, and every byte of it stays: what comes behind its end.
    Append(Vec<u8>),
}

/// Sizes only: the bytes hold secrets.
impl std::fmt::Debug for EnvCompletion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            EnvCompletion::Nothing => f.write_str("Nothing"),
            EnvCompletion::Create(bytes) => write!(f, "Create({} bytes)", bytes.len()),
            EnvCompletion::Append(bytes) => write!(f, "Append({} bytes)", bytes.len()),
        }
    }
}

/// Why a `.env` cannot be completed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvCompletionError {
    /// What stands in the `.env` cannot be understood, so nothing can be put behind it safely.
    #[error(".env:{line}: neither NAME=value nor a comment")]
    Existing {
        /// From 1.
        line: usize,
    },
    /// The `.env.example` cannot be understood: a `.env` made from it could not be read either.
    #[error(".env.example:{line}: neither NAME=value nor a comment")]
    Example {
        /// From 1.
        line: usize,
    },
    /// The value has no written form that all readers of `.env` read back as it is.
    #[error("the value of {name} cannot be written into a .env file")]
    Value {
        /// The variable.
        name: String,
    },
}

/// What to write so that each wanted variable stands in the `.env`.
///
/// An existing file keeps every byte. A name that stands in it is not missing, whatever its value:
/// a person put it there. A new file starts from the example: its lines in their order and with
/// their line endings, empty and placeholder values of wanted names replaced. Missing names come
/// at the end, in the order wanted.
///
/// # Errors
///
/// The existing file or the example is not a `.env`, or a value cannot be written into one.
pub fn complete(
    existing: Option<&[u8]>,
    example: Option<&[u8]>,
    wanted: &[(String, String)],
) -> Result<EnvCompletion, EnvCompletionError> {
    if let Some(existing) = existing {
        let text = decode(existing).map_err(|line| EnvCompletionError::Existing { line })?;
        let addition = missing_lines(text, wanted)
            .map_err(|fault| fault.in_file(|line| EnvCompletionError::Existing { line }))?;
        return Ok(match addition.is_empty() {
            true => EnvCompletion::Nothing,
            false => EnvCompletion::Append(addition.into_bytes()),
        });
    }
    // Without its byte order mark: older releases of python-dotenv take that for a part of the
    // first name, and this file is ours to write.
    let example = example.unwrap_or_default();
    let text = decode(example).map_err(|line| EnvCompletionError::Example { line })?;
    let in_example = |fault: Fault| fault.in_file(|line| EnvCompletionError::Example { line });
    let mut text = fill_placeholders(text, wanted).map_err(in_example)?;
    let addition = missing_lines(&text, wanted).map_err(in_example)?;
    text.push_str(&addition);
    Ok(match text.is_empty() {
        true => EnvCompletion::Nothing,
        false => EnvCompletion::Create(text.into_bytes()),
    })
}

enum Fault {
    Line(usize),
    Value(String),
}

impl Fault {
    fn in_file(self, at: impl Fn(usize) -> EnvCompletionError) -> EnvCompletionError {
        match self {
            Fault::Line(line) => at(line),
            Fault::Value(name) => EnvCompletionError::Value { name },
        }
    }
}

/// Lines for the names that are missing, with what closes the last line where it is open.
fn missing_lines(text: &str, wanted: &[(String, String)]) -> Result<String, Fault> {
    let present = env_file::parse(text).map_err(Fault::Line)?;
    let line_ending = line_ending_of(text);
    let mut lines = String::new();
    let mut added: Vec<&str> = Vec::new();
    for (name, value) in wanted {
        let known =
            present.iter().any(|there| there.name == *name) || added.contains(&name.as_str());
        if !known {
            lines.push_str(&format!("{name}={}{line_ending}", quoted(name, value)?));
            added.push(name);
        }
    }
    let open = !text.is_empty() && !text.ends_with('\n');
    if open && !lines.is_empty() {
        lines.insert_str(0, line_ending);
    }
    Ok(lines)
}

/// The text with empty and placeholder values of wanted names replaced.
fn fill_placeholders(text: &str, wanted: &[(String, String)]) -> Result<String, Fault> {
    let assignments = env_file::parse(text).map_err(Fault::Line)?;
    let mut filled = String::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        // A value over several lines is no placeholder.
        let assignment = assignments
            .iter()
            .find(|found| found.lines == (index..index + 1));
        let value = assignment
            .filter(|found| is_placeholder(&found.value))
            .and_then(|found| wanted.iter().find(|(name, _)| *name == found.name));
        match value {
            Some((name, value)) => filled.push_str(&replace_value(line, &quoted(name, value)?)),
            None => filled.push_str(line),
        }
    }
    Ok(filled)
}

/// The line with another value; what precedes the value, a comment behind it and the line ending
/// stay.
fn replace_value(line: &str, value: &str) -> String {
    let body = line.trim_end_matches(['\r', '\n']);
    let (head, old) = body.split_once('=').unwrap_or((body, ""));
    let old = old.trim();
    let behind = match old.chars().next() {
        Some(quote @ ('"' | '\'')) => old[1..].split_once(quote).map_or("", |(_, behind)| behind),
        Some('#') => old,
        _ => old
            .find(" #")
            .or(old.find("\t#"))
            .map_or("", |at| &old[at..]),
    };
    let comment = behind.trim();
    let gap = if comment.is_empty() { "" } else { " " };
    format!("{head}={value}{gap}{comment}{}", &line[body.len()..])
}

fn quoted(name: &str, value: &str) -> Result<String, Fault> {
    quote(value).ok_or_else(|| Fault::Value(name.to_owned()))
}

fn line_ending_of(text: &str) -> &'static str {
    match text.find('\n') {
        Some(end) if text[..end].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted() -> Vec<(String, String)> {
        vec![
            ("SECRET_KEY".to_owned(), "0f1e".to_owned()),
            ("DATABASE_URL".to_owned(), "sqlite:///./x y.db".to_owned()),
        ]
    }

    #[track_caller]
    fn check(existing: Option<&str>, example: Option<&str>, expect: EnvCompletion) {
        let completion = complete(
            existing.map(str::as_bytes),
            example.map(str::as_bytes),
            &wanted(),
        )
        .unwrap();
        let text = |completion: &EnvCompletion| match completion {
            EnvCompletion::Nothing => "nothing".to_owned(),
            EnvCompletion::Create(bytes) => format!("create:\n{}", String::from_utf8_lossy(bytes)),
            EnvCompletion::Append(bytes) => format!("append:\n{}", String::from_utf8_lossy(bytes)),
        };
        assert_eq!(text(&completion), text(&expect));
    }

    fn create(text: &str) -> EnvCompletion {
        EnvCompletion::Create(text.into())
    }

    fn append(text: &str) -> EnvCompletion {
        EnvCompletion::Append(text.into())
    }

    #[test]
    fn a_new_file_without_an_example_has_the_wanted_lines() {
        check(
            None,
            None,
            create("SECRET_KEY=0f1e\nDATABASE_URL='sqlite:///./x y.db'\n"),
        );
    }

    #[test]
    fn a_new_file_keeps_the_lines_of_the_example() {
        check(
            None,
            Some(
                "# Grace\nDEBUG=changeme\nexport SECRET_KEY = \"<random-string>\"  # make one\n\nLAST=1",
            ),
            create(
                "# Grace\nDEBUG=changeme\nexport SECRET_KEY =0f1e # make one\n\nLAST=1\n\
                 DATABASE_URL='sqlite:///./x y.db'\n",
            ),
        );
    }

    #[test]
    fn a_new_file_keeps_crlf_and_real_values_but_no_byte_order_mark() {
        check(
            None,
            Some("\u{feff}SECRET_KEY=\r\nDATABASE_URL=sqlite:///real.db\r\n"),
            create("SECRET_KEY=0f1e\r\nDATABASE_URL=sqlite:///real.db\r\n"),
        );
        check(
            None,
            Some("A=1\r\nSECRET_KEY= # empty\r\n"),
            create("A=1\r\nSECRET_KEY=0f1e # empty\r\nDATABASE_URL='sqlite:///./x y.db'\r\n"),
        );
    }

    #[test]
    fn an_existing_file_only_grows_by_missing_names() {
        let both = "SECRET_KEY=\nDATABASE_URL=changeme\n";
        check(
            Some(both),
            Some("SECRET_KEY=from-example\n"),
            EnvCompletion::Nothing,
        );
        check(
            Some("SECRET_KEY=x"),
            None,
            append("\nDATABASE_URL='sqlite:///./x y.db'\n"),
        );
        check(
            Some("SECRET_KEY=x\r\n"),
            None,
            append("DATABASE_URL='sqlite:///./x y.db'\r\n"),
        );
        check(
            Some("A='\nSECRET_KEY=1\n'\nDATABASE_URL=y\n"),
            None,
            append("SECRET_KEY=0f1e\n"),
        );
        check(
            Some(""),
            None,
            append("SECRET_KEY=0f1e\nDATABASE_URL='sqlite:///./x y.db'\n"),
        );
    }

    #[test]
    fn nothing_is_written_where_it_could_not_be_read_back() {
        let error = |existing: Option<&[u8]>, example: Option<&[u8]>, value: &str| {
            complete(existing, example, &[("KEY".to_owned(), value.to_owned())]).unwrap_err()
        };
        assert_eq!(
            error(Some(b"A=1\nB='open\n"), None, "v"),
            EnvCompletionError::Existing { line: 2 }
        );
        assert_eq!(
            error(Some(b"A=\xFF\n"), None, "v"),
            EnvCompletionError::Existing { line: 1 }
        );
        assert_eq!(
            error(None, Some(b"A B\n"), "v"),
            EnvCompletionError::Example { line: 1 }
        );
        let value = EnvCompletionError::Value {
            name: "KEY".to_owned(),
        };
        assert_eq!(error(None, None, "${HOME}\\"), value);
    }

    proptest! {
        #[test]
        fn an_existing_file_reads_the_same_with_the_missing_at_its_end(
            lines in prop::collection::vec(r#"(#\PC{0,8}|[AB]=[a-z]{0,3}|C='x\ny'| *|export D=1 # d)"#, 0..6),
            crlf: bool,
            closed: bool,
            value in r##"[a-z '"#=]{0,8}"##,
        ) {
            let ending = if crlf { "\r\n" } else { "\n" };
            let existing = lines.join(ending) + if closed { ending } else { "" };
            let before = env_file::parse(&existing).unwrap();
            let completion = complete(Some(existing.as_bytes()), None, &[("NEW".to_owned(), value.clone())]).unwrap();
            let EnvCompletion::Append(addition) = completion else { panic!("{completion:?}") };
            let after = env_file::parse(&(existing + str::from_utf8(&addition).unwrap())).unwrap();
            let (last, kept) = after.split_last().unwrap();
            prop_assert_eq!(kept, &before[..]);
            prop_assert_eq!((last.name.as_str(), &last.value), ("NEW", &value));
        }
    }
}
