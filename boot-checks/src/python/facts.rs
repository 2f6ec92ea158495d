//! What one Python file says, without its syntax tree: what runs on import, which names it binds,
//! which classes it has and which calls stand alone on a line.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::place::Place;

/// What one file says.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// What runs on import, in order.
    pub(super) ops: Vec<Op>,
    /// Every import statement of the file, also those in functions; `ops` and bindings name them by index.
    pub(super) imports: Vec<Import>,
    /// Names of the module.
    pub(super) bindings: HashMap<String, Vec<Binding>>,
    /// `from x import *` at the top level: index of the import, and where.
    pub(super) stars: Vec<(usize, u32)>,
    /// `__all__`, where it is one list of constants.
    pub(super) exports: Exports,
    /// Why the module may have names that are not seen here.
    pub(super) dynamic: Option<&'static str>,
    /// Why the package may have submodules that are not seen here.
    pub(super) dynamic_path: bool,
    /// Keys written to `sys.modules`; `None` is one that is not a constant.
    pub(super) fake_modules: Vec<Option<String>>,
    /// Why imports anywhere may work that are not understood here (an import hook).
    pub(super) import_hook: bool,
    /// Attributes that are set from outside of their owner, such as `x` in `module.x = 1`.
    pub(super) foreign_attributes: HashSet<String>,
    /// Names that an object-relational mapper adds to another class.
    pub(super) backrefs: HashSet<String>,
    /// Classes of the module.
    pub(super) classes: Vec<Class>,
    /// Calls that stand alone on a line.
    pub(super) calls: Vec<Call>,
    /// Imports that are not judged, by reason.
    pub(super) unjudged: Vec<(&'static str, Place, String)>,
}

impl Facts {
    /// Notes that the module has a name from this offset on.
    pub(super) fn bind(&mut self, name: &str, offset: u32, value: Value) {
        self.bindings
            .entry(name.to_owned())
            .or_default()
            .push(Binding { offset, value });
    }

    /// The folders that join `sys.path`, as far as they are known.
    pub(super) fn added_folders(&self) -> Vec<PathBuf> {
        let mut folders = Vec::new();
        added_folders(&self.ops, &mut folders);
        folders
    }
}

fn added_folders(ops: &[Op], folders: &mut Vec<PathBuf>) {
    for op in ops {
        match op {
            Op::Path(Some(folder)) => folders.push(folder.clone()),
            Op::Try(parts) => {
                let handlers = parts.handlers.iter().map(|(_, ops)| ops);
                for part in [&parts.body, &parts.orelse, &parts.finalbody]
                    .into_iter()
                    .chain(handlers)
                {
                    added_folders(part, folders);
                }
            }
            _ => {}
        }
    }
}

/// What `__all__` says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Exports {
    /// There is none: every name without a leading underscore.
    #[default]
    Absent,
    /// These names.
    Names(Vec<String>),
    /// It is computed.
    Computed,
}

/// One step of an import.
#[derive(Debug)]
pub(super) enum Op {
    /// An import statement, by index.
    Import(usize),
    /// A statement that handles exceptions.
    Try(Box<Try>),
    /// Something that may raise; noted only inside of `try`.
    MayRaise,
    /// A folder joins `sys.path`; `None`: which one is not known.
    Path(Option<PathBuf>),
    /// The module ends here with an exception.
    Raise,
}

/// A `try` statement.
#[derive(Debug)]
pub(super) struct Try {
    pub(super) body: Vec<Op>,
    /// Which exceptions each handler takes, and what it does.
    pub(super) handlers: Vec<(Catches, Vec<Op>)>,
    pub(super) orelse: Vec<Op>,
    pub(super) finalbody: Vec<Op>,
}

/// Which failures of an import a handler takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Catches {
    /// All of them.
    Everything,
    /// `ImportError` and what derives from it.
    ImportError,
    /// `ModuleNotFoundError` only.
    ModuleNotFound,
    /// `SyntaxError` only.
    SyntaxError,
    /// None of them.
    Nothing,
    /// Not known.
    Unknown,
}

/// An import statement.
#[derive(Clone, Debug)]
pub(super) struct Import {
    pub(super) place: Place,
    /// Byte offset of the statement in the text, from 1.
    pub(super) offset: u32,
    /// Leading dots.
    pub(super) level: u32,
    /// `a.b` in `import a.b` and `from a.b import c`; empty in `from . import c`.
    pub(super) module: String,
    /// `None` for `import a.b`; else the names, of which `*` is one.
    pub(super) names: Option<Vec<String>>,
    /// Whether it runs whenever the file runs.
    pub(super) certain: bool,
}

/// One place where a name of a module is bound.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    /// Byte offset in the text, from 1; 0 where it may happen at any time.
    pub(super) offset: u32,
    pub(super) value: Value,
}

/// What a name is bound to, as far as that can be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A function; `plain` when no decorator may have replaced it.
    Function { is_coroutine: bool, plain: bool },
    /// A class of this file, by index.
    Class(usize),
    /// `import a.b` binds `a`; `import a.b as c` binds `a.b`.
    Module(String),
    /// `from a import b`: the import's index and the name in that module.
    From { import: usize, name: String },
    /// The result of a call of this path.
    Call(Vec<String>),
    /// Another name or attribute.
    Alias(Vec<String>),
    /// `None`.
    Nothing,
    /// Anything else.
    Other,
}

/// A class.
#[derive(Clone, Debug, Default)]
pub(super) struct Class {
    pub(super) name: String,
    pub(super) line: u32,
    /// Bases as dotted paths; `None` is an expression.
    pub(super) bases: Vec<Option<Vec<String>>>,
    /// Whether a decorator or metaclass may change what the class is.
    pub(super) altered: bool,
    /// Names bound in the body.
    pub(super) body: HashMap<String, Vec<Value>>,
    /// `self.x = …` in its methods.
    pub(super) instance: HashMap<String, Vec<Value>>,
}

/// A call that stands alone on a line.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) place: Place,
    pub(super) offset: u32,
    /// As written, such as `self.mesh.publish`.
    pub(super) text: String,
    pub(super) in_coroutine: bool,
    pub(super) target: CallTarget,
}

/// What a call names.
#[derive(Clone, Debug)]
pub(super) enum CallTarget {
    /// A name of the module and attributes of it.
    Global(Vec<String>),
    /// A value known in the function, and attributes of it.
    Local(Value, Vec<String>),
    /// Attributes of the instance of a class, by index.
    Instance(usize, Vec<String>),
    /// A method of the base of a class, by index.
    Super(usize, String),
}
