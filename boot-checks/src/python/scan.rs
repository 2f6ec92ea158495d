//! The second look at a file: functions, classes and expressions, wherever they stand.

use std::collections::{HashMap, HashSet};

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{self as ast, Expr, ExprContext, Stmt};
use ruff_text_size::Ranged;

use super::facts::{Binding, Call, CallTarget, Facts, Import, Op, Value};
use super::names::{dotted, is_path, summary};
use super::paths::PathScope;
use super::place::Lines;

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
        scopes: vec![Scope::default()],
        depth: 0,
        next_class: 0,
    };
    scan.visit_body(body);
}

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

/// Decorators that give back the class they get.
pub(super) fn is_plain_class_decorator(expr: &Expr) -> bool {
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

/// Names that the body of a class binds.
pub(super) fn class_body(body: &[Stmt], names: &mut HashMap<String, Vec<Value>>) {
    let mut locals = Locals {
        names,
        imports: None,
    };
    locals.visit_body(body);
    for stmt in body {
        // An annotation alone declares a field of a record.
        if let Stmt::AnnAssign(stmt) = stmt
            && let (Some(name), None) = (stmt.target.as_name_expr(), &stmt.value)
        {
            names
                .entry(name.id.as_str().to_owned())
                .or_default()
                .push(Value::Other);
        }
    }
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

/// Collects what one function or class body binds, without entering the functions in it.
struct Locals<'n, 'f> {
    names: &'n mut HashMap<String, Vec<Value>>,
    imports: Option<(&'f mut Vec<Import>, &'f Lines<'f>)>,
}

impl Locals<'_, '_> {
    fn add(&mut self, name: &str, value: Value) {
        self.names.entry(name.to_owned()).or_default().push(value);
    }

    fn import(
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

impl<'a> Visitor<'a> for Locals<'_, '_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(function) => {
                self.add(function.name.as_str(), function_value(function))
            }
            Stmt::ClassDef(class) => self.add(class.name.as_str(), Value::Other),
            Stmt::Import(import) => {
                for alias in &import.names {
                    let module = alias.name.as_str().to_owned();
                    let first = module.split('.').next().unwrap_or_default().to_owned();
                    self.import(0, module.clone(), None, alias.range.start().to_u32());
                    match &alias.asname {
                        Some(name) => self.add(name.as_str(), Value::Module(module)),
                        None => self.add(&first, Value::Module(first.clone())),
                    }
                }
            }
            Stmt::ImportFrom(import) => {
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
                let index = self.import(
                    import.level,
                    module,
                    Some(names),
                    import.range.start().to_u32(),
                );
                for alias in &import.names {
                    let name = alias.name.as_str().to_owned();
                    let value = index.map_or(Value::Other, |import| Value::From { import, name });
                    self.add(alias.asname.as_ref().unwrap_or(&alias.name).as_str(), value);
                }
            }
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

/// A scope that encloses the place that is looked at; the first is the module.
#[derive(Default)]
struct Scope {
    kind: ScopeKind,
    locals: HashMap<String, Vec<Value>>,
    globals: HashSet<String>,
    /// The class whose body or method this is, by index.
    class: Option<usize>,
    /// The first parameter of a method.
    self_name: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum ScopeKind {
    #[default]
    Module,
    Class,
    Function {
        is_async: bool,
    },
}

struct Scan<'a> {
    facts: &'a mut Facts,
    lines: &'a Lines<'a>,
    text: &'a str,
    paths: &'a PathScope<'a>,
    scopes: Vec<Scope>,
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
                    self.bind_module(name.as_str(), Value::Nothing);
                    if let Some(scope) = self.scopes.last_mut() {
                        scope.globals.insert(name.as_str().to_owned());
                    }
                }
            }
            Stmt::Expr(one) => {
                if let Some(call) = one.value.as_call_expr() {
                    self.lone_call(call);
                }
                if self.scopes.len() > 1
                    && let Some(folders) = self.paths.added_by(stmt)
                {
                    // A function may be called while the module is imported.
                    let ops = folders.into_iter().map(Op::Path);
                    self.facts.ops.splice(0..0, ops);
                }
            }
            Stmt::Assign(assign) => {
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
                return;
            }
            Stmt::AnnAssign(assign) if assign.value.is_none() => return,
            _ => {}
        }
        visitor::walk_stmt(self, stmt);
    }

    /// Notes `self.x = …` and a global that a function assigns; says whether the target was one of these.
    fn assigned(&mut self, target: &Expr, value: Value) -> bool {
        let in_scope = self.in_scope(value);
        match target {
            Expr::Attribute(attribute) => match attribute.value.as_name_expr() {
                Some(name) => {
                    self.set_instance(name.id.as_str(), attribute.attr.as_str(), in_scope)
                }
                None => false,
            },
            Expr::Name(name)
                if self
                    .scopes
                    .last()
                    .is_some_and(|scope| scope.globals.contains(name.id.as_str())) =>
            {
                self.bind_module(name.id.as_str(), in_scope);
                true
            }
            _ => false,
        }
    }

    /// A value whose first name belongs to a function says nothing outside of it.
    fn in_scope(&self, value: Value) -> Value {
        let (Value::Call(path) | Value::Alias(path)) = &value else {
            return value;
        };
        let local = path.first().is_some_and(|first| {
            self.scopes
                .iter()
                .skip(1)
                .any(|scope| scope.locals.contains_key(first) && scope.kind != ScopeKind::Class)
        });
        if local { Value::Other } else { value }
    }

    fn set_instance(&mut self, object: &str, attribute: &str, value: Value) -> bool {
        let method = self
            .scopes
            .iter()
            .rev()
            .find(|scope| scope.self_name.as_deref() == Some(object));
        let Some(class) = method.and_then(|scope| scope.class) else {
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

    fn bind_module(&mut self, name: &str, value: Value) {
        self.facts
            .bindings
            .entry(name.to_owned())
            .or_default()
            .push(Binding { offset: 0, value });
    }

    fn function(&mut self, function: &ast::StmtFunctionDef) {
        for decorator in &function.decorator_list {
            self.visit_decorator(decorator);
        }
        self.visit_parameters(&function.parameters);
        let mut scope = Scope {
            kind: ScopeKind::Function {
                is_async: function.is_async,
            },
            ..Scope::default()
        };
        let outer = self.scopes.last().map(|scope| (scope.kind, scope.class));
        if let Some((ScopeKind::Class, Some(class))) = outer {
            let is_static = function
                .decorator_list
                .iter()
                .any(|one| is_path(&one.expression, &["staticmethod"]));
            scope.class = Some(class);
            scope.self_name = function
                .parameters
                .iter_non_variadic_params()
                .next()
                .filter(|_| !is_static)
                .map(|first| first.parameter.name.as_str().to_owned());
        }
        let mut locals = HashMap::new();
        for parameter in function.parameters.iter() {
            locals.insert(parameter.name().as_str().to_owned(), vec![Value::Other]);
        }
        let imports = Some((&mut self.facts.imports, self.lines));
        Locals {
            names: &mut locals,
            imports,
        }
        .visit_body(&function.body);
        scope.locals = locals;
        self.scopes.push(scope);
        self.visit_body(&function.body);
        self.scopes.pop();
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
        self.scopes.push(Scope {
            kind: ScopeKind::Class,
            class: index,
            ..Scope::default()
        });
        self.visit_body(&class.body);
        self.scopes.pop();
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
            Expr::Named(named) if self.scopes.len() == 1 => {
                if let Some(name) = named.target.as_name_expr() {
                    self.bind_module_at(name.id.as_str(), named.range.start().to_u32() + 1);
                }
            }
            Expr::Call(call) => self.call(call),
            _ => {}
        }
    }

    fn bind_module_at(&mut self, name: &str, offset: u32) {
        let binding = Binding {
            offset,
            value: Value::Other,
        };
        self.facts
            .bindings
            .entry(name.to_owned())
            .or_default()
            .push(binding);
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
        } else if self.scopes.len() == 1 {
            self.facts.fake_modules.push(None);
        }
    }

    fn call(&mut self, call: &ast::ExprCall) {
        for keyword in &call.arguments.keywords {
            if keyword
                .arg
                .as_ref()
                .is_some_and(|name| name.as_str() == "backref")
                && let Some(text) = keyword.value.as_string_literal_expr()
            {
                self.facts.backrefs.insert(text.value.to_str().to_owned());
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
            ["vars" | "locals"] if self.scopes.len() == 1 && args.is_empty() => {
                self.facts.dynamic = Some("the module writes to its own namespace");
            }
            ["setattr"] => match args.get(1).and_then(Expr::as_string_literal_expr) {
                Some(text) => {
                    self.facts
                        .foreign_attributes
                        .insert(text.value.to_str().to_owned());
                }
                None if args.first().is_some_and(|object| {
                    object.is_subscript_expr()
                        || object
                            .as_name_expr()
                            .is_some_and(|name| self.is_module(name.id.as_str()))
                }) =>
                {
                    self.facts.fake_modules.push(None)
                }
                None => {}
            },
            ["backref"] => {
                if let Some(text) = args.first().and_then(Expr::as_string_literal_expr) {
                    self.facts.backrefs.insert(text.value.to_str().to_owned());
                }
            }
            ["sys", "modules", "setdefault"] => {
                if let Some(key) = args.first() {
                    self.fake_module(key);
                }
            }
            ["sys", "modules", "update"] => self.facts.fake_modules.push(None),
            [.., "extend_path"] => self.facts.dynamic_path = true,
            _ => {}
        }
    }

    fn is_module(&self, name: &str) -> bool {
        let bound = self.facts.bindings.get(name).into_iter().flatten();
        bound
            .into_iter()
            .any(|binding| matches!(binding.value, Value::Module(_)))
    }

    fn lone_call(&mut self, call: &ast::ExprCall) {
        let Some(target) = self.call_target(call) else {
            return;
        };
        let is_async = self
            .scopes
            .last()
            .is_some_and(|scope| scope.kind == ScopeKind::Function { is_async: true });
        let range = call.func.range();
        let text = self
            .text
            .get(range.start().to_usize()..range.end().to_usize());
        self.facts.calls.push(Call {
            place: self.lines.place(range.start().to_u32()),
            offset: call.range().start().to_u32(),
            text: text.unwrap_or_default().to_owned(),
            in_coroutine: is_async,
            target,
        });
    }

    fn call_target(&self, call: &ast::ExprCall) -> Option<CallTarget> {
        if let Some(attribute) = call.func.as_attribute_expr()
            && let Some(inner) = attribute.value.as_call_expr()
        {
            let plain = is_path(&inner.func, &["super"]) && inner.arguments.args.is_empty();
            let class = self.scopes.last().filter(|_| plain)?.class?;
            return Some(CallTarget::Super(class, attribute.attr.as_str().to_owned()));
        }
        let path = dotted(&call.func)?;
        let (first, rest) = path.split_first()?;
        let last = self.scopes.len() - 1;
        for (index, scope) in self.scopes.iter().enumerate().skip(1).rev() {
            if scope.kind == ScopeKind::Class {
                if index == last {
                    return None;
                }
                continue;
            }
            if scope.globals.contains(first) {
                break;
            }
            let Some(values) = scope.locals.get(first) else {
                continue;
            };
            if scope.self_name.as_ref() == Some(first) && values.len() == 1 {
                return (!rest.is_empty()).then(|| {
                    scope
                        .class
                        .map(|class| CallTarget::Instance(class, rest.to_vec()))
                })?;
            }
            let mut known = values.iter().filter(|value| **value != Value::Nothing);
            let value = self.in_scope(known.next()?.clone());
            let same = known.all(|other| *other == value);
            return (same && value != Value::Other)
                .then(|| CallTarget::Local(value, rest.to_vec()));
        }
        Some(CallTarget::Global(path))
    }
}
