//! The smallest edits that break an import cycle or await a coroutine, each checked in memory before it is shown.

use std::path::{Path, PathBuf};

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Alias, Expr, Stmt, StmtImportFrom};
use ruff_python_parser::parse_module;
use ruff_text_size::{Ranged, TextRange};

use super::edit::{EditProposal, TextEdit};
use super::facts::Value;
use super::project::{Loaded, Project};
use super::report::{Problem, ProblemKind};
use super::source::decode;
use super::target::End;
use super::verdicts::judge;

/// Longest chain of re-exports that is followed.
const MAX_HOPS: usize = 16;

/// The smallest edit that breaks a cycle: the name comes from the module that defines it, where that lies outside of
/// the cycle; else the import moves into the functions that use it. `None`: neither is safe.
pub fn propose_cycle_fix(project: &Project, cycle: &Problem) -> Option<EditProposal> {
    let ProblemKind::ImportCycle {
        from,
        name,
        cycle: members,
    } = &cycle.kind
    else {
        return None;
    };
    let loaded = project.load(&[]).ok()?;
    let path = loaded.world.root.join(&cycle.file);
    let text = decode(&std::fs::read(&path).ok()?).ok()?;
    let parsed = parse_module(&text).ok()?;
    let (stmt, alias) = find_import(parsed.suite(), &text, cycle.place.line, name)?;
    let mut proposals = Vec::new();
    if let Some(home) = defining_module(&loaded, from, name).filter(|home| !members.contains(home))
    {
        let edits = rewrite(&text, stmt, alias, &home);
        let description =
            format!("import '{name}' from '{home}', which defines it outside of the cycle");
        proposals.extend(EditProposal::new(
            cycle.file.clone(),
            description,
            &text,
            edits,
        ));
    }
    if let Some(edits) = into_functions(parsed.suite(), &text, stmt, alias) {
        let description = format!("import '{name}' in the functions that use it");
        proposals.extend(EditProposal::new(
            cycle.file.clone(),
            description,
            &text,
            edits,
        ));
    }
    let before = judge(&loaded).ok()?;
    proposals.into_iter().find(|proposal| {
        let Some(after) = proposal.apply(&text) else {
            return false;
        };
        heals(project, &path, after, cycle, before.problems.len())
    })
}

/// Inserts `await` before a call, only where it stands in a coroutine.
pub fn propose_await_fix(project: &Project, call: &Problem) -> Option<EditProposal> {
    let ProblemKind::CoroutineNotAwaited {
        call: written,
        in_coroutine: true,
        offset,
        ..
    } = &call.kind
    else {
        return None;
    };
    let root = std::path::absolute(&project.root).ok()?;
    let path = root.join(&call.file);
    let text = decode(&std::fs::read(&path).ok()?).ok()?;
    let start = *offset as usize;
    if !text.get(start..)?.starts_with(written.as_str()) {
        return None;
    }
    let edit = TextEdit {
        start,
        end: start,
        replacement: "await ".to_owned(),
    };
    let proposal = EditProposal::new(
        call.file.clone(),
        format!("await '{written}'"),
        &text,
        vec![edit],
    )?;
    let before = judge(&project.load(&[]).ok()?).ok()?.problems.len();
    heals(project, &path, proposal.apply(&text)?, call, before).then_some(proposal)
}

/// Whether the problem is gone with the edited text, and no other has come.
fn heals(project: &Project, path: &Path, text: String, problem: &Problem, before: usize) -> bool {
    if parse_module(&text).is_err() {
        return false;
    }
    let edited: Vec<(PathBuf, String)> = vec![(path.to_owned(), text)];
    let Some(after) = project
        .load(&edited)
        .ok()
        .and_then(|loaded| judge(&loaded).ok())
    else {
        return false;
    };
    let gone = match &problem.kind {
        ProblemKind::ImportCycle { .. } => !after
            .problems
            .iter()
            .any(|other| other.kind == problem.kind),
        _ => true,
    };
    gone && after.problems.len() < before
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
fn remove_alias(stmt: &StmtImportFrom, alias: &Alias) -> TextEdit {
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

/// Moves an import into the functions that use its name; `None` where something else uses it too.
fn into_functions(
    body: &[Stmt],
    text: &str,
    stmt: &StmtImportFrom,
    alias: &Alias,
) -> Option<Vec<TextEdit>> {
    let name = alias.asname.as_ref().unwrap_or(&alias.name).as_str();
    let mut users = Users {
        name,
        function: None,
        functions: Vec::new(),
        elsewhere: false,
    };
    users.visit_body(body);
    if users.elsewhere || users.functions.is_empty() {
        return None;
    }
    let source =
        text.get(stmt.range.start().to_usize()..stmt.names.first()?.range.start().to_usize())?;
    let source = source.replace(['(', '\\', '\n', '\r'], " ");
    let words: Vec<&str> = source.split_whitespace().collect();
    let line = format!("{} {}", words.join(" "), text.get(range(alias.range))?);
    let end = line_end(text);
    let mut edits: Vec<TextEdit> = Vec::new();
    for at in users.functions {
        let start = text
            .get(..at)?
            .rfind(['\n', '\r'])
            .map_or(0, |found| found + 1);
        let indent = text
            .get(start..at)
            .filter(|indent| indent.trim().is_empty())?;
        edits.push(TextEdit {
            start: at,
            end: at,
            replacement: format!("{line}{end}{indent}"),
        });
    }
    edits.push(if stmt.names.len() > 1 {
        remove_alias(stmt, alias)
    } else {
        remove_line(text, stmt)?
    });
    Some(edits)
}

/// Takes out a whole line; `None` where something else stands on it.
fn remove_line(text: &str, stmt: &StmtImportFrom) -> Option<TextEdit> {
    let stop = stmt.range.end().to_usize();
    let rest = text.get(stop..)?;
    let after = if rest.starts_with("\r\n") {
        2
    } else {
        usize::from(rest.starts_with(['\n', '\r']))
    };
    let stands_alone = after > 0 || rest.is_empty();
    stands_alone.then(|| TextEdit {
        start: stmt.range.start().to_usize(),
        end: stop + after,
        replacement: String::new(),
    })
}

fn range(range: TextRange) -> std::ops::Range<usize> {
    range.start().to_usize()..range.end().to_usize()
}

fn line_end(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// Finds the outermost functions that use a name, and whether anything else does.
struct Users<'n> {
    name: &'n str,
    /// Where the import would go: before the first statement behind the docstring.
    function: Option<usize>,
    functions: Vec<usize>,
    elsewhere: bool,
}

impl<'a> Visitor<'a> for Users<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        let (Stmt::FunctionDef(function), None) = (stmt, self.function) else {
            return visitor::walk_stmt(self, stmt);
        };
        for decorator in &function.decorator_list {
            self.visit_decorator(decorator);
        }
        self.visit_parameters(&function.parameters);
        if let Some(returns) = &function.returns {
            self.visit_annotation(returns);
        }
        let is_text = |stmt: &Stmt| {
            stmt.as_expr_stmt()
                .is_some_and(|stmt| stmt.value.is_string_literal_expr())
        };
        let first = function.body.iter().find(|stmt| !is_text(stmt));
        self.function = first.map(|first| first.range().start().to_usize());
        self.visit_body(&function.body);
        self.function = None;
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        if expr
            .as_name_expr()
            .is_some_and(|used| used.id.as_str() == self.name)
        {
            match self.function {
                Some(at) if !self.functions.contains(&at) => self.functions.push(at),
                Some(_) => {}
                None => self.elsewhere = true,
            }
        }
        // A name in a quoted annotation or in `__all__` counts as a use.
        let quoted = expr
            .as_string_literal_expr()
            .is_some_and(|text| text.value.to_str() == self.name);
        self.elsewhere |= quoted && self.function.is_none();
        visitor::walk_expr(self, expr);
    }
}
