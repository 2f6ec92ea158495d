//! From what the simulation of every entry says to one list of problems.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::coroutines;
use super::cycles::cycles;
use super::error::SourceError;
use super::load::{Unreadable, on_all_cores};
use super::place::Place;
use super::project::{Entry, Loaded};
use super::report::{Counts, Link, Problem, ProblemKind, SourceReport};
use super::requirements;
use super::simulate::{Cause, Failure, Simulation};
use super::suggest;
use super::target::End;
use super::world::{ModId, World};

pub(super) fn judge(loaded: &Loaded) -> Result<SourceReport, SourceError> {
    let world = &loaded.world;
    let members = loaded.members.iter().map(|module| Entry {
        module: *module,
        script_root: None,
        attribute: None,
    });
    let entries: Vec<Entry> = loaded.entries.iter().cloned().chain(members).collect();
    let mut report = SourceReport {
        counts: counts(loaded),
        ..SourceReport::default()
    };
    let mut known: HashMap<(ModId, Place, Cause), usize> = HashMap::new();
    for (at, failure) in run_all(world, &entries)? {
        let key = (failure.module, failure.place, failure.cause.clone());
        let index = *known.entry(key).or_insert_with(|| {
            report.problems.push(problem(world, &failure));
            report.problems.len() - 1
        });
        let problem = &mut report.problems[index];
        let chain = links(world, &failure);
        if at < loaded.entries.len() {
            // The way from an entry point says more than the shortest one.
            if !problem.reached_by_entry_point || chain.len() < problem.chain.len() {
                problem.chain = chain;
            }
            problem.reached_by_entry_point = true;
        } else {
            let name = world.modules[entries[at].module].name.clone();
            if !problem.reached_by_entry_point && chain.len() < problem.chain.len() {
                problem.chain = chain;
            }
            problem.fails.push(name.clone());
            report.failing_modules.insert(name, index);
        }
    }
    report.harmless_cycles = harmless_cycles(world, &report.problems);
    report
        .problems
        .extend(coroutines::problems(world, &loaded.members));
    Ok(report)
}

/// What the import of one module meets first; none where it comes to its end.
pub(super) fn judge_entry(world: &World, entry: &Entry) -> Option<Problem> {
    let failure = run(world, entry).err()?;
    let mut problem = problem(world, &failure);
    problem.reached_by_entry_point = true;
    Some(problem)
}

/// Cycles that no problem names.
fn harmless_cycles(world: &World, problems: &[Problem]) -> Vec<Vec<String>> {
    let is_failing = |group: &Vec<String>| {
        problems.iter().any(|problem| {
            matches!(&problem.kind, ProblemKind::ImportCycle { cycle, .. } if cycle == group)
        })
    };
    cycles(world)
        .iter()
        .map(|group| {
            group
                .iter()
                .map(|module| world.modules[*module].name.clone())
                .collect::<Vec<_>>()
        })
        .filter(|group| !is_failing(group))
        .collect()
}

/// Every entry in a fresh interpreter. The result is in their order.
fn run_all(world: &World, entries: &[Entry]) -> Result<Vec<(usize, Failure)>, SourceError> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let work = || {
        let mut own = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(entry) = entries.get(at) else { break };
            own.extend(run(world, entry).err().map(|failure| (at, failure)));
        }
        done.lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .append(&mut own);
    };
    on_all_cores(&work)?;
    let mut outcomes = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    outcomes.sort_by_key(|(at, _)| *at);
    Ok(outcomes)
}

fn run(world: &World, entry: &Entry) -> Result<(), Failure> {
    let mut simulation = Simulation::new(world, entry.script_root);
    simulation.import(entry.module)?;
    match &entry.attribute {
        Some(name) => simulation.ask(entry.module, name),
        None => Ok(()),
    }
}

fn counts(loaded: &Loaded) -> Counts {
    let world = &loaded.world;
    let mut unjudged: BTreeMap<String, usize> = BTreeMap::new();
    let mut parse_failures = 0;
    for file in &world.files {
        match &file.facts {
            Ok(facts) => {
                let in_functions = facts
                    .imports
                    .iter()
                    .filter(|import| !import.certain)
                    .count()
                    - facts.unjudged.len();
                if in_functions > 0 {
                    *unjudged.entry("in a function".to_owned()).or_default() += in_functions;
                }
                for (reason, _, _) in &facts.unjudged {
                    *unjudged.entry((*reason).to_owned()).or_default() += 1;
                }
            }
            Err(Unreadable::Syntax { .. }) => parse_failures += 1,
            Err(Unreadable::Closed(_)) => {
                *unjudged.entry("cannot be read".to_owned()).or_default() += 1
            }
            Err(Unreadable::Unknown(reason)) => {
                *unjudged.entry((*reason).to_owned()).or_default() += 1
            }
        }
    }
    for ((module, index), target) in &world.targets {
        let certain = world
            .facts(*module)
            .is_some_and(|facts| facts.imports.get(*index).is_some_and(|one| one.certain));
        if let (true, End::Unjudged(reason)) = (certain, &target.end) {
            *unjudged.entry((*reason).to_owned()).or_default() += 1;
        }
    }
    for folder in &loaded.closed {
        let folder = folder.strip_prefix(&world.root).unwrap_or(folder).display();
        unjudged.insert(format!("folder {folder} cannot be read"), 1);
    }
    Counts {
        files: world.files.len(),
        lines: world.files.iter().map(|file| file.lines).sum(),
        bytes: world.files.iter().map(|file| file.bytes).sum(),
        parse_failures,
        modules: loaded.members.len(),
        unjudged,
    }
}

fn links(world: &World, failure: &Failure) -> Vec<Link> {
    let before = failure
        .chain
        .iter()
        .take(failure.chain.len().saturating_sub(1));
    before
        .map(|(module, line)| Link {
            module: world.modules[*module].name.clone(),
            line: *line,
        })
        .collect()
}

fn problem(world: &World, failure: &Failure) -> Problem {
    let (kind, suggestion) = kind(world, failure);
    Problem {
        kind,
        file: relative(world, failure.module),
        place: failure.place,
        module: world.modules[failure.module].name.clone(),
        chain: links(world, failure),
        reached_by_entry_point: false,
        fails: Vec::new(),
        suggestion,
    }
}

/// What is wrong, and what to write instead.
fn kind(world: &World, failure: &Failure) -> (ProblemKind, Option<String>) {
    match &failure.cause {
        Cause::Missing(wanted) => missing(world, wanted, failure),
        Cause::NotInstalled(wanted) => not_installed(world, wanted, failure),
        Cause::BeyondTop(wanted) => (
            ProblemKind::RelativeBeyondTop {
                wanted: wanted.clone(),
            },
            None,
        ),
        Cause::Attribute(asked, wanted) => (
            ProblemKind::EntryPointName {
                asked: world.modules[*asked].name.clone(),
                name: wanted.clone(),
            },
            suggest::entry_point(world, *asked, wanted),
        ),
        Cause::Name(from, wanted)
            if let Some(kind) =
                closed(world, &format!("{}.{wanted}", world.modules[*from].name)) =>
        {
            (kind, None)
        }
        Cause::Name(from, wanted) => (
            ProblemKind::ImportNameMissing {
                from: world.modules[*from].name.clone(),
                name: wanted.clone(),
            },
            suggest::name(world, failure.module, *from, wanted),
        ),
        Cause::Cycle(from, wanted) => (
            ProblemKind::ImportCycle {
                from: world.modules[*from].name.clone(),
                name: wanted.clone(),
                cycle: cycle_of(world, failure.module),
            },
            None,
        ),
        Cause::Closed(reason) => (
            ProblemKind::SourceUnreadable {
                path: relative(world, failure.module),
                reason: reason.clone(),
            },
            None,
        ),
        Cause::Syntax(message) => (
            ProblemKind::SyntaxError {
                message: message.clone(),
            },
            None,
        ),
    }
}

/// A module that may be there, in a folder that cannot be read: Python finds nothing in it either.
fn closed(world: &World, wanted: &str) -> Option<ProblemKind> {
    let path = PathBuf::from(wanted.replace('.', "/"));
    let way = world.roots.iter().flat_map(|root| {
        path.ancestors()
            .skip(1)
            .map(|folder| root.join(folder))
            .collect::<Vec<_>>()
    });
    let (folder, reason) = way
        .filter_map(|folder| Some((folder.clone(), world.finder.closed(&folder)?)))
        .next()?;
    Some(ProblemKind::SourceUnreadable {
        path: folder
            .strip_prefix(&world.root)
            .unwrap_or(&folder)
            .to_owned(),
        reason,
    })
}

fn missing(world: &World, wanted: &str, failure: &Failure) -> (ProblemKind, Option<String>) {
    if let Some(kind) = closed(world, wanted) {
        return (kind, None);
    }
    let kind = ProblemKind::MissingInternalModule {
        wanted: wanted.to_owned(),
    };
    (kind, meant(world, failure))
}

/// The import that the failing statement may have meant.
fn meant(world: &World, failure: &Failure) -> Option<String> {
    let mut imports = world.facts(failure.module)?.imports.iter();
    let import = imports.find(|one| one.place == failure.place)?;
    suggest::module(world, failure.module, import)
}

fn not_installed(world: &World, wanted: &str, failure: &Failure) -> (ProblemKind, Option<String>) {
    let kind = ProblemKind::MissingDependency {
        wanted: wanted.to_owned(),
    };
    if let Some(listed) = requirements::listed(&world.root, &world.packages, wanted) {
        let place = format!("{}:{}", listed.file.display(), listed.line);
        let text = &listed.text;
        let suggestion = format!("install it, as {place} asks for: `pip install '{text}'`");
        return (kind, Some(suggestion));
    }
    let file = requirements::first_file(&world.root, &world.packages);
    let file = file.map_or_else(
        || "the requirements".to_owned(),
        |file| file.display().to_string(),
    );
    let package = requirements::package_of(wanted);
    if package != wanted {
        let suggestion = format!("add the line `{package}` to {file}, and install it");
        return (kind, Some(suggestion));
    }
    // A module of that name in the application was meant, or stood where Python would look.
    let is_last = |name: &str| name.rsplit('.').next() == Some(wanted);
    if world.modules.iter().any(|module| is_last(&module.name)) {
        return missing(world, wanted, failure);
    }
    // Not the name itself: whoever installs a package by a module's name may get a stranger's.
    let suggestion = meant(world, failure).unwrap_or_else(|| {
        format!("no requirement lists it: add the package that provides it to {file}, or take this import out")
    });
    (kind, Some(suggestion))
}

fn cycle_of(world: &World, member: ModId) -> Vec<String> {
    let group = cycles(world).iter().find(|group| group.contains(&member));
    group
        .into_iter()
        .flatten()
        .map(|module| world.modules[*module].name.clone())
        .collect()
}

/// The file of a module, relative to the root where it lies in it.
pub(super) fn relative(world: &World, module: ModId) -> PathBuf {
    let path = world.modules[module]
        .file
        .map(|file| world.files[file].path.as_path());
    let path = path.unwrap_or(&world.modules[module].folder);
    path.strip_prefix(&world.root).unwrap_or(path).to_owned()
}
