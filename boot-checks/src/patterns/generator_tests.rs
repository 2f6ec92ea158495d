//! The build refuses a bad pattern, and says where.

use std::fs;

use super::generator::generate;

const GOOD: &str = include_str!("../../../fixtures/patterns/database_locked/pattern.toml");

/// What the generator says about the good pattern with one text replaced.
fn check(old: &str, new: &str, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let patterns = folder.path().join("patterns");
    let pattern = patterns.join("database_locked");
    fs::create_dir_all(&pattern).unwrap();
    assert!(GOOD.contains(old), "{old}");
    fs::write(pattern.join("pattern.toml"), GOOD.replacen(old, new, 1)).unwrap();
    let problem = generate(&patterns, &folder.path().join("out.rs"))
        .err()
        .unwrap();
    let (place, message) = problem.split_once(": ").unwrap();
    let line = GOOD[..GOOD.find(old).unwrap()].matches('\n').count() + 1;
    assert!(
        place.ends_with(&format!("pattern.toml:{line}")),
        "{problem}"
    );
    assert!(message.contains(expected), "{problem}");
}

#[test]
fn mistakes_are_named_with_file_and_line() {
    check(
        "id = \"database_locked\"",
        "id = \"locked\"",
        "is not the folder's name",
    );
    check(
        "risk = \"low\"",
        "risk = \"none\"",
        "is not one of low, medium, high, critical",
    );
    check(
        "tier = \"tier_1\"",
        "tier = \"tier_9\"",
        "is not one of tier_1",
    );
    check("title = ", "titel = ", "unknown field `titel`");
    check(
        r"regex = '''\bSQLITE",
        r"regex = '''(\bSQLITE",
        "not a regular expression",
    );
    check(
        "anchors = [\"SQLITE_BUSY\"]",
        "anchors = [\"SQL\"]",
        "is under 5 bytes",
    );
    check(
        "anchors = [\"SQLITE_BUSY\"]",
        "anchors = []",
        "at least one anchor",
    );
    check(
        "anchors = [\"SQLITE_BUSY\"]",
        "anchors = [\"table is\"]",
        "begin alike",
    );
    check(
        "anchors = [\"sqlite_errorcode\"]",
        "anchors = [\"sqlite_error_code\"]",
        "holds no anchor",
    );
}
