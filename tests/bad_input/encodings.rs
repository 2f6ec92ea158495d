//! What the application's output can carry.

use crate::support::{Fixture, answer, step};

#[test]
fn a_locale_that_cannot_print_is_healed_for_the_application() {
    let fixture = Fixture::healthy();
    let boot = |name: &str, value: &str| {
        let mut command = fixture.command();
        command.env(name, value).args(["--format", "json"]);
        let answer = answer(&mut command);
        let json: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
        (answer.code, json)
    };
    let (code, json) = boot("LC_ALL", "C");
    assert_eq!(code, 0, "PEP 538: Python takes the C locale for UTF-8");
    assert_eq!(
        step(&json, "schema_secrets::utf8_configured")["status"],
        "pass"
    );

    let (code, json) = boot("PYTHONIOENCODING", "latin-1");
    assert_eq!(code, 0, "only ASCII aborts");
    for (id, status) in [
        ("schema_secrets::utf8_configured", "warn"),
        ("startup_playbooks::fix_unicode_logging", "warn"),
        ("codec::ascii", "pass"),
        ("codec::emoji", "warn"),
        ("codec::unicode", "warn"),
    ] {
        assert_eq!(step(&json, id)["status"], status, "{id}");
    }
    let notes = step(&json, "schema_secrets::utf8_configured")["notes"].to_string();
    assert!(notes.contains("stronger than .env"), "{notes}");
    assert!(!fixture.read(".env").contains("PYTHONIOENCODING"));
    assert_eq!(json["metrics"]["startup.console_encoding"], "latin-1");

    let (code, json) = boot("LC_ALL", "de_DE.ISO-8859-1");
    assert_eq!(code, 0);
    assert_eq!(
        step(&json, "schema_secrets::utf8_configured")["status"],
        "fixed"
    );
    assert_eq!(step(&json, "codec::emoji")["status"], "pass");
    assert!(fixture.read(".env").contains("PYTHONIOENCODING=utf-8"));
    assert_eq!(json["metrics"]["startup.console_encoding"], "utf-8");
}

#[test]
fn an_encoding_that_nobody_knows_blocks() {
    let fixture = Fixture::healthy();
    let mut command = fixture.command();
    command.env("PYTHONIOENCODING", "utf-23");
    answer(&mut command).says(
        1,
        &[
            "unknown encoding 'utf-23'",
            "codec::ascii",
            "PYTHONIOENCODING",
        ],
    );
}
