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

/// Where a path really leads, whether a file is there or not: as [`behind_links`], with no link among its folders
/// either. It is relative to where `root` really is where it is below it, so that it stays the same when the root is
/// moved.
pub fn without_links(path: &Path, root: &Path) -> PathBuf {
    let place = real(&behind_links(path, root));
    let below = root.canonicalize().ok();
    match below.and_then(|root| Some(place.strip_prefix(root).ok()?.to_owned())) {
        Some(below) => below,
        None => place,
    }
}

/// The folders that are there, without links; what is below them as it is spelled.
fn real(path: &Path) -> PathBuf {
    let folders = path.ancestors().skip(1);
    let there = folders
        .filter(|folder| !folder.as_os_str().is_empty())
        .find_map(|folder| Some((folder.canonicalize().ok()?, folder)));
    match there.and_then(|(real, folder)| Some(real.join(path.strip_prefix(folder).ok()?))) {
        Some(real) => real,
        None => path.to_owned(),
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
        for (name, expected) in [
            ("plain.db", "var/plain.db"),
            ("missing.db", "var/missing.db"),
            ("near.db", "data/near.db"),
            ("lost.db", "var/no/such/folder/x.db"),
        ] {
            for root in ["current", "app"].map(at) {
                let found = without_links(&at("current/var").join(name), &root);
                assert_eq!(found, Path::new(expected), "{name}");
            }
        }
        symlink(at("disk"), at("app/mounted")).unwrap();
        let disk = at("disk").canonicalize().unwrap();
        let found = without_links(&at("app/mounted/new/x.db"), &at("app"));
        assert_eq!(found, disk.join("new/x.db"));
        let far = behind_links(&at("current/var/far.db"), &at("current"));
        assert_eq!(far, disk.join("far.db"));
    }
}
