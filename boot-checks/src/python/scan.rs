//! The second look at a file: functions, classes and expressions, wherever they stand.

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{self as ast, Expr, ExprContext, Stmt};

use super::calls::lone_call;
use super::expressions::{dotted, is_path, summary};
use super::facts::{Facts, Op, Value};
use super::locals;
use super::paths::PathScope;
use super::place::Lines;
use super::scope::Scopes;

/// Deepest nesting of statements and expressions that is looked at; CPython itself stops far earlier.
const MAX_DEPTH: usize = 2_000;

/// Adds to `facts` what the whole file says.
pub(super) fn scan(
    facts: &mut Facts,
    lines: &Lines<'_>,
    text: &str,
    paths: &PathScope<'_>,
    body: &[Stmt],
) {
    let mut scan = Scan {
        facts,
        lines,
        text,
        paths,
        scopes: Scopes::new(),
        depth: 0,
        next_class: 0,
    };
    scan.visit_body(body);
}

struct Scan<'a> {
    facts: &'a mut Facts,
    lines: &'a Lines<'a>,
    text: &'a str,
    paths: &'a PathScope<'a>,
    scopes: Scopes,
    depth: usize,
    next_class: usize,
}

impl<'a> Visitor<'a> for Scan<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        if self.depth > MAX_DEPTH {
            return;
        }
        self.depth += 1;
        self.statement(stmt);
        self.depth -= 1;
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        if self.depth > MAX_DEPTH {
            return;
        }
        self.depth += 1;
        self.expression(expr);
        visitor::walk_expr(self, expr);
        self.depth -= 1;
    }

    fn visit_annotation(&mut self, _: &'a Expr) {}
}

impl Scan<'_> {
    fn statement(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::FunctionDef(function) => return self.function(function),
            Stmt::ClassDef(class) => return self.class(class),
            Stmt::Global(global) => {
                for name in &global.names {
                    self.facts.bind(name.as_str(), 0, Value::Nothing);
                    self.scopes.declare_global(name.as_str());
                }
            }
            Stmt::Expr(one) => {
                if let Some(call) = one.value.as_call_expr() {
                    let call = lone_call(call, &self.scopes, self.lines, self.text);
                    self.facts.calls.extend(call);
                }
                if !self.scopes.is_module()
                    && let Some(folders) = self.paths.added_by(stmt)
                {
                    // A function may be called while the module is imported.
                    let ops = folders.into_iter().map(Op::Path);
                    self.facts.ops.splice(0..0, ops);
                }
            }
            Stmt::Assign(assign) => return self.assign(assign),
            Stmt::AnnAssign(assign) if assign.value.is_none() => return,
            _ => {}
        }
        visitor::walk_stmt(self, stmt);
    }

    fn assign(&mut self, assign: &ast::StmtAssign) {
        for target in &assign.targets {
            let value = if assign.targets.len() == 1 {
                summary(&assign.value)
            } else {
                Value::Other
            };
            if !self.assigned(target, value) {
                self.visit_expr(target);
            }
        }
        self.visit_expr(&assign.value);
    }

    /// Notes `self.x = …` and a global that a function assigns; says whether the target was one of these.
    fn assigned(&mut self, target: &Expr, value: Value) -> bool {
        let value = self.scopes.outside(value);
        match target {
            Expr::Attribute(attribute) => match attribute.value.as_name_expr() {
                Some(name) => self.set_instance(name.id.as_str(), attribute.attr.as_str(), value),
                None => false,
            },
            Expr::Name(name) if self.scopes.is_global(name.id.as_str()) => {
                self.facts.bind(name.id.as_str(), 0, value);
                true
            }
            _ => false,
        }
    }

    fn set_instance(&mut self, object: &str, attribute: &str, value: Value) -> bool {
        let Some(class) = self.scopes.class_of(object) else {
            return false;
        };
        if let Some(class) = self.facts.classes.get_mut(class) {
            class
                .instance
                .entry(attribute.to_owned())
                .or_default()
                .push(value);
        }
        true
    }

    fn function(&mut self, function: &ast::StmtFunctionDef) {
        for decorator in &function.decorator_list {
            self.visit_decorator(decorator);
        }
        self.visit_parameters(&function.parameters);
        let is_static = function
            .decorator_list
            .iter()
            .any(|one| is_path(&one.expression, &["staticmethod"]));
        let first = function
            .parameters
            .iter_non_variadic_params()
            .next()
            .filter(|_| !is_static)
            .map(|first| first.parameter.name.as_str());
        let locals = locals::of_function(function, &mut self.facts.imports, self.lines);
        self.scopes.enter_function(function.is_async, locals, first);
        self.visit_body(&function.body);
        self.scopes.leave();
    }

    fn class(&mut self, class: &ast::StmtClassDef) {
        for decorator in &class.decorator_list {
            self.visit_decorator(decorator);
        }
        if let Some(arguments) = &class.arguments {
            self.visit_arguments(arguments);
        }
        let line = self.lines.place(class.name.range.start().to_u32()).line;
        let known = self.facts.classes.get(self.next_class);
        let index = known
            .filter(|known| known.line == line && known.name == class.name.as_str())
            .map(|_| self.next_class);
        self.next_class += usize::from(index.is_some());
        self.scopes.enter_class(index);
        self.visit_body(&class.body);
        self.scopes.leave();
    }

    fn expression(&mut self, expr: &Expr) {
        match expr {
            Expr::Attribute(attribute) => {
                let name = attribute.attr.as_str();
                if attribute.ctx != ExprContext::Load {
                    self.attribute_set(attribute);
                } else if matches!(name, "meta_path" | "path_hooks")
                    && is_path(&attribute.value, &["sys"])
                {
                    self.facts.import_hook = true;
                }
            }
            Expr::Subscript(subscript)
                if subscript.ctx != ExprContext::Load
                    && is_path(&subscript.value, &["sys", "modules"]) =>
            {
                self.fake_module(&subscript.slice);
            }
            Expr::Name(name) if name.ctx != ExprContext::Load && name.id.as_str() == "__path__" => {
                self.facts.dynamic_path = true;
            }
            Expr::Named(named) if self.scopes.is_module() => {
                if let Some(name) = named.target.as_name_expr() {
                    let at = named.range.start().to_u32() + 1;
                    self.facts.bind(name.id.as_str(), at, Value::Other);
                }
            }
            Expr::Call(call) => self.call(call),
            _ => {}
        }
    }

    fn attribute_set(&mut self, attribute: &ast::ExprAttribute) {
        let name = attribute.attr.as_str();
        let own = attribute
            .value
            .as_name_expr()
            .is_some_and(|object| self.set_instance(object.id.as_str(), name, Value::Other));
        if !own {
            self.facts.foreign_attributes.insert(name.to_owned());
        }
    }

    fn fake_module(&mut self, key: &Expr) {
        if is_path(key, &["__name__"]) {
            self.facts.dynamic = Some("the module replaces itself in `sys.modules`");
        } else if let Some(text) = key.as_string_literal_expr() {
            self.facts
                .fake_modules
                .push(Some(text.value.to_str().to_owned()));
        } else if self.scopes.is_module() {
            self.facts.fake_modules.push(None);
        }
    }

    fn call(&mut self, call: &ast::ExprCall) {
        for keyword in &call.arguments.keywords {
            if keyword.arg.as_deref() == Some("backref") {
                self.backref(&keyword.value);
            }
        }
        let Some(path) = dotted(&call.func) else {
            return;
        };
        let args = &call.arguments.args;
        match path
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .as_slice()
        {
            ["globals" | "exec"] => {
                self.facts.dynamic = Some("the module writes to its own namespace")
            }
            ["vars" | "locals"] if self.scopes.is_module() && args.is_empty() => {
                self.facts.dynamic = Some("the module writes to its own namespace");
            }
            ["setattr"] => self.setattr(args),
            ["backref"] => args.iter().take(1).for_each(|name| self.backref(name)),
            ["sys", "modules", "setdefault"] => {
                args.iter().take(1).for_each(|key| self.fake_module(key))
            }
            ["sys", "modules", "update"] => self.facts.fake_modules.push(None),
            [.., "extend_path"] => self.facts.dynamic_path = true,
            _ => {}
        }
    }

    /// A name that an object-relational mapper adds to the class at the other end.
    fn backref(&mut self, name: &Expr) {
        if let Some(text) = name.as_string_literal_expr() {
            self.facts.backrefs.insert(text.value.to_str().to_owned());
        }
    }

    fn setattr(&mut self, args: &[Expr]) {
        if let Some(name) = args.get(1).and_then(Expr::as_string_literal_expr) {
            let name = name.value.to_str().to_owned();
            self.facts.foreign_attributes.insert(name);
        } else if args.first().is_some_and(|object| self.is_module(object)) {
            self.facts.fake_modules.push(None);
        }
    }

    /// Whether an object may be a module: a name that an import binds, or an entry such as `sys.modules[x]`.
    fn is_module(&self, object: &Expr) -> bool {
        object.is_subscript_expr()
            || object.as_name_expr().is_some_and(|name| {
                self.facts
                    .bindings
                    .get(name.id.as_str())
                    .into_iter()
                    .flatten()
                    .any(|binding| matches!(binding.value, Value::Module(_)))
            })
    }
}
