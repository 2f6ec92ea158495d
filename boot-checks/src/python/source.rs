//! From the bytes of a Python file to its text, by Python's own rule (PEP 263).

/// Why a file has no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DecodeError {
    /// Python refuses the file, with this message and on this line.
    Refused { message: String, line: u32 },
    /// Python may be able to read the file; this program cannot.
    Unknown { encoding: String },
}

/// What precedes the text in a file that starts with the mark of UTF-8.
pub(super) const BOM: &[u8] = b"\xef\xbb\xbf";

/// The text of a file.
pub(super) fn decode(bytes: &[u8]) -> Result<String, DecodeError> {
    let (body, marked) = match bytes.strip_prefix(BOM) {
        Some(body) => (body, true),
        None => (bytes, false),
    };
    if let Some(at) = body.iter().position(|byte| *byte == 0) {
        return Err(refused("source code cannot contain null bytes", body, at));
    }
    let declared = declared_encoding(body);
    let encoding = declared.as_deref().map(normalise);
    if marked && encoding.as_deref().is_some_and(|name| name != "utf-8") {
        let name = declared.unwrap_or_default();
        let message = format!("encoding problem: {name} with BOM");
        return Err(refused(&message, body, 0));
    }
    match encoding.as_deref() {
        None | Some("utf-8") => utf8(body),
        Some("latin-1") => Ok(body.iter().copied().map(char::from).collect()),
        Some("ascii") if body.is_ascii() => utf8(body),
        Some("ascii") => Err(refused(
            "'ascii' codec can't decode byte",
            body,
            body.iter().position(|byte| !byte.is_ascii()).unwrap_or(0),
        )),
        Some(name) => other(name, body),
    }
}

fn utf8(body: &[u8]) -> Result<String, DecodeError> {
    match std::str::from_utf8(body) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let at = error.valid_up_to();
            let byte = body.get(at).copied().unwrap_or_default();
            let message = format!(
                "'utf-8' codec can't decode byte 0x{byte:02x}, and no encoding is declared"
            );
            Err(refused(&message, body, at))
        }
    }
}

fn other(name: &str, body: &[u8]) -> Result<String, DecodeError> {
    let unknown = || DecodeError::Unknown {
        encoding: name.to_owned(),
    };
    let label = name.replace("cp125", "windows-125");
    let encoding = encoding_rs::Encoding::for_label(label.as_bytes()).ok_or_else(unknown)?;
    let text = encoding.decode_without_bom_handling_and_without_replacement(body);
    text.map(std::borrow::Cow::into_owned).ok_or_else(unknown)
}

fn refused(message: &str, body: &[u8], at: usize) -> DecodeError {
    let before = body.get(..at).unwrap_or_default();
    let lines = before.iter().filter(|byte| **byte == b'\n').count();
    DecodeError::Refused {
        message: message.to_owned(),
        line: u32::try_from(lines).unwrap_or(u32::MAX).saturating_add(1),
    }
}

/// The encoding that one of the first two lines declares; the second counts only below a comment or a blank line.
fn declared_encoding(body: &[u8]) -> Option<String> {
    for line in body.split(|byte| *byte == b'\n' || *byte == b'\r').take(2) {
        let start = line
            .iter()
            .position(|byte| !matches!(byte, b' ' | b'\t' | 0x0c));
        let Some(start) = start else { continue };
        if line.get(start) != Some(&b'#') {
            return None;
        }
        if let Some(name) = named_in_comment(&line[start..]) {
            return Some(name);
        }
    }
    None
}

fn named_in_comment(comment: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(comment);
    let (_, rest) = text.split_once("coding")?;
    let rest = rest.strip_prefix(':').or_else(|| rest.strip_prefix('='))?;
    let name: String = rest
        .trim_start_matches([' ', '\t'])
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .collect();
    (!name.is_empty()).then_some(name)
}

/// One name for the aliases of the encodings that are decoded here.
fn normalise(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace('_', "-");
    match name.as_str() {
        "utf8" | "u8" | "utf-8-sig" | "utf" | "cp65001" => "utf-8".to_owned(),
        "latin1" | "l1" | "iso-8859-1" | "iso8859-1" | "8859" | "cp819" => "latin-1".to_owned(),
        "us-ascii" | "646" => "ascii".to_owned(),
        _ if name.starts_with("utf-8-") => "utf-8".to_owned(),
        _ if name.starts_with("latin-1-") => "latin-1".to_owned(),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expect: Result<&str, &str>) {
        let seen = decode(bytes).map_err(|error| match error {
            DecodeError::Refused { message, line } => format!("{line}: {message}"),
            DecodeError::Unknown { encoding } => format!("unknown {encoding}"),
        });
        assert_eq!(seen.as_deref().map_err(String::as_str), expect);
    }

    #[test]
    fn a_file_is_read_as_python_reads_it() {
        check("x = 'é'\n".as_bytes(), Ok("x = 'é'\n"));
        check(b"\xef\xbb\xbfx = 1\n", Ok("x = 1\n"));
        check(
            b"# -*- coding: latin-1 -*-\nx = '\xe9'\n",
            Ok("# -*- coding: latin-1 -*-\nx = 'é'\n"),
        );
        check(
            b"#!/bin/python\n# vim: set fileencoding=cp1252 :\n'\x80'",
            Ok("#!/bin/python\n# vim: set fileencoding=cp1252 :\n'€'"),
        );
        check(
            b"x = 1\n# coding: latin-1\n'\xe9'",
            Err("3: 'utf-8' codec can't decode byte 0xe9, and no encoding is declared"),
        );
        check(b"a\nb\0", Err("2: source code cannot contain null bytes"));
        check(
            b"\xef\xbb\xbf# coding: latin-1\n",
            Err("1: encoding problem: latin-1 with BOM"),
        );
        check(b"# coding: punycode\n", Err("unknown punycode"));
    }
}
