use std::fmt;
use std::str::FromStr;

/// A form of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people at a terminal.
    Pretty,
    /// One JSON object.
    Json,
    /// JUnit's XML, for CI servers.
    Junit,
    /// The report file of SPEC.md.
    Text,
    /// Prometheus' text exposition format.
    Prometheus,
}

impl Format {
    /// All forms.
    pub const ALL: [Format; 5] = [
        Format::Pretty,
        Format::Json,
        Format::Junit,
        Format::Text,
        Format::Prometheus,
    ];

    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Format::Pretty => "pretty",
            Format::Json => "json",
            Format::Junit => "junit",
            Format::Text => "text",
            Format::Prometheus => "prometheus",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A word that is no [`Format`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFormat {
    /// What was given.
    pub given: String,
    /// What was meant, perhaps.
    pub suggestion: Option<Format>,
}

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = Format::ALL.map(Format::word).join(", ");
        write!(f, "unknown format `{}`: one of {all}", self.given)?;
        match self.suggestion {
            Some(format) => write!(f, "; did you mean `{format}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UnknownFormat {}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Format, UnknownFormat> {
        /// Less alike, a suggestion confuses.
        const ALIKE: f64 = 0.75;
        let known = Format::ALL.into_iter().find(|format| format.word() == text);
        known.ok_or_else(|| {
            let likeness =
                |format: &Format| strsim::jaro_winkler(format.word(), &text.to_lowercase());
            UnknownFormat {
                given: text.to_owned(),
                suggestion: Format::ALL
                    .into_iter()
                    .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
                    .filter(|format| likeness(format) >= ALIKE),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_its_format_and_any_other_gets_the_choices() {
        for format in Format::ALL {
            assert_eq!(format.word().parse(), Ok(format));
        }
        let message = |word: &str| word.parse::<Format>().unwrap_err().to_string();
        assert_eq!(
            message("jsn"),
            "unknown format `jsn`: one of pretty, json, junit, text, prometheus; did you mean `json`?"
        );
        assert_eq!(
            message("zzz"),
            "unknown format `zzz`: one of pretty, json, junit, text, prometheus"
        );
    }
}
