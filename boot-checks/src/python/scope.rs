//! The scopes that enclose a place in a file, and what a name means there.

use std::collections::{HashMap, HashSet};

use super::facts::Value;

/// What a name means at a place.
pub(super) enum Meaning {
    /// A name of the module.
    Module,
    /// The instance that a method gets; the class by index.
    Instance(usize),
    /// This value.
    Local(Value),
    /// It cannot be said.
    Unknown,
}

/// A function or the body of a class; the outermost scope is the module.
#[derive(Default)]
struct Scope {
    kind: Kind,
    locals: HashMap<String, Vec<Value>>,
    globals: HashSet<String>,
    /// The class whose body or method this is, by index.
    class: Option<usize>,
    /// The first parameter of a method.
    self_name: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Module,
    Class,
    Function {
        is_async: bool,
    },
}

/// The scopes around the place that is looked at, outermost first.
pub(super) struct Scopes(Vec<Scope>);

impl Scopes {
    /// The scope of the module alone.
    pub(super) fn new() -> Scopes {
        Scopes(vec![Scope::default()])
    }

    /// Enters the body of a class; `None`: a class that is not followed.
    pub(super) fn enter_class(&mut self, class: Option<usize>) {
        self.0.push(Scope {
            kind: Kind::Class,
            class,
            ..Scope::default()
        });
    }

    /// Enters a function; where it is a method, `first_parameter` is the instance.
    pub(super) fn enter_function(
        &mut self,
        is_async: bool,
        locals: HashMap<String, Vec<Value>>,
        first_parameter: Option<&str>,
    ) {
        let outer = self.0.last().filter(|scope| scope.kind == Kind::Class);
        let class = outer.and_then(|scope| scope.class);
        self.0.push(Scope {
            kind: Kind::Function { is_async },
            locals,
            globals: HashSet::new(),
            class,
            self_name: first_parameter
                .filter(|_| class.is_some())
                .map(str::to_owned),
        });
    }

    /// Leaves the innermost scope.
    pub(super) fn leave(&mut self) {
        self.0.pop();
    }

    /// Whether the place is outside of all functions and classes.
    pub(super) fn is_module(&self) -> bool {
        self.0.len() == 1
    }

    /// Whether `await` may stand here.
    pub(super) fn is_coroutine(&self) -> bool {
        self.0
            .last()
            .is_some_and(|scope| scope.kind == Kind::Function { is_async: true })
    }

    /// The class whose body or method this is, by index.
    pub(super) fn class(&self) -> Option<usize> {
        self.0.last()?.class
    }

    /// Notes a `global` statement.
    pub(super) fn declare_global(&mut self, name: &str) {
        if let Some(scope) = self.0.last_mut() {
            scope.globals.insert(name.to_owned());
        }
    }

    /// Whether the innermost scope declares the name `global`.
    pub(super) fn is_global(&self, name: &str) -> bool {
        self.0
            .last()
            .is_some_and(|scope| scope.globals.contains(name))
    }

    /// The class that an object is the instance of, as the first parameter of a method says.
    pub(super) fn class_of(&self, object: &str) -> Option<usize> {
        self.0
            .iter()
            .rev()
            .find(|scope| scope.self_name.as_deref() == Some(object))?
            .class
    }

    /// A value whose first name belongs to a function says nothing outside of it.
    pub(super) fn outside(&self, value: Value) -> Value {
        let (Value::Call(path) | Value::Alias(path)) = &value else {
            return value;
        };
        let is_local = path.first().is_some_and(|first| {
            self.0
                .iter()
                .skip(1)
                .any(|scope| scope.locals.contains_key(first) && scope.kind != Kind::Class)
        });
        if is_local { Value::Other } else { value }
    }

    /// What a name means, by Python's rule: the functions around the place from the innermost outwards, then the
    /// module. The body of a class is seen by itself alone, and is not followed.
    pub(super) fn meaning(&self, name: &str) -> Meaning {
        let innermost = self.0.len() - 1;
        for (index, scope) in self.0.iter().enumerate().skip(1).rev() {
            if scope.kind == Kind::Class {
                if index == innermost {
                    return Meaning::Unknown;
                }
                continue;
            }
            if scope.globals.contains(name) {
                break;
            }
            if let Some(values) = scope.locals.get(name) {
                return self.local(scope, name, values);
            }
        }
        Meaning::Module
    }

    /// All places of a function that bind the name must agree.
    fn local(&self, scope: &Scope, name: &str, values: &[Value]) -> Meaning {
        if scope.self_name.as_deref() == Some(name) && values.len() == 1 {
            return scope.class.map_or(Meaning::Unknown, Meaning::Instance);
        }
        let mut known = values.iter().filter(|value| **value != Value::Nothing);
        let Some(first) = known.next() else {
            return Meaning::Unknown;
        };
        let value = self.outside(first.clone());
        if value != Value::Other && known.all(|other| *other == value) {
            Meaning::Local(value)
        } else {
            Meaning::Unknown
        }
    }
}
