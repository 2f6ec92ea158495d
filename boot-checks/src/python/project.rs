use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::error::SourceError;
use super::finder::is_closed;
use super::load::read_all;
use super::paths::normalise;
use super::suggest;
use super::world::{ModId, World};

/// Deepest nesting of folders in a package.
const MAX_FOLDERS: usize = 64;

/// What is analysed.
#[derive(Clone, Debug, Default)]
pub struct Project {
    /// The folder that Python has on its path when the application starts.
    pub root: PathBuf,
    /// Packages of the application: dotted names below the root.
    pub packages: Vec<String>,
    /// What is started: `backend.main`, `backend.main:app` or `backend/main.py`.
    pub entry_points: Vec<String>,
    /// A virtual environment, an interpreter or a `site-packages` folder. Without it dependencies are not judged.
    pub environment: Option<PathBuf>,
}

/// An entry and, for a script, the root that its folder is.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) module: ModId,
    pub(super) script_root: Option<usize>,
    /// What a server asks of the module once it is imported: `app` in `backend.main:app`.
    pub(super) attribute: Option<String>,
}

/// A project that has been read.
pub(super) struct Loaded {
    pub(super) world: World,
    pub(super) entries: Vec<Entry>,
    /// Modules of the packages, by name.
    pub(super) members: Vec<ModId>,
    /// Folders of the packages that the system does not let be read.
    pub(super) closed: Vec<PathBuf>,
}

impl Project {
    /// Reads all files; texts in `edited` take the place of what is on disk.
    pub(super) fn load(&self, edited: &[(PathBuf, String)]) -> Result<Loaded, SourceError> {
        let root =
            std::path::absolute(&self.root).map_err(|_| SourceError::Root(self.root.clone()))?;
        let root = normalise(&root);
        if !root.is_dir() {
            return Err(SourceError::Root(root));
        }
        let environment = Environment::read(self.environment.as_deref())?;
        let minor = environment.minor;
        let mut scripts = Vec::new();
        for entry in self.entry_points.iter().filter(|entry| is_script(entry)) {
            scripts.extend(root.join(entry).parent().map(normalise));
        }
        let Tree {
            files,
            mut names,
            closed,
        } = self.files(&root)?;
        let tops: Vec<String> = self
            .packages
            .iter()
            .map(|name| name.split('.').next().unwrap_or_default().to_owned())
            .collect();
        let mut world = World::new(&root, &tops, environment, scripts);
        world.add_files(read_all(&root, minor, &files, edited)?);
        names.sort();
        names.iter().for_each(|name| {
            world.module(0, name);
        });
        self.entries(&mut world);
        world.resolve_all(|wanted| read_all(&root, minor, &wanted, edited))?;
        let mut entries = Vec::new();
        for (written, entry) in self.entry_points.iter().zip(self.entries(&mut world)) {
            entries.push(match entry {
                Some(entry) => entry,
                None => return Err(no_entry(&world, written)),
            });
        }
        let members = names
            .iter()
            .filter_map(|name| world.by_name(name))
            .collect();
        Ok(Loaded {
            world,
            entries,
            members,
            closed,
        })
    }

    /// All files of the packages, and the modules that they are.
    fn files(&self, root: &Path) -> Result<Tree, SourceError> {
        let mut tree = Tree::default();
        for package in &self.packages {
            // Anything else would name a place outside of the root, or modules that Python cannot.
            if !package.split('.').all(is_identifier) {
                return Err(no_package(root, package));
            }
            let before = tree.files.len();
            let path = root.join(package.replace('.', "/"));
            tree.walk(&path, package, 0);
            if path.with_extension("py").is_file() {
                tree.files.push(path.with_extension("py"));
                tree.names.push(package.clone());
            }
            if tree.files.len() == before {
                look_into(&path)?;
                return Err(no_package(root, package));
            }
        }
        Ok(tree)
    }

    fn entries(&self, world: &mut World) -> Vec<Option<Entry>> {
        let find = |entry: &String| {
            if is_script(entry) {
                let path = normalise(&world.root.join(entry));
                let folder = path.parent()?.to_owned();
                let stem = path.file_stem()?.to_str()?.to_owned();
                let script_root = world.roots.iter().position(|root| *root == folder)?;
                return Some(Entry {
                    module: world.module(script_root, &stem)?,
                    script_root: Some(script_root),
                    attribute: None,
                });
            }
            let (name, attribute) = entry.split_once(':').unwrap_or((entry, ""));
            let first = attribute.split(['.', '(']).next().unwrap_or_default();
            Some(Entry {
                module: world.module(0, name)?,
                script_root: None,
                attribute: is_identifier(first).then(|| first.to_owned()),
            })
        };
        self.entry_points.iter().map(find).collect()
    }
}

fn no_package(root: &Path, package: &str) -> SourceError {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .map(|name| name.strip_suffix(".py").unwrap_or(&name).to_owned())
        .filter(|name| is_identifier(name))
        .collect();
    SourceError::Package {
        package: package.to_owned(),
        root: root.to_owned(),
        nearest: suggest::nearest(package, names.iter().map(String::as_str)).map(str::to_owned),
    }
}

fn no_entry(world: &World, entry: &str) -> SourceError {
    let wanted = entry.split(':').next().unwrap_or_default();
    let path = match is_script(entry) {
        true => PathBuf::from(wanted),
        false => wanted.replace('.', "/").into(),
    };
    // Outer folders first: where one is closed, what it holds is not known.
    let mut way: Vec<&Path> = path.ancestors().skip(1).collect();
    way.reverse();
    for folder in way {
        if let Err(closed) = look_into(&world.root.join(folder)) {
            return closed;
        }
    }
    let names = world.modules.iter().map(|module| module.name.as_str());
    SourceError::EntryPoint {
        entry: entry.to_owned(),
        root: world.root.clone(),
        nearest: suggest::nearest(wanted, names).map(str::to_owned),
    }
}

fn is_script(entry: &str) -> bool {
    Path::new(entry).extension().is_some_and(|end| end == "py") && !entry.contains(':')
}

/// A folder whose content is not known is not one that holds nothing.
fn look_into(folder: &Path) -> Result<(), SourceError> {
    match std::fs::read_dir(folder) {
        Err(source) if is_closed(&source) => Err(SourceError::Closed {
            path: folder.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// What the packages hold.
#[derive(Default)]
struct Tree {
    files: Vec<PathBuf>,
    /// The modules that the files are.
    names: Vec<String>,
    /// Folders that could not be read.
    closed: Vec<PathBuf>,
}

impl Tree {
    /// Collects the Python files of a package, without folders that cannot be imported or hold an environment.
    fn walk(&mut self, folder: &Path, name: &str, depth: usize) {
        if depth > MAX_FOLDERS || folder.join("pyvenv.cfg").exists() {
            return;
        }
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                self.closed
                    .extend(is_closed(&error).then(|| folder.to_owned()));
                return;
            }
        };
        for entry in entries.flatten() {
            let Ok(file) = entry.file_name().into_string() else {
                continue;
            };
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let path = entry.path();
            let is_skipped = file == "__pycache__" || file == "node_modules";
            if kind.is_dir() && is_identifier(&file) && !is_skipped {
                self.walk(&path, &format!("{name}.{file}"), depth + 1);
            } else if let Some(stem) = file.strip_suffix(".py")
                && is_identifier(stem)
            {
                self.names.push(match stem {
                    "__init__" => name.to_owned(),
                    _ => format!("{name}.{stem}"),
                });
                self.files.push(path);
            }
        }
    }
}

fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_alphabetic())
        && chars.all(|c| c == '_' || c.is_alphanumeric())
}
