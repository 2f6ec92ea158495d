//! A Python application's sources, looked at by a boot: what would crash the start is found before it,
//! and nothing else is.

#![allow(clippy::print_stderr, reason = "a case that is skipped says so")]

mod support;

use std::process::Command;

use serde_json::Value;
use support::{Fixture, step};

const ENTRY: &str = "preflight::entry_point_imports";

/// A healthy Grace with these sources.
fn application(files: &[(&str, &str)]) -> Fixture {
    let fixture = Fixture::healthy();
    for (path, text) in files {
        fixture.write(path, text);
    }
    fixture
}

/// `code: message -> action` of each problem of a step.
fn problems(json: &Value, id: &str) -> Vec<String> {
    let empty = Vec::new();
    let problems = step(json, id)["problems"].as_array().unwrap_or(&empty);
    let text = |problem: &Value, key: &str| problem[key].as_str().unwrap_or_default().to_owned();
    let line = |problem: &Value| {
        format!(
            "{} at {}: {} -> {}",
            text(problem, "code"),
            problem["evidence"][0]["value"].as_str().unwrap_or_default(),
            text(problem, "message"),
            text(problem, "action")
        )
    };
    problems.iter().map(line).collect()
}

/// The one problem that keeps the entry point from being imported; the boot is blocked by it.
#[track_caller]
fn blocked(files: &[(&str, &str)], pattern: &str, expect: &str) {
    let application = application(files);
    let (code, json) = application.boot_json(&[]);
    let found = step(&json, ENTRY);
    let seen = problems(&json, ENTRY);
    let root = application.root().display().to_string();
    let seen: Vec<String> = seen.iter().map(|it| it.replace(&root, "ROOT")).collect();
    assert_eq!(seen, [expect], "{json:#}");
    assert_eq!((code, &found["status"]), (1, &Value::from("fail")));
    assert_eq!(found["problems"][0]["pattern"], pattern);
    assert_eq!(json["summary"]["verdict"], "blocked");
}

#[test]
fn a_module_that_was_moved_is_named_with_its_new_place() {
    blocked(
        &[
            ("backend/__init__.py", ""),
            ("backend/core/__init__.py", ""),
            ("backend/core/mailer.py", "def send():\n    pass\n"),
            ("backend/tests/mailer.py", "def send():\n    pass\n"),
            ("backend/api.py", "from .mailer import send\n"),
            ("backend/main.py", "import backend.api\napp = 1\n"),
        ],
        "missing_internal_module",
        "missing_internal_module at backend/api.py:1:1: no module named 'backend.mailer' -> \
         write `from backend.core.mailer import send`",
    );
}

#[test]
fn a_name_that_was_moved_is_named_with_its_new_place() {
    blocked(
        &[
            ("backend/models.py", "class Event:\n    pass\n"),
            (
                "backend/billing.py",
                "import os\n\nclass Client:\n    pass\n",
            ),
            (
                "backend/main.py",
                "from backend.models import Event, Client\napp = 1\n",
            ),
        ],
        "import_name_missing",
        "import_name_missing at backend/main.py:1:1: cannot import name 'Client' from \
         'backend.models' -> 'Client' lives in backend/billing.py:3: write `from backend.billing \
         import Client`",
    );
}

#[test]
fn what_a_server_asks_the_module_for_must_be_there() {
    let sources = [("backend/main.py", "application = 1\n")];
    let cause = "`backend.main:app` is what is started where boot.toml names no entry_point";
    asked_in_vain(
        None,
        &sources,
        cause,
        "define app in backend/main.py, or name another entry_point in boot.toml",
    );
    let cause = "entry_point in boot.toml says `backend.main:nope`";
    let entry = Some("backend.main:nope");
    asked_in_vain(
        entry,
        &sources,
        cause,
        "define nope in backend/main.py, or correct entry_point in boot.toml",
    );
    asked_in_vain(
        entry,
        &[
            sources[0],
            ("backend/web.py", "import os\n\ndef nope():\n    pass\n"),
        ],
        cause,
        "'nope' lives in backend/web.py:3: write `backend.web:nope` as entry_point in boot.toml, \
         or define nope in backend/main.py",
    );
    asked_in_vain(
        entry,
        &[("backend/main.py", "nopes = 1\n")],
        cause,
        "'backend.main' has 'nopes': write `backend.main:nopes` as entry_point in boot.toml, or \
         define nope in backend/main.py",
    );
}

/// No import is at fault: what boot.toml says is.
#[track_caller]
fn asked_in_vain(entry: Option<&str>, files: &[(&str, &str)], cause: &str, action: &str) {
    let application = application(files);
    if let Some(entry) = entry {
        let config = format!("[python]\nentry_point = '{entry}'\n");
        application.write("boot.toml", config);
    }
    let (code, json) = application.boot_json(&[]);
    let name = entry.map_or("app", |_| "nope");
    let expect = format!(
        "entry_point_name_missing at backend/main.py: 'backend.main' has no '{name}', which the \
         entry point names -> {action}"
    );
    assert_eq!(problems(&json, ENTRY), [expect], "{json:#}");
    assert_eq!(
        (code, &step(&json, ENTRY)["problems"][0]["cause"]),
        (1, &cause.into())
    );
}

#[test]
fn a_file_that_does_not_parse_blocks() {
    blocked(
        &[
            ("backend/broken.py", "def f(:\n    pass\n"),
            ("backend/main.py", "import backend.broken\napp = 1\n"),
        ],
        "syntax_error",
        "syntax_error at backend/broken.py:1:7: backend/broken.py does not parse: \
         Expected a parameter or the end of the parameter list -> correct the line",
    );
}

#[test]
fn a_dependency_that_is_not_installed_is_named_with_its_requirement() {
    blocked(
        &[
            (".venv/lib/python3.11/site-packages/fastapi.py", ""),
            (
                "backend/requirements.txt",
                "fastapi\naiohttp>=3.8.0  # client\n",
            ),
            (
                "backend/main.py",
                "import fastapi\nimport aiohttp\napp = 1\n",
            ),
        ],
        "missing_dependency",
        "missing_dependency at backend/main.py:2:8: dependency 'aiohttp' is not installed -> \
         install it, as backend/requirements.txt:2 asks for: `pip install 'aiohttp>=3.8.0'`",
    );
}

#[test]
fn an_import_cycle_that_fails_blocks() {
    blocked(
        &[
            ("backend/main.py", "import backend.a\napp = 1\n"),
            ("backend/a.py", "from backend.b import g\nf = g\n"),
            ("backend/b.py", "from backend.a import f\ng = 1\nh = f\n"),
        ],
        "circular_import_avn_models",
        "import_cycle at backend/b.py:1:1: cannot import name 'f' from 'backend.a', whose own \
         import is still under way -> see the edit that `cargo xtask heal fix_circular_imports \
         --plan --root ROOT` proposes, or import the name inside the function that uses it",
    );
}

#[test]
fn what_may_work_is_no_finding() {
    let main = "\
        from typing import TYPE_CHECKING\n\
        try:\n    import backend.fast\nexcept ImportError:\n    fast = None\n\
        if TYPE_CHECKING:\n    from backend.types import T\n\
        import nobody_knows_what_is_installed\n\
        from backend.lazy import anything\n\
        app = 1\n";
    let application = application(&[
        ("backend/main.py", main),
        (
            "backend/lazy.py",
            "def __getattr__(name):\n    return name\n",
        ),
        ("backend/spare.py", "import backend.gone\n"),
    ]);
    let (code, json) = application.boot_json(&[]);
    assert_eq!(code, 0, "{json:#}");
    let found = step(&json, ENTRY);
    assert_eq!(found["status"], "pass");
    assert_eq!(found["observed"], "backend.main:app, 3 files read");
}

#[test]
fn what_boot_toml_names_must_be_there() {
    for (toml, code, message) in [
        (
            "entry_point = 'backend.mian:app'",
            "entry_point_missing",
            "did you mean 'backend.main'?",
        ),
        (
            "packages = ['bakend']",
            "package_missing",
            "did you mean 'backend'?",
        ),
        (
            "environment = '.env3'",
            "environment_missing",
            "name a virtual environment",
        ),
    ] {
        let boot_toml = format!("[python]\n{toml}\n");
        let fixture = application(&[("backend/main.py", "app = 1\n"), ("boot.toml", &boot_toml)]);
        let (exit_code, json) = fixture.boot_json(&[]);
        let found = problems(&json, ENTRY);
        assert_eq!((exit_code, found.len()), (1, 1), "{found:?}");
        assert!(found[0].starts_with(code), "{found:?}");
        assert!(found[0].contains(message), "{found:?}");
    }
}

/// A model as an object-relational mapper has it, without the field that the code asks for.
const MODELS: [(&str, &str); 4] = [
    ("backend/main.py", "app = 1\n"),
    (
        "backend/avn_avm.py",
        "class VerificationEvent:\n    id = 1\n",
    ),
    (
        "backend/self_heal_models.py",
        "class Playbooks:\n    risk_level = autonomy_tier = 1\n",
    ),
    (
        "backend/store.py",
        "class Playbook:\n    risk_level = autonomy_tier = 1\n",
    ),
];

#[test]
fn critical_classes_and_their_attributes_are_looked_up_in_the_source() {
    let fixture = application(&MODELS);
    let (code, json) = fixture.boot_json(&[]);
    assert_eq!(code, 0, "both only warn: {json:#}");
    assert_eq!(
        problems(&json, "smoke::critical_imports"),
        [
            "import_name_missing at boot.toml, [python.imports]: cannot import name 'Playbook' from \
          'backend.self_heal_models' -> 'Playbook' lives in backend/store.py:1: write `from \
          backend.store import Playbook`"
        ]
    );
    assert_eq!(
        problems(&json, "smoke::record_fields"),
        [
            "record_attribute_missing at backend.avn_avm:VerificationEvent: type object \
          'VerificationEvent' has no attribute 'passed' -> declare 'passed' in \
          backend.avn_avm:VerificationEvent, then boot again"
        ]
    );
    let pattern = &step(&json, "smoke::record_fields")["problems"][0]["pattern"];
    assert_eq!(pattern, "verification_events_schema_mismatch");
}

#[test]
fn the_application_s_own_interpreter_is_asked_where_it_is_named() {
    let python = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output();
    let Some(python) = python.ok().filter(|output| output.status.success()) else {
        eprintln!("skipped: there is no python3");
        return;
    };
    let python = String::from_utf8(python.stdout).unwrap();
    let toml = format!(
        "[python]\nentry_point = 'shop.main'\ninterpreter = '{}'\n\
         [python.imports]\n'shop.main:Made' = ['there', 'absent']\n'shop.raises' = []\n",
        python.trim()
    );
    let fixture = application(&[
        ("boot.toml", &toml),
        // Only a run knows what this makes.
        (
            "shop/main.py",
            "print('hello')\nMade = type('Made', (), {'there': 1})\n",
        ),
        ("shop/raises.py", "raise ValueError('at import')\n"),
    ]);
    let (code, json) = fixture.boot_json(&[]);
    assert_eq!(code, 0, "{json:#}");
    assert_eq!(
        problems(&json, "smoke::critical_imports"),
        [
            "import_failed at ValueError: at import: 'shop.raises' cannot be imported -> correct what \
          the exception names, then boot again"
        ]
    );
    let fields = problems(&json, "smoke::record_fields");
    assert_eq!(fields.len(), 1, "{fields:?}");
    assert!(fields[0].contains("no attribute 'absent'"), "{fields:?}");
    let compiled = fixture.path("shop/__pycache__");
    assert!(!compiled.exists(), "a check leaves nothing behind");

    let (_, observed) = fixture.boot_json(&["--observe"]);
    let found = problems(&observed, "smoke::critical_imports");
    assert!(found.is_empty(), "observing runs no code: {found:?}");
}

#[test]
fn a_coroutine_that_is_thrown_away_is_a_warning() {
    let fixture = application(&[(
        "backend/main.py",
        "async def publish():\n    pass\n\n\nasync def main():\n    publish()\n\n\napp = 1\n",
    )]);
    let (code, json) = fixture.boot_json(&[]);
    assert_eq!(code, 0, "{json:#}");
    let id = "startup_playbooks::verify_async_subscriptions";
    assert_eq!(
        problems(&json, id),
        [
            "coroutine_not_awaited at backend/main.py:6:5: coroutine 'publish' is never awaited -> \
          write `await publish(…)`"
        ]
    );
    let pattern = &step(&json, id)["problems"][0]["pattern"];
    assert_eq!(pattern, "trigger_mesh_unawaited");
}
