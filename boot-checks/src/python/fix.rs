//! The smallest edits that break an import cycle or await a coroutine, each checked in memory before it is shown.

use std::path::{Path, PathBuf};

use ruff_python_ast::{Alias, Stmt, StmtImportFrom};
use ruff_python_parser::parse_module;
use ruff_text_size::TextRange;

use super::edit::{EditProposal, TextEdit};
use super::facts::Value;
use super::local_import::into_functions;
use super::project::{Loaded, Project};
use super::report::{Problem, ProblemKind};
use super::source::decode;
use super::target::End;
use super::verdicts::{judge, judge_entry};

/// Longest chain of re-exports that is followed.
const MAX_HOPS: usize = 16;

/// Edits that are made one after the other to get an entry point through: behind one cycle there may be another.
const MAX_ROUNDS: usize = 8;

/// Files whose text is another than on the disk.
type Edited = Vec<(PathBuf, String)>;

/// The smallest edits that break a cycle, and those behind it on the way of the entry points: a name comes from the
/// module that defines it, where that lies outside of the cycle; else the import moves into the functions that use it.
/// `None`: neither is safe.
pub fn propose_cycle_fixes(project: &Project, cycle: &Problem) -> Option<Vec<EditProposal>> {
    let mut edited = Edited::new();
    let mut done: Vec<(PathBuf, String)> = Vec::new();
    let mut next = Some(cycle.clone());
    for _ in 0..MAX_ROUNDS {
        let Some(cycle) = next.take() else { break };
        let proposal = propose_cycle_fix(project, &edited, &cycle)?;
        let path = project_path(project, &proposal.file)?;
        let after = proposal.apply(&text_of(&path, &edited)?)?;
        edited.retain(|(known, _)| *known != path);
        edited.push((path, after));
        done.push((proposal.file, proposal.description));
        let loaded = project.load(&edited).ok()?;
        let mut problems = loaded.entries.iter();
        next = problems
            .find_map(|entry| judge_entry(&loaded.world, entry))
            .filter(|problem| matches!(problem.kind, ProblemKind::ImportCycle { .. }));
    }
    if next.is_some() {
        return None;
    }
    let whole = |(path, after): &(PathBuf, String)| {
        let of_file =
            |(file, _): &&(PathBuf, String)| project_path(project, file).as_ref() == Some(path);
        let file = done.iter().find(of_file)?.0.clone();
        let words: Vec<&str> = done
            .iter()
            .filter(of_file)
            .map(|(_, words)| words.as_str())
            .collect();
        EditProposal::from_texts(file, words.join("; "), &text_of(path, &[])?, after)
    };
    edited.iter().map(whole).collect()
}

fn propose_cycle_fix(
    project: &Project,
    edited: &[(PathBuf, String)],
    cycle: &Problem,
) -> Option<EditProposal> {
    let ProblemKind::ImportCycle {
        from,
        name,
        cycle: members,
    } = &cycle.kind
    else {
        return None;
    };
    let loaded = project.load(edited).ok()?;
    let path = loaded.world.root.join(&cycle.file);
    let text = text_of(&path, edited)?;
    let parsed = parse_module(&text).ok()?;
    let (stmt, alias) = find_import(parsed.suite(), &text, cycle.place.line, name)?;
    let mut proposals = Vec::new();
    let propose = |description: String, edits: Vec<TextEdit>| {
        EditProposal::new(cycle.file.clone(), description, &text, edits)
    };
    if let Some(home) = defining_module(&loaded, from, name).filter(|home| !members.contains(home))
    {
        let description =
            format!("import '{name}' from '{home}', which defines it outside of the cycle");
        proposals.extend(propose(description, rewrite(&text, stmt, alias, &home)));
    }
    if let Some(edits) = into_functions(parsed.suite(), &text, stmt, alias) {
        let description = format!("import '{name}' in the functions that use it");
        proposals.extend(propose(description, edits));
    }
    let before = judge(&loaded).ok()?.problems.len();
    proposals.into_iter().find(|proposal| {
        let Some(after) = proposal.apply(&text) else {
            return false;
        };
        let mut all: Edited = edited.to_vec();
        all.retain(|(known, _)| *known != path);
        all.push((path.clone(), after));
        breaks(project, &all, cycle, before)
    })
}

/// Inserts `await` before calls, only where each stands in a coroutine: one proposal for each file. `None`: not all of
/// them can be awaited where they stand.
pub fn propose_await_fixes(project: &Project, calls: &[Problem]) -> Option<Vec<EditProposal>> {
    let mut files: Vec<PathBuf> = calls.iter().map(|call| call.file.clone()).collect();
    files.dedup();
    let mut edited = Edited::new();
    let mut proposals = Vec::new();
    for file in files {
        let path = project_path(project, &file)?;
        let text = text_of(&path, &[])?;
        let of_file: Vec<&Problem> = calls.iter().filter(|call| call.file == file).collect();
        let edits: Option<Vec<TextEdit>> =
            of_file.iter().map(|call| await_edit(&text, call)).collect();
        let words: Vec<&str> = of_file.iter().filter_map(|call| written(call)).collect();
        let description = format!("await '{}'", words.join("', '"));
        let proposal = EditProposal::new(file, description, &text, edits?)?;
        edited.push((path, proposal.apply(&text)?));
        proposals.push(proposal);
    }
    let before = judge(&project.load(&[]).ok()?).ok()?.problems.len();
    let parses = |(_, text): &(PathBuf, String)| parse_module(text).is_ok();
    let after = judge(&project.load(&edited).ok()?).ok()?.problems.len();
    let gone = edited.iter().all(parses) && after + calls.len() == before;
    gone.then_some(proposals)
}

fn written(call: &Problem) -> Option<&str> {
    match &call.kind {
        ProblemKind::CoroutineNotAwaited { call, .. } => Some(call),
        _ => None,
    }
}

fn await_edit(text: &str, call: &Problem) -> Option<TextEdit> {
    let ProblemKind::CoroutineNotAwaited {
        call: written,
        in_coroutine: true,
        offset,
        ..
    } = &call.kind
    else {
        return None;
    };
    let start = *offset as usize;
    let is_there = text.get(start..)?.starts_with(written.as_str());
    is_there.then(|| TextEdit {
        start,
        end: start,
        replacement: "await ".to_owned(),
    })
}

fn project_path(project: &Project, file: &Path) -> Option<PathBuf> {
    let root = std::path::absolute(&project.root).ok()?;
    Some(super::paths::normalise(&root).join(file))
}

fn text_of(path: &Path, edited: &[(PathBuf, String)]) -> Option<String> {
    match edited.iter().find(|(known, _)| known == path) {
        Some((_, text)) => Some(text.clone()),
        None => decode(&std::fs::read(path).ok()?).ok(),
    }
}

/// Whether a cycle is gone with the edited texts, and no other problem has come.
fn breaks(project: &Project, edited: &[(PathBuf, String)], cycle: &Problem, before: usize) -> bool {
    let parses = |(_, text): &(PathBuf, String)| parse_module(text).is_ok();
    let loaded = project.load(edited).ok();
    let Some(after) = loaded.and_then(|loaded| judge(&loaded).ok()) else {
        return false;
    };
    let is_gone = after.problems.iter().all(|other| other.kind != cycle.kind);
    // Behind a cycle that an entry point met first there may be one that it meets now.
    edited.iter().all(parses) && is_gone && after.problems.len() <= before
}

fn find_import<'a>(
    body: &'a [Stmt],
    text: &str,
    line: u32,
    name: &str,
) -> Option<(&'a StmtImportFrom, &'a Alias)> {
    let lines = super::place::Lines::new(text);
    body.iter()
        .filter_map(Stmt::as_import_from_stmt)
        .find_map(|stmt| {
            let here = lines.place(stmt.range.start().to_u32()).line == line;
            let alias = stmt
                .names
                .iter()
                .find(|alias| alias.name.as_str() == name)?;
            here.then_some((stmt, alias))
        })
}

/// The module that a name is defined in, through re-exports.
fn defining_module(loaded: &Loaded, from: &str, name: &str) -> Option<String> {
    let world = &loaded.world;
    let (mut module, mut name) = (world.by_name(from)?, name.to_owned());
    for _ in 0..MAX_HOPS {
        let [binding] = world.facts(module)?.bindings.get(&name)?.as_slice() else {
            return None;
        };
        match &binding.value {
            Value::From {
                import,
                name: inner,
            } if *inner == name => {
                let target = world
                    .targets
                    .get(&(module, *import))
                    .filter(|target| target.end == End::Found)?;
                module = *target.loads.last()?;
                name.clone_from(inner);
            }
            Value::Function { .. }
            | Value::Class(_)
            | Value::Call(_)
            | Value::Other
            | Value::Alias(_) => {
                let found = &world.modules[module].name;
                return (found != from).then(|| found.clone());
            }
            _ => return None,
        }
    }
    None
}

fn rewrite(text: &str, stmt: &StmtImportFrom, alias: &Alias, home: &str) -> Vec<TextEdit> {
    let written = text.get(range(alias.range)).unwrap_or_default();
    let line = format!("from {home} import {written}");
    if stmt.names.len() == 1 {
        return vec![TextEdit {
            start: stmt.range.start().to_usize(),
            end: stmt.range.end().to_usize(),
            replacement: line,
        }];
    }
    let mut edits = vec![remove_alias(stmt, alias)];
    let at = stmt.range.end().to_usize();
    edits.push(TextEdit {
        start: at,
        end: at,
        replacement: format!("{}{line}", line_end(text)),
    });
    edits
}

/// Takes one of several names out of an import, with the comma that belongs to it.
pub(super) fn remove_alias(stmt: &StmtImportFrom, alias: &Alias) -> TextEdit {
    let at = stmt
        .names
        .iter()
        .position(|other| other.range == alias.range)
        .unwrap_or(0);
    let (start, end) = match (
        stmt.names.get(at + 1),
        at.checked_sub(1).and_then(|before| stmt.names.get(before)),
    ) {
        (Some(next), _) => (alias.range.start(), next.range.start()),
        (None, Some(before)) => (before.range.end(), alias.range.end()),
        (None, None) => (alias.range.start(), alias.range.end()),
    };
    TextEdit {
        start: start.to_usize(),
        end: end.to_usize(),
        replacement: String::new(),
    }
}

pub(super) fn range(range: TextRange) -> std::ops::Range<usize> {
    range.start().to_usize()..range.end().to_usize()
}

/// How the lines of a text end; as the first one does.
pub(super) fn line_end(text: &str) -> &'static str {
    let first = text.find(['\r', '\n']).and_then(|at| text.get(at..));
    match first {
        Some(end) if end.starts_with("\r\n") => "\r\n",
        Some(end) if end.starts_with('\r') => "\r",
        _ => "\n",
    }
}
