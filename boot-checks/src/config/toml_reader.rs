//! Reading a parsed TOML document key by key, so that each complaint names file, line, column and
//! key, and none quotes a value: values may be secret, and serde's messages quote them.

use std::ops::{Range, RangeInclusive};
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::raw::Located;
use super::{ConfigError, Place};

/// How many characters of a key may be wrong for a suggestion, by share of the longer one.
const SUGGEST_FROM_SIMILARITY: f64 = 0.6;

/// A document's name and text.
pub(super) struct Document<'a> {
    path: &'a Path,
    text: &'a str,
}

impl<'a> Document<'a> {
    pub(super) fn new(path: &'a Path, text: &'a str) -> Document<'a> {
        Document { path, text }
    }

    pub(super) fn parse(&self) -> Result<Spanned<DeTable<'a>>, ConfigError> {
        DeTable::parse(self.text).map_err(|err| ConfigError::TomlSyntax {
            at: self.place(err.span().unwrap_or(0..0)),
            // The message alone: the error's display form quotes the line.
            why: err.message().replace('\n', "; "),
        })
    }

    fn place(&self, span: Range<usize>) -> Place {
        let start = self.text.floor_char_boundary(span.start);
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place::File {
            path: self.path.to_owned(),
            line: 1 + before.matches('\n').count(),
            column: 1 + before[line_start..].chars().count(),
        }
    }
}

/// One table of a document.
pub(super) struct TableReader<'a> {
    document: &'a Document<'a>,
    /// Dotted, with a dot at its end; empty for the top level.
    prefix: String,
    span: Range<usize>,
    entries: &'a DeTable<'a>,
}

impl<'a> TableReader<'a> {
    /// The top level, where only the known keys may stand.
    pub(super) fn top(
        document: &'a Document<'a>,
        entries: &'a DeTable<'a>,
        known: &'static [&'static str],
    ) -> Result<TableReader<'a>, ConfigError> {
        let table = TableReader {
            document,
            prefix: String::new(),
            span: 0..0,
            entries,
        };
        table.refuse_unknown(known)?;
        Ok(table)
    }

    /// A table within this one, where only the known keys may stand.
    pub(super) fn table(
        &self,
        key: &str,
        known: &'static [&'static str],
    ) -> Result<Option<TableReader<'a>>, ConfigError> {
        let table = self.any_table(key)?;
        if let Some(table) = &table {
            table.refuse_unknown(known)?;
        }
        Ok(table)
    }

    /// A table within this one whose keys are the application's own names.
    pub(super) fn any_table(&self, key: &str) -> Result<Option<TableReader<'a>>, ConfigError> {
        let Some((key_span, value)) = self.get(key) else {
            return Ok(None);
        };
        let DeValue::Table(entries) = value.get_ref() else {
            return Err(self.wrong_type(key, "a table", value));
        };
        Ok(Some(TableReader {
            document: self.document,
            prefix: format!("{}{key}.", self.prefix),
            span: key_span,
            entries,
        }))
    }

    /// The keys, in the order of the file.
    pub(super) fn keys(&self) -> Vec<&'a str> {
        let mut keys: Vec<_> = self.entries.keys().collect();
        keys.sort_by_key(|key| key.span().start);
        keys.into_iter().map(|key| key.get_ref().as_ref()).collect()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Where the table's own name stands.
    pub(super) fn at(&self) -> Place {
        self.document.place(self.span.clone())
    }

    /// Where a key stands.
    pub(super) fn key_at(&self, key: &str) -> Place {
        let span = self.get(key).map_or(self.span.clone(), |(span, _)| span);
        self.document.place(span)
    }

    /// A text that is not empty and has no NUL.
    pub(super) fn filled_string(&self, key: &str) -> Result<Option<Located<String>>, ConfigError> {
        self.get(key)
            .map(|(_, value)| self.filled(key, value, "a text in quotes"))
            .transpose()
    }

    /// A list of texts, none of them empty or with a NUL.
    pub(super) fn filled_strings(
        &self,
        key: &str,
    ) -> Result<Option<Vec<Located<String>>>, ConfigError> {
        self.texts(key, |value| {
            self.filled(key, value, "a list of texts in quotes")
        })
    }

    /// Program and arguments; only the program must not be empty.
    pub(super) fn command(&self, key: &str) -> Result<Option<Vec<String>>, ConfigError> {
        let words = self.texts(key, |value| {
            self.text(key, value, "a list of texts in quotes")
        })?;
        match words {
            Some(words) if words.first().is_none_or(|word| word.value.is_empty()) => {
                Err(ConfigError::EmptyCommand {
                    key: self.full(key),
                    at: self.key_at(key),
                })
            }
            words => Ok(words.map(|words| words.into_iter().map(|word| word.value).collect())),
        }
    }

    /// A whole number within a range; `why` says the range.
    pub(super) fn integer(
        &self,
        key: &str,
        range: RangeInclusive<u64>,
        why: &'static str,
    ) -> Result<Option<u64>, ConfigError> {
        let Some((_, value)) = self.get(key) else {
            return Ok(None);
        };
        let DeValue::Integer(number) = value.get_ref() else {
            return Err(self.wrong_type(key, "a whole number", value));
        };
        u64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .filter(|number| range.contains(number))
            .map(Some)
            .ok_or_else(|| self.invalid_at(key, &self.document.place(value.span()), why))
    }

    /// The key's value is one that it cannot have.
    pub(super) fn invalid(&self, key: &str, why: &'static str) -> ConfigError {
        let span = self
            .get(key)
            .map_or(self.span.clone(), |(_, value)| value.span());
        self.invalid_at(key, &self.document.place(span), why)
    }

    /// Something within the key's value, at this place, is not possible.
    pub(super) fn invalid_at(&self, key: &str, at: &Place, why: &'static str) -> ConfigError {
        ConfigError::InvalidValue {
            key: self.full(key),
            at: at.clone(),
            why,
        }
    }

    fn get(&self, key: &str) -> Option<(Range<usize>, &'a Spanned<DeValue<'a>>)> {
        self.entries
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map(|(name, value)| (name.span(), value))
    }

    fn texts<T>(
        &self,
        key: &str,
        read: impl Fn(&Spanned<DeValue<'a>>) -> Result<T, ConfigError>,
    ) -> Result<Option<Vec<T>>, ConfigError> {
        let Some((_, value)) = self.get(key) else {
            return Ok(None);
        };
        let DeValue::Array(items) = value.get_ref() else {
            return Err(self.wrong_type(key, "a list of texts in quotes", value));
        };
        items.iter().map(read).collect::<Result<_, _>>().map(Some)
    }

    fn filled(
        &self,
        key: &str,
        value: &Spanned<DeValue<'a>>,
        expected: &'static str,
    ) -> Result<Located<String>, ConfigError> {
        let text = self.text(key, value, expected)?;
        if text.value.trim().is_empty() {
            return Err(self.invalid_at(key, &text.at, "a text here must not be empty"));
        }
        Ok(text)
    }

    fn text(
        &self,
        key: &str,
        value: &Spanned<DeValue<'a>>,
        expected: &'static str,
    ) -> Result<Located<String>, ConfigError> {
        let DeValue::String(text) = value.get_ref() else {
            return Err(self.wrong_type(key, expected, value));
        };
        let at = self.document.place(value.span());
        if text.contains('\0') {
            return Err(self.invalid_at(key, &at, "a text here must not contain NUL"));
        }
        Ok(Located {
            value: text.clone().into_owned(),
            at,
        })
    }

    fn refuse_unknown(&self, known: &'static [&'static str]) -> Result<(), ConfigError> {
        let Some(key) = self.keys().into_iter().find(|key| !known.contains(key)) else {
            return Ok(());
        };
        let table = match self.prefix.strip_suffix('.') {
            Some(table) => format!("[{table}]"),
            None => "boot.toml".to_owned(),
        };
        Err(ConfigError::UnknownKey {
            key: self.full(key),
            at: self.key_at(key),
            table: table.into(),
            suggestion: nearest(key, known),
            known,
        })
    }

    fn wrong_type(
        &self,
        key: &str,
        expected: &'static str,
        value: &Spanned<DeValue<'a>>,
    ) -> ConfigError {
        ConfigError::WrongType {
            key: self.full(key),
            at: self.document.place(value.span()),
            expected,
            found: type_name(value.get_ref()),
        }
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

/// The candidate nearest in spelling, where one is near.
pub(super) fn nearest(typed: &str, candidates: &[&'static str]) -> Option<&'static str> {
    let typed = typed.to_lowercase().replace('-', "_");
    candidates
        .iter()
        .map(|candidate| {
            (
                strsim::normalized_damerau_levenshtein(&typed, candidate),
                *candidate,
            )
        })
        .filter(|(similarity, _)| *similarity >= SUGGEST_FROM_SIMILARITY)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
