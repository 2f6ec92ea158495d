//! What a secret looks like whose value nobody told us.
//!
//! Few words mark a place at which a secret can begin; what stands there is judged by hand-written
//! scanners. Regular expressions for the same would cost more to compile than a whole healthy boot takes,
//! and an automaton of the words more to build than to compare them at each letter that begins one.

use std::ops::Range;

type Scanner = fn(&[u8], Range<usize>) -> Option<Range<usize>>;

/// Where a secret may begin (in any case of letters), and what decides whether it does.
const MARKERS: &[(&str, Scanner)] = &[
    ("://", url_password),
    ("-----BEGIN ", private_key),
    ("eyJ", json_web_token),
    ("Bearer ", credentials),
    ("Basic ", credentials),
    ("sk-", |text, at| token(text, at, 16)),
    ("sk_live_", |text, at| token(text, at, 16)),
    ("ghp_", |text, at| token(text, at, 20)),
    ("gho_", |text, at| token(text, at, 20)),
    ("ghu_", |text, at| token(text, at, 20)),
    ("ghs_", |text, at| token(text, at, 20)),
    ("ghr_", |text, at| token(text, at, 20)),
    ("github_pat_", |text, at| token(text, at, 20)),
    ("glpat-", |text, at| token(text, at, 16)),
    ("xoxb-", |text, at| token(text, at, 10)),
    ("xoxp-", |text, at| token(text, at, 10)),
    ("xoxa-", |text, at| token(text, at, 10)),
    ("AIza", |text, at| token(text, at, 30)),
    ("AKIA", |text, at| token(text, at, 16)),
    ("ASIA", |text, at| token(text, at, 16)),
    ("secret", assignment),
    ("password", assignment),
    ("passwd", assignment),
    ("passphrase", assignment),
    ("token", assignment),
    ("api_key", assignment),
    ("apikey", assignment),
    ("access_key", assignment),
    ("private_key", assignment),
    ("credential", assignment),
];

/// Adds the ranges of everything in `text` that looks like a secret.
pub(super) fn find(text: &str, ranges: &mut Vec<Range<usize>>) {
    let text = text.as_bytes();
    for (at, &first) in text.iter().enumerate() {
        let mut numbers = BEGUN_BY[usize::from(first)];
        while numbers != 0 {
            let (marker, scanner) = MARKERS[numbers.trailing_zeros() as usize];
            numbers &= numbers - 1;
            let there = at..at + marker.len();
            let bytes = text.get(there.clone()).unwrap_or_default();
            if bytes.eq_ignore_ascii_case(marker.as_bytes()) {
                ranges.extend(scanner(text, there));
            }
        }
    }
}

/// The numbers of the markers that a byte begins, in either case, as bits.
const BEGUN_BY: [u32; 256] = {
    assert!(MARKERS.len() <= u32::BITS as usize);
    let mut begun = [0; 256];
    let mut number = 0;
    while number < MARKERS.len() {
        let first = MARKERS[number].0.as_bytes()[0];
        begun[first.to_ascii_lowercase() as usize] |= 1 << number;
        begun[first.to_ascii_uppercase() as usize] |= 1 << number;
        number += 1;
    }
    begun
};

/// `scheme://user:password@host`: the password. One that holds an unencoded `/`, `?` or `#` is
/// malformed and a secret all the same; `host:8080/path@2` is a port.
fn url_password(text: &[u8], marker: Range<usize>) -> Option<Range<usize>> {
    let rest = until(text, marker.end, |byte| {
        byte.is_ascii_whitespace() || b"\"'`<>".contains(&byte)
    });
    let colon = text[rest.clone()].iter().position(|&byte| byte == b':')? + rest.start;
    let authority = until(text, rest.start, |byte| b"/?#".contains(&byte));
    let authority = authority.start..authority.end.min(rest.end);
    if colon >= authority.end {
        return None;
    }
    let last_at = |range: Range<usize>| {
        let at = text[range.clone()].iter().rposition(|&byte| byte == b'@')?;
        Some(range.start + at)
    };
    let is_port = text[colon + 1..authority.end]
        .iter()
        .all(u8::is_ascii_digit);
    let at = match last_at(colon..authority.end) {
        Some(at) => at,
        None if is_port => return None,
        None => last_at(colon..rest.end)?,
    };
    (at > colon + 1).then_some(colon + 1..at)
}

/// From `-----BEGIN … PRIVATE KEY-----` to its end, or to the end of the text.
fn private_key(text: &[u8], marker: Range<usize>) -> Option<Range<usize>> {
    const LONGEST_LABEL: usize = 60;
    let label = &text[marker.end..text.len().min(marker.end + LONGEST_LABEL)];
    find_bytes(label, b"PRIVATE KEY")?;
    let end = find_bytes(&text[marker.end..], b"-----END ")
        .map(|end| marker.end + end + b"-----END ".len())
        .and_then(|end| Some(end + find_bytes(&text[end..], b"-----")? + b"-----".len()));
    Some(marker.start..end.unwrap_or(text.len()))
}

/// Three parts of URL-safe base64 between dots, of which the first begins with `{"`.
fn json_web_token(text: &[u8], marker: Range<usize>) -> Option<Range<usize>> {
    const SHORTEST_PART: usize = 8;
    if &text[marker.clone()] != b"eyJ" || follows_word(text, marker.start) {
        return None;
    }
    let end = until(text, marker.start, |byte| {
        !(is_token_byte(byte) || byte == b'.')
    })
    .end;
    // A full stop behind it ends the sentence, not the token.
    let dots = text[marker.start..end].iter().rev();
    let end = end - dots.take_while(|&&byte| byte == b'.').count();
    let mut parts = text[marker.start..end].split(|&byte| byte == b'.');
    let long = |part: Option<&[u8]>| part.is_some_and(|part| part.len() >= SHORTEST_PART);
    (long(parts.next()) && long(parts.next())).then_some(marker.start..end)
}

/// What follows `Bearer ` or `Basic ` and is too long for a word.
fn credentials(text: &[u8], marker: Range<usize>) -> Option<Range<usize>> {
    const SHORTEST: usize = 16;
    let value = until(text, marker.end, |byte| {
        !(is_token_byte(byte) || b".+/=~".contains(&byte))
    });
    (!follows_word(text, marker.start) && value.len() >= SHORTEST).then_some(value)
}

/// A prefix that only tokens have, and at least so many bytes of a token behind it.
fn token(text: &[u8], marker: Range<usize>, shortest: usize) -> Option<Range<usize>> {
    let end = until(text, marker.end, |byte| !is_token_byte(byte)).end;
    (!follows_word(text, marker.start) && end - marker.end >= shortest).then_some(marker.start..end)
}

/// `SECRET_KEY=value`, `password = "value"`, `"token": "value"`: the value. A colon counts only
/// between quotes, since prose has colons too; `<random-string>` is a placeholder.
fn assignment(text: &[u8], marker: Range<usize>) -> Option<Range<usize>> {
    let mut at = marker.end;
    // `SECRETS` and `tokens` count things; `SECRET_KEY` and `TOKEN2` name them.
    if text
        .get(at)
        .is_some_and(|&byte| b"_-0123456789".contains(&byte))
    {
        at = until(text, at, |byte| !is_token_byte(byte)).end;
    }
    let quoted = matches!(text.get(at), Some(b'"' | b'\''));
    at += usize::from(quoted);
    at = skip_blanks(text, at);
    match text.get(at)? {
        b'=' if text.get(at + 1) != Some(&b'=') => {}
        b':' if quoted => {}
        _ => return None,
    }
    at = skip_blanks(text, at + 1);
    let value = match *text.get(at)? {
        quote @ (b'"' | b'\'') => until(text, at + 1, |byte| byte == quote || byte == b'\n'),
        _ if quoted && text[at - 1] != b'=' && text[at] == b'{' => return None,
        _ => until(text, at, |byte| {
            byte.is_ascii_whitespace() || b"\"'`".contains(&byte)
        }),
    };
    (!value.is_empty() && !is_placeholder(&text[value.clone()])).then_some(value)
}

/// `<random-string>`, as instructions have it.
fn is_placeholder(value: &[u8]) -> bool {
    value.len() > 2
        && value.starts_with(b"<")
        && value.ends_with(b">")
        && value[1..value.len() - 1]
            .iter()
            .all(|&byte| byte.is_ascii_lowercase() || b"- _".contains(&byte))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// Whether a letter or digit stands before: `task-…` holds no `sk-…`.
fn follows_word(text: &[u8], at: usize) -> bool {
    at > 0 && text[at - 1].is_ascii_alphanumeric()
}

fn skip_blanks(text: &[u8], at: usize) -> usize {
    until(text, at, |byte| byte != b' ' && byte != b'\t').end
}

/// From `start` to the first byte that is a stop, or to the end.
fn until(text: &[u8], start: usize, is_stop: impl Fn(u8) -> bool) -> Range<usize> {
    let length = text[start..].iter().position(|&byte| is_stop(byte));
    start..length.map_or(text.len(), |length| start + length)
}

fn find_bytes(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len())
        .position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::super::Redactor;

    fn check(text: &str, expect: &str) {
        assert_eq!(Redactor::new([]).text(text), expect, "of {text}");
    }

    #[test]
    fn passwords_in_urls_go_and_the_rest_of_the_url_stays() {
        for (text, expect) in [
            (
                "postgres://me:pw@db:5432/x",
                "postgres://me:[redacted]@db:5432/x",
            ),
            ("redis://:pw@cache/0", "redis://:[redacted]@cache/0"),
            ("x://u:p@w@h/p", "x://u:[redacted]@h/p"),
            ("x://u:p/w@h", "x://u:[redacted]@h"),
            (
                "open 'x://u:pä@h' or 'y://v:q@i'",
                "open 'x://u:[redacted]@h' or 'y://v:[redacted]@i'",
            ),
        ] {
            check(text, expect);
        }
    }

    #[test]
    fn well_known_tokens_go() {
        // Put together here, so that no scanner of sources takes them for real ones.
        let tail = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8";
        for token in [
            format!("sk-proj-{tail}"),
            format!("ghp_{tail}"),
            format!("github_pat_{tail}"),
            format!("glpat-{tail}"),
            format!("xoxb-{tail}"),
            format!("AIza{tail}"),
            format!("AKIA{}", &tail[..16]),
            format!("eyJhbGciOiJI.eyJzdWIiOiIx.{tail}"),
        ] {
            check(&format!("saw {token}."), "saw [redacted].");
        }
        check(
            &format!("Authorization: Bearer {tail}"),
            "Authorization: Bearer [redacted]",
        );
    }

    #[test]
    fn private_keys_go_whole_even_without_an_end() {
        let key = |kind: &str| format!("-----BEGIN {kind}-----\nMIIB\nAAAA\n");
        for kind in ["PRIVATE KEY", "OPENSSH PRIVATE KEY", "RSA PRIVATE KEY"] {
            check(
                &format!("a {}-----END {kind}----- z", key(kind)),
                "a [redacted] z",
            );
            check(&format!("a {}", key(kind)), "a [redacted]");
        }
        check(&key("CERTIFICATE"), &key("CERTIFICATE"));
    }

    #[test]
    fn values_of_assignments_go() {
        for (text, expect) in [
            ("SECRET_KEY=abc", "SECRET_KEY=[redacted]"),
            (
                "export DB_PASSWORD='a b' now",
                "export DB_PASSWORD='[redacted]' now",
            ),
            ("token = \"x\"", "token = \"[redacted]\""),
            (
                "{\"password\": \"x\", \"a\": 1}",
                "{\"password\": \"[redacted]\", \"a\": 1}",
            ),
            ("{'api_key': 'x'}", "{'api_key': '[redacted]'}"),
            ("?token=x", "?token=[redacted]"),
        ] {
            check(text, expect);
        }
    }

    #[test]
    fn innocent_texts_stay() {
        for text in [
            "SECRET_KEY and DATABASE_URL are set",
            "required secrets: SECRET_KEY, DATABASE_URL",
            "secrets=2 max_tokens=4096",
            "token == None",
            "unexpected token: `}`",
            "add SECRET_KEY=<random-string> to .env",
            "sqlite:///./backend/grace.db",
            "sqlite+aiosqlite:////srv/grace/grace.db?mode=ro",
            "http://localhost:8080/package@2",
            "http://localhost:8080 and user@example.org",
            "task-queue-of-the-whole-night-shift",
            "the bearer of bad news, Basic things",
            "schema_secrets::secret_key",
        ] {
            check(text, text);
        }
    }
}
