use super::report;

/// Marsaglia's xorshift: the same bytes in every run.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn no_source_makes_the_analysis_panic() {
    const WORDS: [&str; 24] = [
        "import ",
        "from ",
        ".",
        "app",
        "\n",
        "    ",
        "class A",
        "(",
        ")",
        ":",
        "async def f",
        "await ",
        "try:",
        "except ",
        "global x",
        "self.x = ",
        "f'{",
        "'",
        "\"\"\"",
        "\\",
        "\r",
        "é",
        "# coding: latin-1\n",
        "\u{feff}",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..40 {
        let texts: Vec<String> = (0..8)
            .map(|_| {
                (0..next(&mut state) % 60)
                    .map(|_| WORDS[(next(&mut state) % 24) as usize])
                    .collect()
            })
            .collect();
        let names = [
            "app/__init__.py",
            "app/a.py",
            "app/b.py",
            "app/c.py",
            "app/d.py",
            "app/e.py",
            "app/f.py",
            "app/g.py",
        ];
        let files: Vec<(&str, &str)> = names
            .into_iter()
            .zip(texts.iter().map(String::as_str))
            .collect();
        report(&files);
    }
}

#[test]
fn bytes_that_are_no_text_are_a_finding_and_deep_nesting_is_survived() {
    let folder = super::tree(&[("app/__init__.py", "")]);
    let mut state = 42;
    let noise: Vec<u8> = (0..4096).map(|_| next(&mut state) as u8).collect();
    std::fs::write(folder.path().join("app/noise.py"), noise).unwrap();
    std::fs::write(
        folder.path().join("app/deep.py"),
        format!("x = {}1", "-".repeat(20_000)),
    )
    .unwrap();
    std::fs::write(
        folder.path().join("app/wide.py"),
        format!("x = 1{}", " + 1".repeat(20_000)),
    )
    .unwrap();
    let report = crate::python::analyse(&super::project(folder.path())).unwrap();
    assert!(report.failing_modules.contains_key("app.noise"));
}
