//! Runs the imports of one entry as Python would, statement by statement, without running anything else.
//!
//! Only what happens for certain counts. A failure reported here holds however the uncertain parts turn out: a module
//! cannot come to its end without each of its unguarded imports, so no earlier, unseen import can have completed it.

use super::facts::{Catches, Op, Try};
use super::place::Place;
use super::target::{End, Target};
use super::world::{ModId, World};

/// Deepest chain of imports that is followed; CPython's own limit on recursion is reached before.
const MAX_DEPTH: usize = 300;

/// Why an import fails.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Failure {
    /// The module whose statement fails.
    pub(super) module: ModId,
    pub(super) place: Place,
    pub(super) cause: Cause,
    /// Modules under import when it fails, the entry first, each with the line it has come to.
    pub(super) chain: Vec<(ModId, u32)>,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Cause {
    Missing(String),
    NotInstalled(String),
    BeyondTop(String),
    Name(ModId, String),
    /// The module is imported, and has no such name for the server that asks for it.
    Attribute(ModId, String),
    Cycle(ModId, String),
    Syntax(String),
    /// The file of the module is there and cannot be read, for this reason.
    Closed(String),
}

impl Cause {
    fn taken_by(&self, catches: Catches) -> bool {
        match catches {
            Catches::Everything => true,
            Catches::ImportError => !matches!(self, Cause::Syntax(_) | Cause::Closed(_)),
            Catches::ModuleNotFound => matches!(self, Cause::Missing(_) | Cause::NotInstalled(_)),
            Catches::SyntaxError => matches!(self, Cause::Syntax(_)),
            Catches::Nothing | Catches::Unknown => false,
        }
    }
}

#[derive(Clone, Debug, Default)]
enum Status {
    #[default]
    New,
    /// Under import, at this byte offset.
    Active(u32),
    Done,
    Failed(Box<Failure>),
}

/// How a sequence of steps ends.
enum Flow {
    Next,
    /// The module ends early, in a way that is not an import's failure.
    Left,
    Failed(Box<Failure>),
}

/// The state of one interpreter.
pub(super) struct Simulation<'w> {
    world: &'w World,
    status: Vec<Status>,
    stack: Vec<(ModId, u32)>,
    /// Which roots are on `sys.path`.
    paths: Vec<bool>,
    /// A folder was added to `sys.path` that is not known.
    unknown_path: bool,
}

impl<'w> Simulation<'w> {
    /// A fresh interpreter; `start` is the folder of a script.
    pub(super) fn new(world: &'w World, start: Option<usize>) -> Simulation<'w> {
        let mut paths = vec![false; world.roots.len()];
        for on in [Some(0), start].into_iter().flatten() {
            paths[on] = true;
        }
        Simulation {
            world,
            status: vec![Status::New; world.modules.len()],
            stack: Vec::new(),
            paths,
            unknown_path: false,
        }
    }

    /// Imports a module and the packages around it.
    pub(super) fn import(&mut self, entry: ModId) -> Result<(), Failure> {
        let module = &self.world.modules[entry];
        let mut loads = Vec::new();
        for (at, _) in module.name.match_indices('.') {
            loads.extend(self.world.module_of(module.root, &module.name[..at]));
        }
        loads.push(entry);
        for module in loads {
            self.load(module).map_err(|failure| *failure)?;
        }
        Ok(())
    }

    /// Asks a module, once it is imported, for a name, as a server does.
    pub(super) fn ask(&mut self, module: ModId, name: &str) -> Result<(), Failure> {
        let asked = self.name(module, Place { line: 1, column: 1 }, module, name);
        asked.map_err(|failure| match &failure.cause {
            // Nothing is under import: it is the server that asks, and no statement of a module.
            Cause::Name(from, name) if failure.chain.is_empty() => Failure {
                cause: Cause::Attribute(*from, name.clone()),
                ..*failure
            },
            _ => *failure,
        })
    }

    fn load(&mut self, id: ModId) -> Result<(), Box<Failure>> {
        match &self.status[id] {
            Status::Done | Status::Active(_) => return Ok(()),
            Status::Failed(failure) => return Err(failure.clone()),
            Status::New => {}
        }
        if self.stack.len() >= MAX_DEPTH {
            return Ok(());
        }
        let Some(file) = self.world.modules[id].file else {
            self.status[id] = Status::Done;
            return Ok(());
        };
        self.stack.push((id, 0));
        self.status[id] = Status::Active(0);
        let flow = match &self.world.files[file].facts {
            Ok(facts) => self.run(id, &facts.ops),
            Err(super::load::Unreadable::Syntax { message, place }) => {
                Flow::Failed(self.failure(id, *place, Cause::Syntax(message.clone())))
            }
            Err(super::load::Unreadable::Closed(reason)) => {
                let place = Place { line: 1, column: 1 };
                Flow::Failed(self.failure(id, place, Cause::Closed(reason.clone())))
            }
            Err(super::load::Unreadable::Unknown(_)) => Flow::Next,
        };
        self.stack.pop();
        match flow {
            Flow::Failed(failure) => {
                // A cycle's failure depends on what is under import; the next attempt may end otherwise.
                let again = matches!(failure.cause, Cause::Cycle(..));
                self.status[id] = if again {
                    Status::New
                } else {
                    Status::Failed(failure.clone())
                };
                Err(failure)
            }
            Flow::Next | Flow::Left => {
                self.status[id] = Status::Done;
                Ok(())
            }
        }
    }

    fn run(&mut self, id: ModId, ops: &[Op]) -> Flow {
        for op in ops {
            match op {
                Op::Import(index) => {
                    if let Err(failure) = self.statement(id, *index) {
                        return Flow::Failed(failure);
                    }
                }
                Op::Path(Some(folder)) => {
                    if let Some(root) = self.world.roots.iter().position(|root| root == folder) {
                        self.paths[root] = true;
                    }
                }
                Op::Path(None) => self.unknown_path = true,
                Op::Try(parts) => match self.attempt(id, parts) {
                    Flow::Next => {}
                    other => return other,
                },
                Op::MayRaise => {}
                Op::Raise => return Flow::Left,
            }
        }
        Flow::Next
    }

    fn attempt(&mut self, id: ModId, parts: &Try) -> Flow {
        let mut uncertain = false;
        let mut failed = None;
        for op in &parts.body {
            match op {
                Op::MayRaise => uncertain = true,
                Op::Import(index) if self.is_unjudged(id, *index) => uncertain = true,
                op => match self.run(id, std::slice::from_ref(op)) {
                    Flow::Next => {}
                    Flow::Left => {
                        uncertain = true;
                        break;
                    }
                    Flow::Failed(failure) => {
                        failed = Some(failure);
                        break;
                    }
                },
            }
        }
        let handles = !parts.handlers.is_empty();
        let after = match failed {
            None if uncertain && handles => Flow::Next,
            None => self.run(id, &parts.orelse),
            Some(failure) => self.handle(id, parts, failure, uncertain),
        };
        match self.run(id, &parts.finalbody) {
            Flow::Next => after,
            other => other,
        }
    }

    fn handle(&mut self, id: ModId, parts: &Try, failure: Box<Failure>, uncertain: bool) -> Flow {
        for (catches, steps) in &parts.handlers {
            if failure.cause.taken_by(*catches) {
                if uncertain {
                    // Something else may have been raised before, and handled elsewhere.
                    return Flow::Next;
                }
                return match self.run(id, steps) {
                    // The handler raises again, or ends the process.
                    Flow::Left => Flow::Failed(failure),
                    other => other,
                };
            }
            if *catches == Catches::Unknown {
                return Flow::Next;
            }
        }
        if uncertain && !parts.handlers.is_empty() {
            Flow::Next
        } else {
            Flow::Failed(failure)
        }
    }

    fn is_unjudged(&self, id: ModId, index: usize) -> bool {
        self.world
            .targets
            .get(&(id, index))
            .is_none_or(|target| matches!(target.end, End::Unjudged(_) | End::External))
    }

    fn statement(&mut self, id: ModId, index: usize) -> Result<(), Box<Failure>> {
        let world = self.world;
        let Some(import) = world.facts(id).and_then(|facts| facts.imports.get(index)) else {
            return Ok(());
        };
        let Some(target) = world.targets.get(&(id, index)) else {
            return Ok(());
        };
        self.status[id] = Status::Active(import.offset);
        if let Some(top) = self.stack.last_mut() {
            top.1 = import.place.line;
        }
        let target = self.choose(id, index, target);
        for module in &target.loads {
            self.load(*module)?;
        }
        let cause = match &target.end {
            End::Missing(name) if !self.excused(name) => Cause::Missing(name.clone()),
            End::NotInstalled(name) if !self.excused(name) => Cause::NotInstalled(name.clone()),
            End::BeyondTop(written) => Cause::BeyondTop(written.clone()),
            End::Found => {
                let Some(last) = target.loads.last() else {
                    return Ok(());
                };
                for name in import.names.iter().flatten().filter(|name| *name != "*") {
                    self.name(id, import.place, *last, name)?;
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        Err(self.failure(id, import.place, cause))
    }

    /// The application's folders come first; what else is on `sys.path` by now is asked next.
    fn choose(&self, id: ModId, index: usize, target: &'w Target) -> &'w Target {
        let others = self.world.alternatives.get(&(id, index));
        let found = others
            .into_iter()
            .flatten()
            .find(|(root, _)| self.paths[*root]);
        found.map_or(target, |(_, target)| target)
    }

    fn excused(&self, name: &str) -> bool {
        let first = name.split('.').next().unwrap_or_default();
        let shadowed = (1..self.paths.len()).any(|root| {
            self.paths[root]
                && self
                    .world
                    .finder
                    .find(&self.world.roots[root], first)
                    .is_some()
        });
        let own = self.world.packages.iter().any(|package| package == first);
        (!own && (self.unknown_path || shadowed)) || self.world.may_be_faked(name)
    }

    fn name(
        &mut self,
        id: ModId,
        place: Place,
        from: ModId,
        name: &str,
    ) -> Result<(), Box<Failure>> {
        let world = self.world;
        let module = &world.modules[from];
        let names = world.names[from].as_ref();
        let bound = names.and_then(|names| names.first.get(name).copied());
        let here = match (&self.status[from], bound) {
            (Status::Active(at), Some(first)) => first < *at || first == 0,
            (_, bound) => bound.is_some(),
        };
        if here {
            return Ok(());
        }
        if let Some(submodule) = world.submodule(from, name) {
            return self.load(submodule);
        }
        let dynamic = module.is_compiled || names.is_some_and(|names| names.dynamic.is_some());
        let unread = module.file.is_some() && names.is_none();
        let dynamic_path = world.facts(from).is_some_and(|facts| facts.dynamic_path);
        if dynamic || unread || dynamic_path || world.may_be_set_elsewhere(name) {
            return Ok(());
        }
        if world.may_be_faked(&format!("{}.{name}", module.name)) || self.ended_early(from) {
            return Ok(());
        }
        let cause = match bound {
            Some(_) => Cause::Cycle(from, name.to_owned()),
            None => Cause::Name(from, name.to_owned()),
        };
        Err(self.failure(id, place, cause))
    }

    /// A folder of the same name elsewhere on the path may belong to a namespace package.
    fn ended_early(&self, from: ModId) -> bool {
        let module = &self.world.modules[from];
        module.file.is_none()
            && (self.unknown_path || !self.world.environment.is_named())
            && !module.name.contains('.')
            && !self.world.packages.contains(&module.name)
    }

    fn failure(&self, module: ModId, place: Place, cause: Cause) -> Box<Failure> {
        Box::new(Failure {
            module,
            place,
            cause,
            chain: self.stack.clone(),
        })
    }
}
