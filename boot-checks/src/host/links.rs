//! Second names of files: where links lead, and hard links.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Links that are followed one after the other; the system itself gives up after as many.
const LINKS_MAX: usize = 40;

/// The file that a path's last part leads to, whether it is there or not, as SQLite finds it: what SQLite
/// keeps beside a database lies beside this file and not beside the link. The path itself where it is no
/// link, and where its links have no end.
///
/// It is spelled below `root` where it is there, so that it goes with the root.
pub fn behind_links(path: &Path, root: &Path) -> PathBuf {
    let mut place = path.to_owned();
    for _ in 0..LINKS_MAX {
        let Ok(target) = fs::read_link(&place) else {
            return if place == path {
                place
            } else {
                spelled_below(root, place)
            };
        };
        place = place.parent().unwrap_or(Path::new("/")).join(target);
    }
    path.to_owned()
}

/// What a link says may lead up and down again. A folder that is not there stays as it was spelled.
fn spelled_below(root: &Path, path: PathBuf) -> PathBuf {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return path;
    };
    let Ok(folder) = folder.canonicalize() else {
        return path;
    };
    let root_itself = root.canonicalize();
    match root_itself.map(|root| folder.strip_prefix(root).map(Path::to_owned)) {
        Ok(Ok(below)) => root.join(below).join(name),
        _ => folder.join(name),
    }
}

/// Gives a file a second name; it may have it already.
///
/// # Errors
///
/// [`io::ErrorKind::AlreadyExists`] when another file has the name; else the system's reason.
pub fn add_name(file: &Path, name: &Path) -> io::Result<()> {
    match fs::hard_link(file, name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if is_same(file, name)? {
                Ok(())
            } else {
                Err(error)
            }
        }
        other => other,
    }
}

/// Where the system does not tell, they are taken for two.
fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let identity = |path| fs::symlink_metadata(path).map(|it| super::file_identity(&it));
    let one = identity(one)?;
    Ok(one != (0, 0) && one == identity(other)?)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_to_the_end_also_where_nothing_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("app/var")).unwrap();
        fs::create_dir_all(at("app/data")).unwrap();
        fs::create_dir(at("disk")).unwrap();
        symlink(at("app"), at("current")).unwrap();
        for (link, target) in [
            ("app/var/near.db", "../data/near.db"),
            ("app/var/far.db", "../../disk/far.db"),
            ("app/var/chain.db", "near.db"),
            ("app/var/lost.db", "no/such/folder/x.db"),
            ("app/var/loop.db", "loop.db"),
        ] {
            symlink(target, at(link)).unwrap();
        }
        fs::write(at("app/var/plain.db"), "").unwrap();
        for (name, expected) in [
            ("plain.db", "current/var/plain.db"),
            ("missing.db", "current/var/missing.db"),
            ("near.db", "current/data/near.db"),
            ("chain.db", "current/data/near.db"),
            ("lost.db", "current/var/no/such/folder/x.db"),
            ("loop.db", "current/var/loop.db"),
        ] {
            let found = behind_links(&at("current/var").join(name), &at("current"));
            assert_eq!(found, at(expected), "{name}");
        }
        let far = behind_links(&at("current/var/far.db"), &at("current"));
        assert_eq!(far, at("disk").canonicalize().unwrap().join("far.db"));
    }
}
