//! What the body of one function or class binds, without the functions in it.

use std::collections::HashMap;

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{self as ast, Expr, ExprContext, Stmt};

use super::definitions::function_value;
use super::expressions::summary;
use super::facts::{Import, Value};
use super::place::Lines;

/// Names that a function binds; its imports join those of the file.
pub(super) fn of_function(
    function: &ast::StmtFunctionDef,
    imports: &mut Vec<Import>,
    lines: &Lines<'_>,
) -> HashMap<String, Vec<Value>> {
    let mut locals = Locals {
        names: HashMap::new(),
        imports: Some((imports, lines)),
    };
    for parameter in function.parameters.iter() {
        locals.add(parameter.name().as_str(), Value::Other);
    }
    locals.visit_body(&function.body);
    locals.names
}

/// Names that the body of a class binds.
pub(super) fn of_class(body: &[Stmt]) -> HashMap<String, Vec<Value>> {
    let mut locals = Locals {
        names: HashMap::new(),
        imports: None,
    };
    locals.visit_body(body);
    for stmt in body {
        // An annotation alone declares a field of a record.
        if let Stmt::AnnAssign(stmt) = stmt
            && let (Some(name), None) = (stmt.target.as_name_expr(), &stmt.value)
        {
            locals.add(name.id.as_str(), Value::Other);
        }
    }
    locals.names
}

/// Names that a pattern captures.
pub(super) fn captures(pattern: &ast::Pattern) -> Vec<String> {
    struct Names(Vec<String>);
    impl<'a> Visitor<'a> for Names {
        fn visit_pattern(&mut self, pattern: &'a ast::Pattern) {
            let name = match pattern {
                ast::Pattern::MatchAs(one) => one.name.as_ref(),
                ast::Pattern::MatchStar(one) => one.name.as_ref(),
                ast::Pattern::MatchMapping(one) => one.rest.as_ref(),
                _ => None,
            };
            self.0.extend(name.map(|name| name.as_str().to_owned()));
            visitor::walk_pattern(self, pattern);
        }
    }
    let mut names = Names(Vec::new());
    names.visit_pattern(pattern);
    names.0
}

/// Collects what one function or class body binds, without entering the functions in it.
struct Locals<'f> {
    names: HashMap<String, Vec<Value>>,
    imports: Option<(&'f mut Vec<Import>, &'f Lines<'f>)>,
}

impl Locals<'_> {
    fn add(&mut self, name: &str, value: Value) {
        self.names.entry(name.to_owned()).or_default().push(value);
    }

    fn import(&mut self, import: &ast::StmtImport) {
        for alias in &import.names {
            let module = alias.name.as_str().to_owned();
            let first = module.split('.').next().unwrap_or_default().to_owned();
            self.note_import(0, module.clone(), None, alias.range.start().to_u32());
            match &alias.asname {
                Some(name) => self.add(name.as_str(), Value::Module(module)),
                None => self.add(&first, Value::Module(first.clone())),
            }
        }
    }

    fn import_from(&mut self, import: &ast::StmtImportFrom) {
        let module = import
            .module
            .as_ref()
            .map(|name| name.as_str().to_owned())
            .unwrap_or_default();
        let names = import
            .names
            .iter()
            .map(|alias| alias.name.as_str().to_owned())
            .collect();
        let at = import.range.start().to_u32();
        let index = self.note_import(import.level, module, Some(names), at);
        for alias in &import.names {
            let name = alias.name.as_str().to_owned();
            let value = index.map_or(Value::Other, |import| Value::From { import, name });
            self.add(alias.asname.as_ref().unwrap_or(&alias.name).as_str(), value);
        }
    }

    /// The index of the import among the file's; `None` in the body of a class, whose imports run with the module's.
    fn note_import(
        &mut self,
        level: u32,
        module: String,
        names: Option<Vec<String>>,
        at: u32,
    ) -> Option<usize> {
        let (imports, lines) = self.imports.as_mut()?;
        imports.push(Import {
            place: lines.place(at),
            offset: at,
            level,
            module,
            names,
            certain: false,
        });
        Some(imports.len() - 1)
    }
}

impl<'a> Visitor<'a> for Locals<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(function) => {
                self.add(function.name.as_str(), function_value(function))
            }
            Stmt::ClassDef(class) => self.add(class.name.as_str(), Value::Other),
            Stmt::Import(import) => self.import(import),
            Stmt::ImportFrom(import) => self.import_from(import),
            Stmt::Assign(assign)
                if assign.targets.len() == 1 && assign.targets[0].is_name_expr() =>
            {
                if let Some(name) = assign.targets[0].as_name_expr() {
                    self.add(name.id.as_str(), summary(&assign.value));
                }
                self.visit_expr(&assign.value);
            }
            Stmt::Match(one) => {
                for case in &one.cases {
                    captures(&case.pattern)
                        .iter()
                        .for_each(|name| self.add(name, Value::Other));
                }
                visitor::walk_stmt(self, stmt);
            }
            Stmt::AnnAssign(one) if one.value.is_none() => {}
            _ => visitor::walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Name(name) if name.ctx != ExprContext::Load => {
                self.add(name.id.as_str(), Value::Other)
            }
            _ => visitor::walk_expr(self, expr),
        }
    }

    fn visit_except_handler(&mut self, handler: &'a ast::ExceptHandler) {
        let ast::ExceptHandler::ExceptHandler(inner) = handler;
        if let Some(name) = &inner.name {
            self.add(name.as_str(), Value::Other);
        }
        visitor::walk_except_handler(self, handler);
    }
}
