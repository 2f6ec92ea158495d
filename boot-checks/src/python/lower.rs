//! From the syntax tree of a file to what runs when it is imported.

use std::path::Path;

use ruff_python_ast::{self as ast, Expr, Stmt};
use ruff_text_size::{Ranged, TextRange};

use super::expressions::{catches, dotted, is_harmless, is_path, leaves, summary};
use super::facts::{Catches, Exports, Facts, Import, Op, Try, Value};
use super::paths::PathScope;
use super::place::Lines;
use super::{definitions, locals, scan};

/// What one file says.
pub(super) fn lower(
    root: &Path,
    file: &Path,
    lines: &Lines<'_>,
    text: &str,
    body: &[Stmt],
) -> Facts {
    let mut lower = Lower {
        lines,
        facts: Facts::default(),
        paths: PathScope::new(root, file),
    };
    let mut ops = Vec::new();
    lower.block(body, Context::TOP, &mut ops);
    lower.facts.ops = ops;
    let mut facts = lower.facts;
    scan::scan(&mut facts, lines, text, &lower.paths, body);
    facts
}

/// How a statement comes to run.
#[derive(Clone, Copy)]
struct Context {
    /// Why it may not run; `None`: it does.
    guard: Option<&'static str>,
    in_class: bool,
    in_try: bool,
}

impl Context {
    const TOP: Context = Context {
        guard: None,
        in_class: false,
        in_try: false,
    };

    fn guarded(self, reason: &'static str) -> Context {
        Context {
            guard: Some(self.guard.unwrap_or(reason)),
            ..self
        }
    }
}

struct Lower<'a> {
    lines: &'a Lines<'a>,
    facts: Facts,
    paths: PathScope<'a>,
}

impl Lower<'_> {
    fn block(&mut self, body: &[Stmt], cx: Context, ops: &mut Vec<Op>) {
        for stmt in body {
            if cx.in_try && !is_harmless(stmt) {
                ops.push(Op::MayRaise);
            }
            self.statement(stmt, cx, ops);
        }
    }

    fn statement(&mut self, stmt: &Stmt, cx: Context, ops: &mut Vec<Op>) {
        if let Some(folders) = self.paths.added_by(stmt) {
            ops.extend(folders.into_iter().map(Op::Path));
        }
        if cx.guard.is_none() && leaves(stmt) {
            ops.push(Op::Raise);
        }
        match stmt {
            Stmt::Import(stmt) => self.import(stmt, cx, ops),
            Stmt::ImportFrom(stmt) => self.import_from(stmt, cx, ops),
            Stmt::If(stmt) => self.branch(stmt, cx, ops),
            Stmt::Try(stmt) => self.attempt(stmt, cx, ops),
            Stmt::With(stmt) => self.with(stmt, cx, ops),
            Stmt::For(stmt) => {
                self.bind_target(&stmt.target, cx, Value::Other);
                self.repeat(&stmt.body, &stmt.orelse, cx, ops);
            }
            Stmt::While(stmt) => self.repeat(&stmt.body, &stmt.orelse, cx, ops),
            Stmt::Match(stmt) => {
                for case in &stmt.cases {
                    self.bind_pattern(&case.pattern, cx);
                    self.block(&case.body, cx.guarded("in a `match`"), ops);
                }
            }
            Stmt::ClassDef(stmt) => self.class(stmt, cx, ops),
            Stmt::FunctionDef(stmt) => self.function(stmt, cx),
            Stmt::Assign(stmt) => self.assign(stmt, cx),
            Stmt::AugAssign(stmt) => {
                if is_path(&stmt.target, &["__all__"]) {
                    self.facts.exports = Exports::Computed;
                }
                self.bind_target(&stmt.target, cx, Value::Other);
            }
            Stmt::AnnAssign(stmt) => self.annotated(stmt, cx),
            Stmt::TypeAlias(stmt) => self.bind_target(&stmt.name, cx, Value::Other),
            _ => {}
        }
    }

    fn with(&mut self, stmt: &ast::StmtWith, cx: Context, ops: &mut Vec<Op>) {
        for target in stmt
            .items
            .iter()
            .filter_map(|item| item.optional_vars.as_ref())
        {
            self.bind_target(target, cx, Value::Other);
        }
        self.block(&stmt.body, cx.guarded("in a `with` block"), ops);
    }

    fn repeat(&mut self, body: &[Stmt], orelse: &[Stmt], cx: Context, ops: &mut Vec<Op>) {
        self.block(body, cx.guarded("in a loop"), ops);
        self.block(orelse, cx.guarded("in a loop"), ops);
    }

    fn function(&mut self, stmt: &ast::StmtFunctionDef, cx: Context) {
        let name = stmt.name.as_str();
        if name == "__getattr__" && !cx.in_class {
            self.facts.dynamic = Some("the module has `__getattr__`");
        }
        self.bind(name, stmt.range, cx, definitions::function_value(stmt));
    }

    fn annotated(&mut self, stmt: &ast::StmtAnnAssign, cx: Context) {
        let Some(value) = &stmt.value else { return };
        if let Some(name) = stmt.target.as_name_expr() {
            self.paths.assign(name.id.as_str(), value);
            self.note_all(name.id.as_str(), value, cx);
        }
        self.bind_target(&stmt.target, cx, summary(value));
    }

    fn assign(&mut self, stmt: &ast::StmtAssign, cx: Context) {
        let value = if stmt.targets.len() == 1 {
            summary(&stmt.value)
        } else {
            Value::Other
        };
        for target in &stmt.targets {
            if let Some(name) = target.as_name_expr() {
                self.paths.assign(name.id.as_str(), &stmt.value);
                self.note_all(name.id.as_str(), &stmt.value, cx);
            }
            self.bind_target(target, cx, value.clone());
        }
    }

    fn note_all(&mut self, name: &str, value: &Expr, cx: Context) {
        if name != "__all__" || cx.in_class {
            return;
        }
        let items = match value {
            Expr::List(list) => Some(&list.elts),
            Expr::Tuple(tuple) => Some(&tuple.elts),
            _ => None,
        };
        let names: Option<Vec<String>> = items.and_then(|items| {
            let text = |item: &Expr| Some(item.as_string_literal_expr()?.value.to_str().to_owned());
            items.iter().map(text).collect()
        });
        self.facts.exports = match names {
            Some(names) if cx.guard.is_none() && self.facts.exports == Exports::Absent => {
                Exports::Names(names)
            }
            _ => Exports::Computed,
        };
    }

    fn import(&mut self, stmt: &ast::StmtImport, cx: Context, ops: &mut Vec<Op>) {
        for alias in &stmt.names {
            let module = alias.name.as_str().to_owned();
            self.add_import(alias.range, stmt.range, 0, module.clone(), None, cx, ops);
            let (name, bound) = match &alias.asname {
                Some(name) => (name.as_str(), module.clone()),
                None => {
                    let first = module.split('.').next().unwrap_or_default();
                    (first, first.to_owned())
                }
            };
            self.bind(name, stmt.range, cx, Value::Module(bound));
        }
    }

    fn import_from(&mut self, stmt: &ast::StmtImportFrom, cx: Context, ops: &mut Vec<Op>) {
        let module = stmt
            .module
            .as_ref()
            .map(|name| name.as_str().to_owned())
            .unwrap_or_default();
        if stmt.level == 0 && module == "__future__" {
            return;
        }
        let names: Vec<String> = stmt
            .names
            .iter()
            .map(|alias| alias.name.as_str().to_owned())
            .collect();
        let index = self.add_import(
            stmt.range,
            stmt.range,
            stmt.level,
            module,
            Some(names),
            cx,
            ops,
        );
        for alias in &stmt.names {
            if alias.name.as_str() == "*" {
                self.facts
                    .stars
                    .push((index, stmt.range.start().to_u32() + 1));
                continue;
            }
            let bound = alias.asname.as_ref().unwrap_or(&alias.name).as_str();
            let name = alias.name.as_str().to_owned();
            self.bind(
                bound,
                stmt.range,
                cx,
                Value::From {
                    import: index,
                    name,
                },
            );
        }
    }

    #[allow(clippy::too_many_arguments)] // one import statement has that many parts
    fn add_import(
        &mut self,
        place: TextRange,
        stmt: TextRange,
        level: u32,
        module: String,
        names: Option<Vec<String>>,
        cx: Context,
        ops: &mut Vec<Op>,
    ) -> usize {
        let place = self.lines.place(place.start().to_u32());
        let index = self.facts.imports.len();
        if let Some(reason) = cx.guard {
            self.facts.unjudged.push((reason, place, module.clone()));
        } else {
            ops.push(Op::Import(index));
        }
        self.facts.imports.push(Import {
            place,
            offset: stmt.start().to_u32() + 1,
            level,
            module,
            names,
            certain: cx.guard.is_none(),
        });
        index
    }

    fn branch(&mut self, stmt: &ast::StmtIf, cx: Context, ops: &mut Vec<Op>) {
        let typing = is_path(&stmt.test, &["TYPE_CHECKING"])
            || dotted(&stmt.test)
                .is_some_and(|path| path.last().is_some_and(|last| last == "TYPE_CHECKING"));
        if typing {
            // Names bound here exist for type checkers only.
            let nowhere = Context {
                in_class: true,
                ..cx.guarded("under TYPE_CHECKING")
            };
            self.block(&stmt.body, nowhere, &mut Vec::new());
        } else {
            self.block(&stmt.body, cx.guarded("under an `if`"), ops);
        }
        let mut cx = cx;
        if !typing || stmt.elif_else_clauses.len() > 1 {
            cx = cx.guarded("under an `if`");
        }
        for clause in &stmt.elif_else_clauses {
            let cx = if clause.test.is_some() {
                cx.guarded("under an `if`")
            } else {
                cx
            };
            self.block(&clause.body, cx, ops);
        }
    }

    fn attempt(&mut self, stmt: &ast::StmtTry, cx: Context, ops: &mut Vec<Op>) {
        let mut parts = Try {
            body: Vec::new(),
            handlers: Vec::new(),
            orelse: Vec::new(),
            finalbody: Vec::new(),
        };
        let inside = Context { in_try: true, ..cx };
        self.block(&stmt.body, inside, &mut parts.body);
        for handler in &stmt.handlers {
            let mut steps = Vec::new();
            let ast::ExceptHandler::ExceptHandler(inner) = handler;
            if let Some(name) = &inner.name {
                self.bind(name.as_str(), inner.range, cx, Value::Other);
            }
            self.block(&inner.body, cx, &mut steps);
            let takes = if stmt.is_star {
                Catches::Unknown
            } else {
                catches(handler)
            };
            parts.handlers.push((takes, steps));
        }
        self.block(&stmt.orelse, inside, &mut parts.orelse);
        self.block(&stmt.finalbody, cx, &mut parts.finalbody);
        ops.push(Op::Try(Box::new(parts)));
    }

    fn class(&mut self, stmt: &ast::StmtClassDef, cx: Context, ops: &mut Vec<Op>) {
        if !cx.in_class {
            let line = self.lines.place(stmt.name.range.start().to_u32()).line;
            let class = definitions::class(stmt, line);
            let index = self.facts.classes.len();
            self.facts.classes.push(class);
            self.bind(stmt.name.as_str(), stmt.range, cx, Value::Class(index));
        }
        self.block(
            &stmt.body,
            Context {
                in_class: true,
                ..cx
            },
            ops,
        );
    }

    fn bind(&mut self, name: &str, range: TextRange, cx: Context, value: Value) {
        if !cx.in_class {
            let offset = range.start().to_u32() + 1;
            self.facts.bind(name, offset, value);
        }
    }

    fn bind_target(&mut self, target: &Expr, cx: Context, value: Value) {
        match target {
            Expr::Name(name) => self.bind(name.id.as_str(), target.range(), cx, value),
            Expr::Starred(starred) => self.bind_target(&starred.value, cx, Value::Other),
            Expr::Tuple(tuple) => tuple
                .elts
                .iter()
                .for_each(|one| self.bind_target(one, cx, Value::Other)),
            Expr::List(list) => list
                .elts
                .iter()
                .for_each(|one| self.bind_target(one, cx, Value::Other)),
            _ => {}
        }
    }

    fn bind_pattern(&mut self, pattern: &ast::Pattern, cx: Context) {
        for name in locals::captures(pattern) {
            self.bind(&name, pattern.range(), cx, Value::Other);
        }
    }
}
