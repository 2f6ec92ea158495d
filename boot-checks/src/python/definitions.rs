//! What the definition of a function or a class says.

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{self as ast, Expr, Stmt};

use super::expressions::dotted;
use super::facts::{Class, Value};
use super::locals;

/// What a definition of a function binds.
pub(super) fn function_value(stmt: &ast::StmtFunctionDef) -> Value {
    let plain = stmt.decorator_list.iter().all(|one| {
        dotted(&one.expression)
            .and_then(|path| path.last().cloned())
            .is_some_and(|name| {
                matches!(
                    name.as_str(),
                    "staticmethod" | "classmethod" | "abstractmethod" | "override" | "final"
                )
            })
    });
    Value::Function {
        is_coroutine: stmt.is_async && !has_yield(&stmt.body),
        plain,
    }
}

/// The class that a definition makes; `line` is that of its name.
pub(super) fn class(stmt: &ast::StmtClassDef, line: u32) -> Class {
    let mut class = Class {
        name: stmt.name.as_str().to_owned(),
        line,
        altered: stmt
            .decorator_list
            .iter()
            .any(|one| !is_plain_class_decorator(&one.expression)),
        body: locals::of_class(&stmt.body),
        ..Class::default()
    };
    if let Some(arguments) = &stmt.arguments {
        class.bases = arguments.args.iter().map(base_path).collect();
        class.altered |= arguments.keywords.iter().any(|keyword| {
            keyword
                .arg
                .as_ref()
                .is_none_or(|name| name.as_str() == "metaclass")
        });
    }
    class
}

/// `Base`, `module.Base` or `Base[T]`.
fn base_path(base: &Expr) -> Option<Vec<String>> {
    dotted(
        base.as_subscript_expr()
            .map_or(base, |subscript| &subscript.value),
    )
}

/// Decorators that give back the class they get.
fn is_plain_class_decorator(expr: &Expr) -> bool {
    let target = expr.as_call_expr().map_or(expr, |call| &call.func);
    dotted(target)
        .and_then(|path| path.last().cloned())
        .is_some_and(|name| {
            matches!(
                name.as_str(),
                "dataclass" | "final" | "runtime_checkable" | "total_ordering" | "unique"
            )
        })
}

fn has_yield(body: &[Stmt]) -> bool {
    struct Finder(bool);
    impl<'a> Visitor<'a> for Finder {
        fn visit_stmt(&mut self, stmt: &'a Stmt) {
            if !matches!(stmt, Stmt::FunctionDef(_) | Stmt::ClassDef(_)) {
                visitor::walk_stmt(self, stmt);
            }
        }
        fn visit_expr(&mut self, expr: &'a Expr) {
            match expr {
                Expr::Yield(_) | Expr::YieldFrom(_) => self.0 = true,
                Expr::Lambda(_) => {}
                _ => visitor::walk_expr(self, expr),
            }
        }
    }
    let mut finder = Finder(false);
    finder.visit_body(body);
    finder.0
}
