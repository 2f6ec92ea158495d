//! An import that moves from the top of a file into the functions that use its name.

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Alias, Expr, Stmt, StmtImportFrom};
use ruff_text_size::Ranged;

use super::edit::TextEdit;
use super::fix::{line_end, range, remove_alias};

/// Moves an import into the functions that use its name; `None` where something else uses it too.
pub(super) fn into_functions(
    body: &[Stmt],
    text: &str,
    stmt: &StmtImportFrom,
    alias: &Alias,
) -> Option<Vec<TextEdit>> {
    let name = alias.asname.as_ref().unwrap_or(&alias.name).as_str();
    let mut users = Users {
        name,
        ..Users::default()
    };
    users.visit_body(body);
    // A function that is called while the module is imported would import the name just then.
    let runs_at_import = users
        .owners
        .iter()
        .any(|owner| users.called.contains(owner));
    if users.elsewhere || users.functions.is_empty() || runs_at_import {
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
    let before = text.get(..stmt.range.start().to_usize())?;
    let begins_line = before.is_empty() || before.ends_with(['\n', '\r']);
    let stands_alone = begins_line && (after > 0 || rest.is_empty());
    stands_alone.then(|| TextEdit {
        start: stmt.range.start().to_usize(),
        end: stop + after,
        replacement: String::new(),
    })
}

/// Finds the outermost functions that use a name, and whether anything else does.
#[derive(Default)]
struct Users<'n> {
    name: &'n str,
    /// Where the import would go: before the first statement behind the docstring.
    function: Option<usize>,
    functions: Vec<usize>,
    elsewhere: bool,
    /// The outermost function or class that is looked at.
    owner: Option<String>,
    /// Those in which the name is used.
    owners: Vec<String>,
    /// What the module calls while it is imported.
    called: Vec<String>,
}

impl<'a> Visitor<'a> for Users<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        let outermost = self.owner.is_none();
        if outermost {
            self.owner = match stmt {
                Stmt::FunctionDef(function) => Some(function.name.as_str().to_owned()),
                Stmt::ClassDef(class) => Some(class.name.as_str().to_owned()),
                _ => None,
            };
        }
        self.statement(stmt);
        if outermost {
            self.owner = None;
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        if expr
            .as_name_expr()
            .is_some_and(|used| used.id.as_str() == self.name)
        {
            match self.function {
                Some(at) => {
                    if !self.functions.contains(&at) {
                        self.functions.push(at);
                    }
                    self.owners.extend(self.owner.clone());
                }
                None => self.elsewhere = true,
            }
        }
        // A name in a quoted annotation or in `__all__` counts as a use.
        let quoted = expr
            .as_string_literal_expr()
            .is_some_and(|text| text.value.to_str() == self.name);
        self.elsewhere |= quoted && self.function.is_none();
        if let (None, Some(call)) = (self.function, expr.as_call_expr()) {
            self.note_call(&call.func);
        }
        visitor::walk_expr(self, expr);
    }
}

impl Users<'_> {
    fn note_call(&mut self, function: &Expr) {
        if let Some(name) = function.as_name_expr() {
            self.called.push(name.id.as_str().to_owned());
        }
    }

    fn statement(&mut self, stmt: &Stmt) {
        let (Stmt::FunctionDef(function), None) = (stmt, self.function) else {
            return visitor::walk_stmt(self, stmt);
        };
        for decorator in &function.decorator_list {
            self.note_call(&decorator.expression);
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
}
