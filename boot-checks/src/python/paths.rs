//! Folders that a file adds to `sys.path`, where they can be known without running it.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use ruff_python_ast::{Expr, Operator, Stmt};

use super::expressions::dotted;

/// Longest chain of calls that is followed in one expression.
const MAX_DEPTH: usize = 32;

/// Values of names that hold a path, while one file is read from top to bottom.
pub(super) struct PathScope<'a> {
    root: &'a Path,
    file: &'a Path,
    known: HashMap<String, PathBuf>,
}

impl<'a> PathScope<'a> {
    pub(super) fn new(root: &'a Path, file: &'a Path) -> PathScope<'a> {
        PathScope {
            root,
            file,
            known: HashMap::new(),
        }
    }

    /// Remembers a name that is assigned a path.
    pub(super) fn assign(&mut self, name: &str, value: &Expr) {
        match self.eval(value, 0) {
            Some(path) => self.known.insert(name.to_owned(), path),
            None => self.known.remove(name),
        };
    }

    /// The folders that a statement adds to `sys.path`: `None` when it adds none, an inner `None` for one not known.
    pub(super) fn added_by(&self, stmt: &Stmt) -> Option<Vec<Option<PathBuf>>> {
        match stmt {
            Stmt::Expr(stmt) => {
                let call = stmt.value.as_call_expr()?;
                let path = dotted(&call.func)?;
                let args = &call.arguments.args;
                match path
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .as_slice()
                {
                    ["sys", "path", "insert"] => {
                        Some(vec![args.get(1).and_then(|arg| self.folder(arg))])
                    }
                    ["sys", "path", "append"] | ["site", "addsitedir"] => {
                        Some(vec![args.first().and_then(|arg| self.folder(arg))])
                    }
                    ["sys", "path", "extend"] => Some(self.folders(args.first()?)),
                    _ => None,
                }
            }
            Stmt::AugAssign(stmt) if is_sys_path(&stmt.target) => Some(self.folders(&stmt.value)),
            Stmt::Assign(stmt) if stmt.targets.iter().any(is_sys_path) => Some(vec![None]),
            _ => None,
        }
    }

    fn folders(&self, list: &Expr) -> Vec<Option<PathBuf>> {
        let items = match list {
            Expr::List(list) => &list.elts,
            Expr::Tuple(tuple) => &tuple.elts,
            _ => return vec![None],
        };
        items.iter().map(|item| self.folder(item)).collect()
    }

    fn folder(&self, expr: &Expr) -> Option<PathBuf> {
        Some(normalise(&self.root.join(self.eval(expr, 0)?)))
    }

    fn eval(&self, expr: &Expr, depth: usize) -> Option<PathBuf> {
        if depth > MAX_DEPTH {
            return None;
        }
        let eval = |expr: &Expr| self.eval(expr, depth + 1);
        match expr {
            Expr::StringLiteral(text) => Some(PathBuf::from(text.value.to_str())),
            Expr::Name(name) if name.id.as_str() == "__file__" => Some(self.file.to_owned()),
            Expr::Name(name) => self.known.get(name.id.as_str()).cloned(),
            Expr::Attribute(attribute) if attribute.attr.as_str() == "parent" => {
                parent(&eval(&attribute.value)?)
            }
            Expr::Attribute(attribute) if dotted(expr)? == ["os", "pardir"] => {
                let _ = attribute;
                Some(PathBuf::from(".."))
            }
            Expr::Subscript(subscript) => {
                let parents = subscript.value.as_attribute_expr()?;
                let number = subscript
                    .slice
                    .as_number_literal_expr()?
                    .value
                    .as_int()?
                    .as_usize()?;
                if parents.attr.as_str() != "parents" || number > MAX_DEPTH {
                    return None;
                }
                let start = eval(&parents.value)?;
                (0..=number).try_fold(start, |path, _| parent(&path))
            }
            Expr::BinOp(op) if op.op == Operator::Div => {
                Some(eval(&op.left)?.join(eval(&op.right)?))
            }
            Expr::Call(call) => self.eval_call(call, depth),
            _ => None,
        }
    }

    fn eval_call(&self, call: &ruff_python_ast::ExprCall, depth: usize) -> Option<PathBuf> {
        let eval = |expr: &Expr| self.eval(expr, depth + 1);
        let args = &call.arguments.args;
        let joined = |start: PathBuf, rest: &[Expr]| {
            rest.iter()
                .try_fold(start, |path, part| Some(path.join(eval(part)?)))
        };
        if let Some(path) = dotted(&call.func) {
            match path
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .as_slice()
            {
                ["str"]
                | ["os", "fspath"]
                | ["os", "path", "abspath" | "realpath" | "normpath"] => {
                    return eval(args.first()?);
                }
                ["os", "path", "dirname"] => return parent(&eval(args.first()?)?),
                ["os", "path", "join"] | ["Path"] | ["pathlib", "Path"] => {
                    return joined(eval(args.first()?)?, args.get(1..)?);
                }
                ["os", "getcwd"] | ["Path", "cwd"] | ["pathlib", "Path", "cwd"] => {
                    return Some(self.root.to_owned());
                }
                _ => {}
            }
        }
        let method = call.func.as_attribute_expr()?;
        match method.attr.as_str() {
            "resolve" | "absolute" | "as_posix" | "__str__" => eval(&method.value),
            "joinpath" => joined(eval(&method.value)?, args),
            _ => None,
        }
    }
}

fn is_sys_path(expr: &Expr) -> bool {
    let expr = expr
        .as_subscript_expr()
        .map_or(expr, |subscript| &subscript.value);
    dotted(expr).is_some_and(|path| path == ["sys", "path"])
}

fn parent(path: &Path) -> Option<PathBuf> {
    if path.file_name().is_some() {
        return path.parent().map(Path::to_owned);
    }
    Some(path.join(".."))
}

/// Removes `.` and `..` without asking the disk.
pub(super) fn normalise(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                result.pop();
            }
            other => result.push(other),
        }
    }
    result
}
