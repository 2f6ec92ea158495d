//! Makes this folder visible to cargo-insta, which looks below the sources of targets only, and
//! keeps it clean: no snapshot without its test, none that waits for a review.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn names() -> BTreeSet<String> {
    let folder = fs::read_dir(repository().join("snapshots")).unwrap();
    folder
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn no_snapshot_waits_for_a_review() {
    let waiting: Vec<String> = names()
        .into_iter()
        .filter(|name| name.ends_with(".snap.new") || name.ends_with(".pending-snap"))
        .collect();
    assert!(
        waiting.is_empty(),
        "accept or reject {waiting:?} with `cargo insta review`"
    );
}

/// Each snapshot names the source of its test, and stands for a name that this source can make.
#[test]
fn every_snapshot_has_its_test() {
    let mut orphans = Vec::new();
    for name in names().iter().filter(|name| name.ends_with(".snap")) {
        let text = fs::read_to_string(repository().join("snapshots").join(name)).unwrap();
        let source = text
            .lines()
            .find_map(|line| line.strip_prefix("source: "))
            .unwrap_or_default();
        let code = fs::read_to_string(repository().join(source)).unwrap_or_default();
        if !is_made_by(&code, name.trim_end_matches(".snap")) {
            orphans.push(format!("{name} (of {source})"));
        }
    }
    assert!(orphans.is_empty(), "no test makes {orphans:?}");
}

/// Whether the name can be put together from the words in quotes of the source, and from the ids of
/// the fixtures: `report_json_aborted` from `report_`, `json` and `aborted`.
fn is_made_by(code: &str, name: &str) -> bool {
    let fixtures: Vec<String> = ["patterns", "controls"]
        .into_iter()
        .flat_map(|kind| fs::read_dir(repository().join("fixtures").join(kind)).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let words: BTreeSet<&str> = code
        .split('"')
        .skip(1)
        .step_by(2)
        .flat_map(|literal| literal.split(['{', '}']))
        .map(|word| word.trim_matches('_'))
        .chain(fixtures.iter().map(String::as_str))
        .filter(|word| !word.is_empty())
        .collect();
    can_be_split(name, &words)
}

fn can_be_split(name: &str, words: &BTreeSet<&str>) -> bool {
    name.is_empty()
        || words.iter().any(|word| {
            name.strip_prefix(word)
                .is_some_and(|rest| can_be_split(rest.trim_start_matches('_'), words))
        })
}

#[test]
fn an_orphan_is_told_from_a_snapshot_that_is_made() {
    let code = "for x in [(\"json\", 1)] { snapshot(&format!(\"report_{x}_{y}\")); } fn f() { (\"aborted\") }";
    assert!(is_made_by(code, "report_json_aborted"));
    assert!(!is_made_by(code, "report_html_aborted"));
    assert!(!is_made_by("", "report_json_aborted"));
}
