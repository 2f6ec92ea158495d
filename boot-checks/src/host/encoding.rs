//! Which encoding the application's output has, and whether a text fits through it.
//!
//! The rule is Python's (`PYTHONIOENCODING`, then `PYTHONUTF8`, then the locale, with the C and
//! POSIX locales taken as UTF-8 since PEP 538 and PEP 540; on Windows the console's code page). An
//! application in another language follows the locale alone, which is the same but for the
//! variables that it does not have.

use encoding_rs::Encoding;

/// The encoding of the application's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputEncoding {
    /// Its usual name in lower case: `utf-8`, `ascii`, `cp1252`, `latin-1`, …
    pub name: String,
    /// What decided it: a variable's name, or `default`.
    pub decided_by: String,
    /// Whether a character that does not fit is replaced. Otherwise it is an error, and crashes a
    /// program that does not expect it.
    pub replaces: bool,
}

/// Why a text does not fit through an encoding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The encoding has no such character.
    #[error("'{encoding}' codec can't encode character U+{character:04X}")]
    Unmappable {
        /// The encoding's name.
        encoding: String,
        /// The first character that does not fit.
        character: u32,
    },
    /// Nobody here knows this encoding.
    #[error("unknown encoding '{0}'")]
    Unknown(String),
}

impl OutputEncoding {
    /// The encoding that these variables lead to; `console_code_page` is Windows's, where there is
    /// one.
    pub fn of(
        variable: impl Fn(&str) -> Option<String>,
        console_code_page: Option<u32>,
    ) -> OutputEncoding {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        if let Some(value) = set("PYTHONIOENCODING") {
            let (name, errors) = value.split_once(':').unwrap_or((&value, "strict"));
            if !name.is_empty() {
                let mut encoding = OutputEncoding::new(name, "PYTHONIOENCODING");
                encoding.replaces = !matches!(errors, "" | "strict");
                return encoding;
            }
        }
        if set("PYTHONUTF8").is_some_and(|value| value == "1") {
            return OutputEncoding::new("utf-8", "PYTHONUTF8");
        }
        if let Some(page) = console_code_page {
            let name = if page == 65001 {
                "utf-8".to_owned()
            } else {
                format!("cp{page}")
            };
            return OutputEncoding::new(&name, "console code page");
        }
        for name in ["LC_ALL", "LC_CTYPE", "LANG"] {
            if let Some(locale) = set(name) {
                return OutputEncoding::new(&charset_of_locale(&locale), name);
            }
        }
        OutputEncoding::new("utf-8", "default")
    }

    fn new(name: &str, decided_by: &str) -> OutputEncoding {
        OutputEncoding {
            name: usual_name(name),
            decided_by: decided_by.to_owned(),
            replaces: false,
        }
    }

    /// Whether it is UTF-8.
    pub fn is_utf8(&self) -> bool {
        self.name == "utf-8"
    }

    /// The bytes that arrive when this text is printed.
    ///
    /// # Errors
    ///
    /// When a character does not fit, or the encoding is not known here.
    pub fn encode(&self, text: &str) -> Result<Vec<u8>, EncodeError> {
        let single_byte = |limit: u32| {
            text.chars()
                .map(|c| {
                    u8::try_from(u32::from(c))
                        .ok()
                        .filter(|b| u32::from(*b) < limit)
                        .ok_or(c)
                })
                .collect::<Result<Vec<u8>, char>>()
                .map_err(|c| self.unmappable(c))
        };
        match self.name.as_str() {
            "utf-8" => Ok(text.as_bytes().to_vec()),
            "ascii" => single_byte(0x80),
            "latin-1" => single_byte(0x100),
            name => {
                let encoding = known(name).ok_or_else(|| EncodeError::Unknown(name.to_owned()))?;
                self.encode_with(encoding, text)
            }
        }
    }

    fn encode_with(&self, encoding: &'static Encoding, text: &str) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = Vec::new();
        for character in text.chars() {
            let mut buffer = [0; 4];
            let (encoded, _, unmappable) = encoding.encode(character.encode_utf8(&mut buffer));
            if unmappable {
                return Err(self.unmappable(character));
            }
            bytes.extend_from_slice(&encoded);
        }
        Ok(bytes)
    }

    fn unmappable(&self, character: char) -> EncodeError {
        EncodeError::Unmappable {
            encoding: self.name.clone(),
            character: character.into(),
        }
    }
}

/// Windows's OEM code pages are no web encodings; of those only the few with a standard name are
/// known, and the rest is reported as not known.
fn known(name: &str) -> Option<&'static Encoding> {
    let label = match name.strip_prefix("cp") {
        Some("932") => "shift_jis".to_owned(),
        Some("936") => "gbk".to_owned(),
        Some("949") => "euc-kr".to_owned(),
        Some("950") => "big5".to_owned(),
        Some("866") => "ibm866".to_owned(),
        Some(page) => format!("windows-{page}"),
        None => name.to_owned(),
    };
    Encoding::for_label(label.as_bytes()).filter(|encoding| encoding.is_ascii_compatible())
}

/// One name for the many that an encoding goes by.
fn usual_name(name: &str) -> String {
    let folded = name.trim().to_ascii_lowercase().replace('_', "-");
    match folded.as_str() {
        "utf8" | "utf-8" | "u8" | "utf" | "cp65001" | "utf-8-sig" => "utf-8",
        "ascii" | "us-ascii" | "646" | "ansi-x3.4-1968" => "ascii",
        "latin1" | "latin-1" | "iso-8859-1" | "iso8859-1" | "iso88591" | "l1" | "8859" => "latin-1",
        "iso-8859-15" | "iso8859-15" | "iso885915" | "latin9" | "latin-9" => "iso-8859-15",
        "windows-1252" | "1252" => "cp1252",
        _ => return folded,
    }
    .to_owned()
}

fn charset_of_locale(locale: &str) -> String {
    let plain = locale.split('@').next().unwrap_or(locale);
    match plain.split_once('.') {
        Some((_, charset)) => charset.to_owned(),
        None if matches!(plain, "C" | "POSIX") => "utf-8".to_owned(),
        // glibc's own default for a locale that names no charset.
        None if locale.ends_with("@euro") => "iso-8859-15".to_owned(),
        None => "iso-8859-1".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> OutputEncoding {
        let find = |name: &str| {
            variables
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| (*value).to_owned())
        };
        OutputEncoding::of(find, None)
    }

    #[test]
    fn the_strongest_variable_decides() {
        type Variables = &'static [(&'static str, &'static str)];
        let cases: [(Variables, &str, &str); 9] = [
            (&[], "utf-8", "default"),
            (&[("LANG", "en_US.UTF-8")], "utf-8", "LANG"),
            (
                &[("LC_ALL", "C"), ("LANG", "de_DE.ISO-8859-1")],
                "utf-8",
                "LC_ALL",
            ),
            (&[("LANG", "de_DE.ISO-8859-1")], "latin-1", "LANG"),
            (&[("LANG", "de_DE")], "latin-1", "LANG"),
            (&[("LC_CTYPE", "de_DE@euro")], "iso-8859-15", "LC_CTYPE"),
            (
                &[("PYTHONUTF8", "1"), ("LANG", "de_DE")],
                "utf-8",
                "PYTHONUTF8",
            ),
            (
                &[("PYTHONIOENCODING", "cp1252"), ("PYTHONUTF8", "1")],
                "cp1252",
                "PYTHONIOENCODING",
            ),
            (
                &[("PYTHONIOENCODING", ":replace"), ("LANG", "C.UTF-8")],
                "utf-8",
                "LANG",
            ),
        ];
        for (variables, name, decided_by) in cases {
            let encoding = of(variables);
            assert_eq!(
                (encoding.name.as_str(), encoding.decided_by.as_str()),
                (name, decided_by)
            );
        }
    }

    #[test]
    fn texts_fit_or_name_the_character() {
        let fits = |name: &str, text: &str| OutputEncoding::new(name, "test").encode(text).is_ok();
        let cases = [
            ("utf-8", "\u{2705} \u{65e5}\u{672c}\u{8a9e}", true),
            ("ascii", "[OK]", true),
            ("ascii", "\u{e9}", false),
            ("latin-1", "\u{e9}", true),
            ("latin-1", "\u{20ac}", false),
            ("cp1252", "\u{20ac}", true),
            ("cp1252", "\u{2705}", false),
            ("shift_jis", "\u{65e5}\u{672c}\u{8a9e}", true),
            ("shift_jis", "\u{2705}", false),
        ];
        for (encoding, text, expected) in cases {
            assert_eq!(fits(encoding, text), expected, "{encoding} {text}");
        }
        let error = OutputEncoding::new("cp1252", "test")
            .encode("ok \u{2705}")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "'cp1252' codec can't encode character U+2705"
        );
    }

    #[test]
    fn an_unknown_encoding_is_no_pass() {
        let error = OutputEncoding::new("cp437", "test")
            .encode("a")
            .unwrap_err();
        assert_eq!(error, EncodeError::Unknown("cp437".to_owned()));
        assert!(OutputEncoding::new("utf-16", "test").encode("a").is_err());
    }
}
