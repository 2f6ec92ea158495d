use super::{project, tree};
use crate::python::{EditProposal, analyse, propose_await_fixes, propose_cycle_fixes};

fn cycle_fix(files: &[(&str, &str)]) -> Option<EditProposal> {
    let folder = tree(files);
    let project = project(folder.path());
    let report = analyse(&project).unwrap();
    let cycle = report
        .problems
        .iter()
        .find(|problem| problem.kind.code() == "import_cycle")
        .expect("a cycle");
    let fixes = propose_cycle_fixes(&project, cycle)?;
    assert_eq!(fixes.len(), 1);
    fixes.into_iter().next()
}

#[test]
fn a_re_exported_name_is_imported_from_its_home() {
    let fix = cycle_fix(&[
        ("app/__init__.py", ""),
        ("app/base.py", "class Base:\n    pass\n"),
        (
            "app/a.py",
            "from app.b import g\nfrom app.base import Base\n",
        ),
        (
            "app/b.py",
            "import os\r\nfrom app.a import Base\r\n\r\nclass G(Base):\r\n    pass\r\ng = G()\r\n",
        ),
    ]);
    let fix = fix.expect("a proposal");
    insta::assert_snapshot!(fix.diff.replace('\r', "\\r"), @r"
    --- a/app/b.py
    +++ b/app/b.py
    @@ -1,5 +1,5 @@
     import os\r
    -from app.a import Base\r
    +from app.base import Base\r
     \r
     class G(Base):\r
         pass\r
    ");
}

#[test]
fn else_the_import_moves_into_the_functions() {
    let files = [
        ("app/__init__.py", ""),
        (
            "app/a.py",
            "from app.b import g, h\n\ndef f():\n    return 1\n\ndef e():\n    return g() + h()\n",
        ),
        (
            "app/b.py",
            "from app.a import f\n\ndef g():\n    \"\"\"Says g.\"\"\"\n    return f()\n\ndef h():\n    return 1\n",
        ),
    ];
    let fix = cycle_fix(&files).expect("a proposal");
    assert_eq!(fix.description, "import 'f' in the functions that use it");
    insta::assert_snapshot!(fix.diff, @r#"
    --- a/app/b.py
    +++ b/app/b.py
    @@ -1,7 +1,7 @@
    -from app.a import f
     
     def g():
         """Says g."""
    +    from app.a import f
         return f()
     
     def h():
    "#);
}

#[test]
fn a_name_that_is_used_while_importing_stays() {
    let fix = cycle_fix(&[
        ("app/__init__.py", ""),
        ("app/a.py", "from app.b import g\n\nclass F:\n    pass\n"),
        (
            "app/b.py",
            "from app.a import F\n\nclass G(F):\n    pass\ng = G()\n",
        ),
    ]);
    assert_eq!(fix, None);
}

#[test]
fn await_is_inserted_only_in_a_coroutine() {
    let folder = tree(&[
        ("app/__init__.py", ""),
        (
            "app/main.py",
            "async def f():\n    pass\n\nasync def g():\n    f()\n\ndef h():\n    f()\n",
        ),
    ]);
    let project = project(folder.path());
    let report = analyse(&project).unwrap();
    assert_eq!(report.problems.len(), 2);
    let fixes = propose_await_fixes(&project, &report.problems[..1]).expect("a proposal");
    let [fix] = fixes.as_slice() else {
        panic!("{fixes:?}")
    };
    assert!(
        fix.diff.contains("-    f()\n+    await f()\n"),
        "{}",
        fix.diff
    );
    assert_eq!(propose_await_fixes(&project, &report.problems[1..]), None);
}

#[test]
fn a_function_that_the_import_itself_calls_keeps_the_import_at_the_top() {
    let fix = cycle_fix(&[
        ("app/__init__.py", ""),
        (
            "app/a.py",
            "from app.b import g\n\ndef f():\n    return 1\n",
        ),
        (
            "app/b.py",
            "from app.a import f\n\ndef h():\n    return f()\n\ng = h()\n",
        ),
    ]);
    assert_eq!(fix, None);
}

#[test]
fn bytes_outside_of_an_edit_stay() {
    let files = |main: &str| {
        let folder = tree(&[("app/__init__.py", ""), ("app/main.py", "")]);
        std::fs::write(folder.path().join("app/main.py"), main).unwrap();
        folder
    };
    let lost = "async def f():\r\n    pass\r\n\r\nasync def g():\r\n\tf() ";
    let folder = files(&format!("\u{feff}# é\r\n{lost}"));
    let project = project(folder.path());
    let report = analyse(&project).unwrap();
    let fixes = propose_await_fixes(&project, &report.problems).expect("a proposal");
    let path = folder.path().join("app/main.py");
    let before = std::fs::read(&path).unwrap();
    let after = fixes[0].apply_to_bytes(&before).unwrap();
    let expect = format!("\u{feff}# é\r\n{}", lost.replace("\tf()", "\tawait f()"));
    assert_eq!(String::from_utf8(after).unwrap(), expect);

    let latin = [b"# coding: latin-1\n# \xe9\n", lost.as_bytes()].concat();
    std::fs::write(&path, &latin).unwrap();
    let report = analyse(&project).unwrap();
    let fixes = propose_await_fixes(&project, &report.problems).expect("a proposal");
    let after = fixes[0].apply_to_bytes(&latin).unwrap();
    let expect = [
        b"# coding: latin-1\n# \xe9\n",
        lost.replace("\tf()", "\tawait f()").as_bytes(),
    ]
    .concat();
    assert_eq!(after, expect);
    assert_eq!(fixes[0].apply_to_bytes(b"# other\n"), None);
}
