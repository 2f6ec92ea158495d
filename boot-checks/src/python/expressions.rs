//! Small questions about expressions.

use ruff_python_ast::{ExceptHandler, Expr, Stmt};

use super::facts::{Catches, Value};

/// Longest dotted path that is followed.
const MAX_PARTS: usize = 16;

/// `a.b.c` as its parts; `None` for anything else.
pub(super) fn dotted(expr: &Expr) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut at = expr;
    loop {
        match at {
            Expr::Attribute(attribute) if parts.len() < MAX_PARTS => {
                parts.push(attribute.attr.as_str().to_owned());
                at = &attribute.value;
            }
            Expr::Name(name) => {
                parts.push(name.id.as_str().to_owned());
                parts.reverse();
                return Some(parts);
            }
            _ => return None,
        }
    }
}

/// Whether an expression is exactly this dotted path.
pub(super) fn is_path(expr: &Expr, path: &[&str]) -> bool {
    dotted(expr).is_some_and(|parts| parts == path)
}

/// What a value is, as far as one expression tells.
pub(super) fn summary(expr: &Expr) -> Value {
    match expr {
        Expr::NoneLiteral(_) => Value::Nothing,
        Expr::Call(call) => dotted(&call.func).map_or(Value::Other, Value::Call),
        Expr::Name(_) | Expr::Attribute(_) => dotted(expr).map_or(Value::Other, Value::Alias),
        _ => Value::Other,
    }
}

/// Which failures of an import a handler takes.
pub(super) fn catches(handler: &ExceptHandler) -> Catches {
    let ExceptHandler::ExceptHandler(handler) = handler;
    let Some(kind) = &handler.type_ else {
        return Catches::Everything;
    };
    match kind.as_ref() {
        Expr::Tuple(tuple) => tuple
            .elts
            .iter()
            .map(one_kind)
            .fold(Catches::Nothing, widest),
        other => one_kind(other),
    }
}

fn one_kind(expr: &Expr) -> Catches {
    let Some(path) = dotted(expr) else {
        return Catches::Unknown;
    };
    match path.last().map(String::as_str) {
        Some("Exception" | "BaseException") => Catches::Everything,
        Some("ImportError") => Catches::ImportError,
        Some("ModuleNotFoundError") => Catches::ModuleNotFound,
        Some("SyntaxError") => Catches::SyntaxError,
        Some(
            "ValueError"
            | "KeyError"
            | "TypeError"
            | "AttributeError"
            | "OSError"
            | "IOError"
            | "IndexError"
            | "NameError"
            | "RuntimeError"
            | "FileNotFoundError"
            | "PermissionError"
            | "LookupError"
            | "NotImplementedError"
            | "AssertionError"
            | "UnicodeDecodeError"
            | "UnicodeEncodeError"
            | "ConnectionError"
            | "TimeoutError"
            | "KeyboardInterrupt"
            | "SystemExit"
            | "StopIteration",
        ) if path.len() == 1 => Catches::Nothing,
        _ => Catches::Unknown,
    }
}

fn widest(a: Catches, b: Catches) -> Catches {
    use Catches::{Everything, ImportError, ModuleNotFound, Nothing, SyntaxError, Unknown};
    match (a, b) {
        (Everything, _) | (_, Everything) => Everything,
        (Nothing, other) | (other, Nothing) => other,
        (ImportError, ModuleNotFound) | (ModuleNotFound, ImportError) => ImportError,
        (a, b) if a == b => a,
        (SyntaxError, _) | (_, SyntaxError) => Everything,
        _ => Unknown,
    }
}

/// Whether a statement ends the process or the module.
pub(super) fn leaves(stmt: &Stmt) -> bool {
    match stmt {
        Stmt::Raise(_) => true,
        Stmt::Expr(stmt) => stmt.value.as_call_expr().is_some_and(|call| {
            [
                ["sys", "exit"].as_slice(),
                &["exit"],
                &["quit"],
                &["os", "_exit"],
            ]
            .iter()
            .any(|path| is_path(&call.func, path))
        }),
        _ => false,
    }
}

/// Whether a statement of a `try` body can do nothing but bind names.
pub(super) fn is_harmless(stmt: &Stmt) -> bool {
    match stmt {
        Stmt::Import(_) | Stmt::ImportFrom(_) | Stmt::Pass(_) | Stmt::Try(_) | Stmt::Global(_) => {
            true
        }
        Stmt::FunctionDef(function) => function.decorator_list.is_empty(),
        Stmt::Assign(assign) => {
            assign.targets.iter().all(Expr::is_name_expr)
                && (assign.value.is_literal_expr() || assign.value.is_name_expr())
        }
        Stmt::Expr(stmt) => stmt.value.is_literal_expr(),
        _ => false,
    }
}
