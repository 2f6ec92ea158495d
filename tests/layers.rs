//! Holds the modules to the layers of ARCHITECTURE.md: who may use whom, who may write, who may
//! print, and how long a file may get.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file of ours.
struct Source {
    /// Relative to the workspace's root.
    path: String,
    /// Its lines without tests and without comments.
    code: Vec<String>,
    /// Lines without tests.
    length: usize,
}

/// A rule: in files below one of `within`, but for `except`, no line may hold one of `words`.
struct Rule {
    why: &'static str,
    within: &'static [&'static str],
    except: &'static [&'static str],
    words: &'static [&'static str],
}

const LIBRARY: &str = "boot-checks/src/";

/// Longer, a file holds more than one thing.
const LINES_MAX: usize = 400;

/// Lines that make, change or remove something on the disk.
const WRITES: &[&str] = &[
    "fs::write",
    "fs::create_dir",
    "fs::remove_",
    "fs::rename",
    "fs::copy",
    "fs::hard_link",
    "fs::set_permissions",
    "File::create",
    "File::options",
    "OpenOptions",
];

const RULES: &[Rule] = &[
    Rule {
        why: "only the harness knows libtest-mimic",
        within: &["boot-checks/src/", "xtask/src/"],
        except: &["boot-checks/src/harness.rs"],
        words: &["libtest_mimic"],
    },
    Rule {
        why: "only services know sqlx",
        within: &["boot-checks/src/", "xtask/src/"],
        except: &["boot-checks/src/services/"],
        words: &["sqlx::"],
    },
    Rule {
        why: "only the command line prints; report writes to whom it is given",
        within: &["boot-checks/src/"],
        // It asks how wide the terminal at standard output is.
        except: &["boot-checks/src/host/unix.rs"],
        words: &["println!", "print!", "io::stdout", "io::stderr"],
    },
    Rule {
        why: "every write goes through the one door",
        within: &["boot-checks/src/", "xtask/src/"],
        except: &[
            "boot-checks/src/host/",
            "boot-checks/src/engine/",
            "boot-checks/src/services/db/create.rs",
            "boot-checks/src/training/",
            // A copy in a temporary folder, so that observing changes nothing.
            "boot-checks/src/services/db/copy.rs",
            // Works on copies in a folder of its own; the door puts the outcome in place.
            "boot-checks/src/services/db/salvage/",
            // Where `diagnose --follow` was when it last stopped.
            "boot-checks/src/patterns/follow_state.rs",
            // What is measured is made in a temporary folder.
            "xtask/src/bench/",
            // An incident is made in a temporary folder.
            "xtask/src/replay/",
            // --report PATH.
            "xtask/src/file_report.rs",
        ],
        words: WRITES,
    },
    Rule {
        why: "the library does not know its command line",
        within: &["boot-checks/src/"],
        except: &[],
        words: &["xtask::", "clap::", "anyhow::"],
    },
    Rule {
        why: "what differs by system sits in host",
        within: &["boot-checks/src/", "xtask/src/"],
        except: &[
            "boot-checks/src/host/",
            // It tells a pipe from a socket.
            "boot-checks/src/services/db/files.rs",
        ],
        words: &["std::os::unix", "std::os::windows", "rustix::"],
    },
];

/// What a folder or file of the library may use of its siblings.
const USES: &[(&str, &[&str])] = &[
    ("model", &["model"]),
    ("report", &["model", "report"]),
    ("training", &["model", "training", "host"]),
    ("host", &["host", "model"]),
    ("config", &["config", "host", "model"]),
    ("services", &["services", "config", "host", "model"]),
    ("python", &["python", "model"]),
    (
        "context",
        &["context", "python", "services", "config", "host", "model"],
    ),
    (
        "checks",
        &[
            "checks", "context", "python", "services", "config", "host", "model",
        ],
    ),
    (
        "playbooks",
        &[
            "playbooks",
            "context",
            "python",
            "services",
            "config",
            "host",
            "model",
        ],
    ),
    ("plan", &["plan", "checks", "playbooks", "model"]),
];

#[test]
fn no_file_breaks_a_rule() {
    let sources = sources();
    let mut broken = Vec::new();
    for rule in RULES {
        for source in sources.iter().filter(|source| rule.is_for(&source.path)) {
            for line in &source.code {
                if rule.words.iter().any(|word| line.contains(word)) {
                    broken.push(format!("{}: {} ({})", source.path, line.trim(), rule.why));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_exception_of_a_rule_is_still_one() {
    let sources = sources();
    for rule in RULES {
        for except in rule.except {
            let needed = sources.iter().any(|source| {
                let is_there = source.path.starts_with(except);
                let uses = |line: &String| rule.words.iter().any(|word| line.contains(word));
                is_there && source.code.iter().any(uses)
            });
            assert!(needed, "{except} needs no exception: {}", rule.why);
        }
    }
}

#[test]
fn each_layer_uses_only_what_stands_below_it() {
    let mut broken = Vec::new();
    for source in sources() {
        let Some(module) = module_of(&source.path) else {
            continue;
        };
        let Some((_, allowed)) = USES.iter().find(|(name, _)| *name == module) else {
            continue;
        };
        for used in used_modules(&source.code) {
            if !allowed.contains(&used.as_str()) {
                broken.push(format!("{}: {module} may not use {used}", source.path));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Within one folder, files share what `mod.rs` and `support.rs` offer; a check of one stage is used
/// by another only in stage 4, which looks again at what the stages before it looked at, and for the
/// registry that stage 4 reads.
#[test]
fn checks_of_different_stages_do_not_use_each_other() {
    let mut broken = Vec::new();
    for source in sources() {
        let Some(rest) = source.path.strip_prefix("boot-checks/src/checks/") else {
            continue;
        };
        let stage = rest.split('/').next().unwrap_or_default();
        for line in source
            .code
            .iter()
            .filter(|line| line.contains("crate::checks::"))
        {
            let uses = line.split("crate::checks::").nth(1).unwrap_or_default();
            let shared = ["support", "Check"];
            let is_shared = uses.starts_with('{') && !uses.contains("::")
                || shared.iter().any(|name| uses.starts_with(name));
            let allowed = is_shared
                || uses.starts_with(stage)
                || stage == "startup_playbooks"
                || uses.starts_with("startup_playbooks::definitions");
            if !allowed {
                broken.push(format!("{}: {}", source.path, line.trim()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_file_is_longer_than_a_person_reads() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|source| source.length > LINES_MAX)
        .map(|source| format!("{} has {} lines", source.path, source.length))
        .collect();
    assert!(long.is_empty(), "{long:?}");
}

/// The rules themselves: what they would catch, and what they would not.
#[test]
fn a_broken_layer_is_seen() {
    let code = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let uses = |text: &str| used_modules(&code(text));
    assert_eq!(uses("use crate::engine::Door;"), ["engine"]);
    assert_eq!(uses("use crate::{checks, plan::step};"), ["checks", "plan"]);
    assert_eq!(uses("    crate::report::text(report)"), ["report"]);
    assert_eq!(
        uses("use crate::{\n    checks::{a, b},\n    model::Event,\n};"),
        ["checks", "model"]
    );
    assert_eq!(
        module_of("boot-checks/src/plan.rs").as_deref(),
        Some("plan")
    );
    assert_eq!(
        module_of("boot-checks/src/model/check.rs").as_deref(),
        Some("model")
    );
    let source = Source::parse(
        "a.rs",
        "fn a() {} // fs::write\n#[cfg(test)]\nmod tests { b }\n",
    );
    assert_eq!(source.code, ["fn a() {} "]);
    assert_eq!(source.length, 1);
}

impl Rule {
    fn is_for(&self, path: &str) -> bool {
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| path.starts_with(prefix));
        starts(self.within) && !starts(self.except)
    }
}

impl Source {
    fn parse(path: &str, text: &str) -> Source {
        let end = text.lines().position(is_test_attribute);
        let lines: Vec<&str> = text.lines().take(end.unwrap_or(usize::MAX)).collect();
        let without_comment = |line: &&str| line.split("//").next().unwrap_or_default().to_owned();
        Source {
            path: path.to_owned(),
            length: lines.len(),
            code: lines.iter().map(without_comment).collect(),
        }
    }
}

/// Where a file's tests begin; they stand at its end.
fn is_test_attribute(line: &str) -> bool {
    line == "#[cfg(test)]"
}

/// Every source file of the library and of the command line, but for files of tests alone.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in ["boot-checks/src", "xtask/src"] {
        walk(&root.join(folder), &mut files);
    }
    assert!(files.len() > 50, "only {} files were found", files.len());
    let sources = files.iter().map(|file| {
        let path = file.strip_prefix(&root).unwrap().display().to_string();
        Source::parse(&path, &fs::read_to_string(file).unwrap())
    });
    sources
        .filter(|source| {
            let tests = ["tests.rs", "sample.rs"];
            let is_test = tests.iter().any(|end| source.path.ends_with(end));
            !is_test && !source.path.contains("/tests/")
        })
        .collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The top module of the library that a file belongs to.
fn module_of(path: &str) -> Option<String> {
    let rest = path.strip_prefix(LIBRARY)?;
    let first = rest.split('/').next()?;
    Some(first.trim_end_matches(".rs").to_owned())
}

/// The top modules of the library that these lines name.
fn used_modules(code: &[String]) -> Vec<String> {
    let text = code.join("\n");
    let mut used = Vec::new();
    for rest in text.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => used.push(leading_name(rest)),
            Some(list) => used.extend(top_names(list)),
        }
    }
    used.sort();
    used.dedup();
    used
}

/// The first names of the items of `a::{b, c}, d}`.
fn top_names(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut start = 0;
    for (index, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' | ',' if depth == 0 => {
                names.push(leading_name(&list[start..index]));
                start = index + 1;
                if character == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn leading_name(text: &str) -> String {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    text[..end.unwrap_or(text.len())].to_owned()
}
