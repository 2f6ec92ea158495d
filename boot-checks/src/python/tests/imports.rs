use super::{lines, project, report, tree};
use crate::python::{AttributeResolution, RecordResolution, Sources, analyse};

/// The text of `app/main.py` beside a small package, and the problems that it has.
#[track_caller]
fn check(main: &str, expect: &[&str]) {
    let report = report(&[
        ("app/__init__.py", ""),
        (
            "app/tools.py",
            "def known():\n    pass\n\nif __debug__:\n    maybe = 1\n",
        ),
        ("app/lazy.py", "def __getattr__(name):\n    return name\n"),
        ("app/space/inner.py", "x = 1\n"),
        ("app/stars.py", "from .tools import *\n_own = 1\n"),
        ("app/listed.py", "__all__ = ['a']\na = 1\nb = 2\n"),
        ("app/starred.py", "from app.listed import *\n"),
        ("app/only.pyi", "x: int\n"),
        ("app/fast.cpython-311-x86_64-linux-gnu.so", ""),
        ("app/main.py", main),
    ]);
    assert_eq!(lines(&report), expect);
}

const MISSING: &str = "app.main:1 missing_internal_module: no module named 'app.gone'";

#[test]
fn a_module_that_is_not_there_is_found() {
    check("import app.gone\n", &[MISSING]);
    check("from app.gone import x\n", &[MISSING]);
    check("from .gone import x\n", &[MISSING]);
    check("\u{feff}from .gone import x\n", &[MISSING]);
    check(
        "import app.only\n",
        &["app.main:1 missing_internal_module: no module named 'app.only'"],
    );
    check(
        "from ...up import x\n",
        &[
            "app.main:1 missing_internal_module: relative import '...up' leads above the top-level package",
        ],
    );
    check(
        "try:\n    pass\nfinally:\n    import app.gone\n",
        &["app.main:4 missing_internal_module: no module named 'app.gone'"],
    );
    check(
        "try:\n    import app.gone\nexcept ImportError:\n    from app import tools\n    import app.gone2\n",
        &["app.main:5 missing_internal_module: no module named 'app.gone2'"],
    );
    check(
        "try:\n    import app.gone\nexcept ImportError:\n    raise\n",
        &["app.main:2 missing_internal_module: no module named 'app.gone'"],
    );
    check(
        "class A:\n    import app.gone\n",
        &["app.main:2 missing_internal_module: no module named 'app.gone'"],
    );
}

#[test]
fn a_guarded_import_is_no_problem() {
    for guard in [
        "ImportError",
        "ModuleNotFoundError",
        "Exception",
        "(ValueError, ImportError)",
        "SomeError",
    ] {
        check(
            &format!("try:\n    import app.gone\nexcept {guard}:\n    pass\n"),
            &[],
        );
    }
    check("try:\n    import app.gone\nexcept:\n    pass\n", &[]);
    check(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import app.gone\n",
        &[],
    );
    check("import os\nif os.name == 'nt':\n    import app.gone\n", &[]);
    check("def f():\n    import app.gone\n", &[]);
    check(
        "from contextlib import suppress\nwith suppress(ImportError):\n    import app.gone\n",
        &[],
    );
    check(
        "import sys\nsys.modules['app.gone'] = sys\nimport app.gone\n",
        &[],
    );
    check("import not_ours\nfrom not_ours.deep import x\n", &[]);
    check("import sys\nsys.exit(0)\nimport app.gone\n", &[]);
}

#[test]
fn a_name_that_is_not_there_is_found() {
    check("from app.tools import known, maybe\n", &[]);
    check(
        "from app.tools import gone\n",
        &["app.main:1 import_name_missing: cannot import name 'gone' from 'app.tools'"],
    );
    check("from app.lazy import anything\n", &[]);
    check("from app.fast import anything\n", &[]);
    check("from app.space import inner\n", &[]);
    check(
        "from app.space import gone\n",
        &["app.main:1 import_name_missing: cannot import name 'gone' from 'app.space'"],
    );
    check("from app.stars import known, _own\n", &[]);
    check("from app.starred import a\n", &[]);
    check(
        "from app.starred import b\n",
        &["app.main:1 import_name_missing: cannot import name 'b' from 'app.starred'"],
    );
    check(
        "import app.tools\napp.tools.gone = 1\nfrom app.tools import gone\n",
        &[],
    );
    check("from app.tools import __doc__\n", &[]);
}

#[test]
fn every_way_to_bind_a_name_is_known() {
    let names = "a = b = 1\n(c, [d, *e]) = 1, [2]\nfor f in (): pass\nwith open('x') as g: pass\nif (h := 1): pass\n\
        match a:\n    case [i, *j]: pass\n    case {'k': k, **l}: pass\nimport os as m\nn: int = 1\n\
        def o():\n    global p\n    p = 1\nclass q: pass\nasync def r(): pass\nx: int\n";
    let all = "from app.names import a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r\nfrom app.names import x\n";
    let report = report(&[
        ("app/__init__.py", ""),
        ("app/names.py", names),
        ("app/main.py", all),
    ]);
    assert_eq!(
        lines(&report),
        ["app.main:2 import_name_missing: cannot import name 'x' from 'app.names'"]
    );
}

#[test]
fn a_file_that_does_not_parse_fails_with_all_that_import_it() {
    let folder = tree(&[
        ("app/__init__.py", ""),
        ("app/broken.py", "def f(:\n    pass\n"),
        ("app/middle.py", "from . import broken\n"),
        ("app/main.py", "import app.middle\n"),
    ]);
    let mut project = project(folder.path());
    project.entry_points = vec!["app.main:run".to_owned()];
    let report = analyse(&project).unwrap();
    assert_eq!(report.problems.len(), 1);
    let problem = &report.problems[0];
    assert_eq!(
        (problem.kind.code(), problem.place.line),
        ("syntax_error", 1)
    );
    assert_eq!(problem.fails, ["app.broken", "app.main", "app.middle"]);
    let way: Vec<&str> = problem
        .chain
        .iter()
        .map(|link| link.module.as_str())
        .collect();
    assert_eq!(way, ["app.main", "app.middle"]);
    assert!(problem.reached_by_entry_point);
}

#[test]
fn a_cycle_is_a_problem_only_where_python_fails() {
    let fails = report(&[
        ("app/__init__.py", ""),
        ("app/a.py", "from app.b import g\n\ndef f():\n    pass\n"),
        ("app/b.py", "from app.a import f\n\ndef g():\n    pass\n"),
    ]);
    assert_eq!(fails.failing_modules.len(), 2);
    let harmless = report(&[
        ("app/__init__.py", ""),
        ("app/a.py", "import app.b\n\ndef f():\n    pass\n"),
        ("app/b.py", "import app.a\n\ndef g():\n    pass\n"),
    ]);
    assert_eq!(harmless.problems, []);
    assert_eq!(harmless.harmless_cycles, [["app.a", "app.b"]]);
    let one_way = report(&[
        ("app/__init__.py", ""),
        ("app/a.py", "def f():\n    pass\n\nfrom app.b import g\n"),
        ("app/b.py", "from app.a import f\n\ndef g():\n    pass\n"),
    ]);
    assert_eq!(
        one_way.failing_modules.keys().collect::<Vec<_>>(),
        ["app.b"]
    );
}

#[test]
fn a_dependency_is_judged_only_in_a_named_environment() {
    let folder = tree(&[
        ("app/__init__.py", ""),
        ("app/main.py", "import there\nimport gone\nimport json\n"),
        ("venv/lib/python3.12/site-packages/there.py", ""),
    ]);
    let mut project = project(folder.path());
    assert_eq!(lines(&analyse(&project).unwrap()), Vec::<String>::new());
    project.environment = Some(folder.path().join("venv"));
    let expect = "app.main:2 missing_dependency: dependency 'gone' is not installed";
    assert_eq!(lines(&analyse(&project).unwrap()), [expect]);
}

#[test]
fn a_folder_added_to_the_path_is_followed() {
    let folder = tree(&[
        ("app/__init__.py", ""),
        (
            "app/main.py",
            "import sys, os\nsys.path.insert(0, os.path.dirname(__file__))\nimport beside\nimport gone\n",
        ),
        (
            "app/other.py",
            "import sys\nsys.path.append(sys.argv[1])\nimport gone\n",
        ),
        ("app/beside.py", ""),
        ("venv/lib/python3.12/site-packages/there.py", ""),
    ]);
    let mut project = project(folder.path());
    project.environment = Some(folder.path().join("venv"));
    let expect = "app.main:4 missing_dependency: dependency 'gone' is not installed";
    assert_eq!(lines(&analyse(&project).unwrap()), [expect]);
}

#[test]
fn a_record_and_its_fields_are_resolved() {
    let folder = tree(&[
        ("app/__init__.py", ""),
        (
            "app/base.py",
            "from sqlalchemy.orm import DeclarativeBase\nclass Base(DeclarativeBase):\n    id = 1\n",
        ),
        (
            "app/models.py",
            "from .base import Base\nfrom other import Mixin\nclass Event(Base):\n    passed: bool\n    def __init__(self):\n        self.seen = 1\nclass Mixed(Mixin):\n    x = 1\n",
        ),
    ]);
    let project = project(folder.path());
    let sources = Sources::read(&project).unwrap();
    let found = sources.record("app.models:Event", &["passed", "seen", "id", "gone"]);
    let RecordResolution::Found { attributes, .. } = found else {
        panic!("{found:?}")
    };
    let kinds: Vec<AttributeResolution> = attributes.into_iter().map(|(_, kind)| kind).collect();
    use AttributeResolution::{Found, Missing, Unjudged};
    assert_eq!(kinds, [Found, Found, Found, Missing]);
    let mixed = sources.record("app.models:Mixed", &["gone"]);
    assert!(
        matches!(mixed, RecordResolution::Found { attributes, .. } if attributes[0].1 == Unjudged)
    );
    assert_eq!(
        sources.record("app.models:Gone", &[]),
        RecordResolution::ClassMissing
    );
    assert_eq!(
        sources.record("app.gone:Gone", &[]),
        RecordResolution::ModuleMissing
    );
}
