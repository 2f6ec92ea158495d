//! Which values must never be shown. The redaction of every artefact hangs on these two functions.

/// Words that make a variable secret wherever they stand in its name.
const SECRET_WORDS: [&str; 7] = [
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "TOKEN",
    "API_KEY",
    "CREDENTIAL",
];

/// Ends that make a variable secret.
const SECRET_ENDS: [&str; 3] = ["_KEY", "APIKEY", "_PWD"];

/// Whether a variable of this name holds a secret as a whole.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase().replace('-', "_");
    SECRET_WORDS.iter().any(|word| name.contains(word))
        || SECRET_ENDS.iter().any(|end| name.ends_with(end))
}

/// The part of a variable's value that must never be shown: all of it where the name says so, the
/// password where the value is a URL that has one (`DATABASE_URL`, `REDIS_URL`), else nothing.
pub fn secret_part<'v>(name: &str, value: &'v str) -> Option<&'v str> {
    let secret = if is_secret_name(name) {
        value
    } else {
        let (_scheme, rest) = value.split_once("://")?;
        // The last `@`, because passwords contain unescaped ones, and slashes too.
        let (user_info, _host) = rest.rsplit_once('@')?;
        user_info.split_once(':')?.1
    };
    Some(secret).filter(|secret| !secret.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_hold_secrets() {
        for name in [
            "SECRET_KEY",
            "secret_key",
            "DJANGO_SECRET",
            "DB_PASSWORD",
            "MYSQL_PASSWD",
            "GITHUB_TOKEN",
            "OPENAI_API_KEY",
            "SSH_PRIVATE_KEY",
            "AWS_CREDENTIALS",
            "stripe-api-key",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "DATABASE_URL",
            "PATH",
            "KEYBOARD",
            "BOOT_PORT",
            "",
            "PWD",
            "OLDPWD",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn only_the_password_of_a_url_is_secret() {
        let cases = [
            ("DATABASE_URL", "postgres://u:p@ss/w@h/db", Some("p@ss/w")),
            ("DATABASE_URL", "sqlite:///./x.db", None),
            ("REDIS_URL", "redis://:hunter2@h:6379", Some("hunter2")),
            ("DATABASE_URL", "postgres://u@h/db", None),
            ("SECRET_KEY", "abc", Some("abc")),
            ("SECRET_KEY", "", None),
        ];
        for (name, value, expect) in cases {
            assert_eq!(secret_part(name, value), expect, "{name}={value}");
        }
    }
}
