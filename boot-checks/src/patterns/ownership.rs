/// Packages of the reference application. They hold where nothing else was said.
const DEFAULT_PACKAGES: [&str; 2] = ["backend", "grace"];

/// Parts of a path that mark code which others wrote.
const FOREIGN_PARTS: [&str; 5] = ["site-packages", "dist-packages", "Lib", "lib", "lib64"];

/// Knows the application's own packages, so that a module which was moved away can be told from a
/// dependency that was never installed: the interpreter prints the same message for both.
///
/// A module is the application's own when its first part is one of the names given (or, when none
/// was given, of the reference application's), or when it is a dotted name whose first part is a
/// folder or file in the path of a traceback's own frame: `No module named 'ledger.postings'` below
/// a frame in `/srv/orders/ledger/main.py`. A name without a dot is not judged by frames, because
/// folders above the application are often called like a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPackages {
    names: Vec<String>,
}

impl Default for OwnPackages {
    fn default() -> OwnPackages {
        OwnPackages::new(&[])
    }
}

impl OwnPackages {
    /// These packages; none: those of the reference application.
    pub fn new(names: &[String]) -> OwnPackages {
        let names = if names.is_empty() {
            DEFAULT_PACKAGES.map(str::to_owned).to_vec()
        } else {
            names.to_vec()
        };
        OwnPackages { names }
    }

    pub(super) fn owns(&self, module: &str) -> bool {
        let first = module.split('.').next().unwrap_or(module);
        self.names.iter().any(|name| name == first)
    }
}

/// Whether a traceback's frame file lies in the package that `module` names.
pub(super) fn frame_shows(frame_file: &[u8], module: &[u8]) -> bool {
    let Some(dot) = memchr::memchr(b'.', module) else {
        return false;
    };
    let first = &module[..dot];
    let mut found = false;
    for part in frame_file.split(|byte| matches!(byte, b'/' | b'\\')) {
        if FOREIGN_PARTS
            .iter()
            .any(|foreign| foreign.as_bytes() == part)
        {
            return false;
        }
        let stem = part.strip_suffix(b".py").unwrap_or(part);
        found |= stem == first;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decide_first() {
        let given = OwnPackages::new(&["orders".to_owned()]);
        assert!(given.owns("orders.api"));
        assert!(!given.owns("backend.api"));
        assert!(OwnPackages::default().owns("backend"));
    }

    #[test]
    fn frames_show_dotted_names_in_own_code_only() {
        assert!(frame_shows(
            b"/srv/orders/ledger/main.py",
            b"ledger.postings"
        ));
        assert!(frame_shows(
            br"C:\\app\\ledger\\main.py",
            b"ledger.postings"
        ));
        assert!(!frame_shows(b"/srv/redis/main.py", b"redis"));
        assert!(!frame_shows(
            b"/venv/lib/python3.11/site-packages/google/api.py",
            b"google.ai"
        ));
    }
}
