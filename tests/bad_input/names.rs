//! Every name that a shell, an URL or a format string could stumble over.

use std::collections::BTreeMap;
use std::fs;

use crate::evidence::LEGACY;
use crate::strangers::page_of_text;
use crate::support::{self, Answer, Fixture, answer};

macro_rules! names {
    ($try_name:ident: $($case:ident: $name:expr;)+) => {
        $(#[test] fn $case() { $try_name($name); })+
    };
}

names! { a_folder_may_be_named:
    a_folder_of_two_words: "two words";
    a_folder_with_quotes: "it's \"quoted\"";
    a_folder_in_other_scripts: "ünï-日本-📝";
    a_folder_with_a_question_mark: "what?mode=memory";
    a_folder_with_a_percent_sign: "100%20#fragment";
    a_folder_with_a_line_break: "a\nb";
    a_folder_like_an_option: "-rf";
    a_folder_like_a_script: "{braces} $HOME `id` \\n";
}

names! { a_database_may_be_named:
    a_database_of_two_words: "two words.db";
    a_database_with_quotes: "it's \"quoted\".db";
    a_database_in_other_scripts: "ünï-日本-📝.db";
    a_database_with_a_percent_sign: "100%.db";
    a_database_like_an_escape: "100%20.db";
    a_database_with_a_question_mark: "which?.db";
    a_database_with_a_line_break: "a\nb.db";
}

fn a_folder_may_be_named(name: &str) {
    let fixture = Fixture::below(name);
    fixture.sql(LEGACY);
    let before = fixture.tree_of_others();
    let (code, json) = fixture.boot_json(&[]);
    assert_eq!(code, 0, "{json:#}");
    assert!(fixture.tables().contains(&"playbooks".to_owned()));
    fixture.boot(&[]).says_at_once(0, &["Passed: 8/8"]);
    let run_id = json["run_id"].as_str().unwrap();
    let undone = fixture.run(&["undo", run_id]);
    undone.says_at_once(0, &["restored var/grace.db"]);
    let now = fixture.tree_of_others();
    let contents = |tree: &BTreeMap<String, support::Entry>| {
        let entry = tree.get("var/grace.db").unwrap();
        (entry.contents.clone(), entry.mode)
    };
    assert!(contents(&before) == contents(&now));
}

/// Made and found again; and where something else has its name, that is named and left.
fn a_database_may_be_named(name: &str) {
    let fixture = Fixture::empty();
    let boot = |arguments: &[&str]| -> Answer {
        let mut command = fixture.command();
        let name = name.replace('%', "%25").replace('?', "%3F");
        command.env("DATABASE_URL", format!("sqlite:///./{name}"));
        answer(command.args(arguments))
    };
    boot(&[]).says_at_once(0, &["Passed: 8/8"]);
    assert!(fixture.path(name).is_file());
    boot(&[]).says_at_once(0, &["Passed: 8/8"]);
    fs::write(fixture.path(name), page_of_text()).unwrap();
    let before = fixture.tree_of_others();
    for arguments in [&[][..], &["--observe"]] {
        let answer = boot(arguments);
        answer.says_at_once(1, &["is not an SQLite database", "preflight::database_"]);
        answer.says(1, &[name]);
        assert!(before == fixture.tree_of_others(), "something was changed");
    }
}
