//! Builds `faults.c` and says how a boot is to be interrupted.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The library, built once in a test process. Where Rust links, there is a C compiler.
pub(crate) fn library() -> &'static Path {
    static LIBRARY: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, library) = LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/faults/faults.c");
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("faults.so");
        let mut compiler = Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(source)
            .arg("-ldl");
        let status = compiler.status().expect("a C compiler, named `cc`");
        assert!(status.success(), "faults.c does not compile");
        (folder, library)
    });
    library
}

/// What happens at the chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process is killed before it.
    Kill,
    /// The process is killed after half of it, where it is a write.
    Torn,
    /// It fails with this error; later ones do not.
    Once(i32),
    /// It and all later ones fail with this error.
    Persistent(i32),
}

pub(crate) const EIO: i32 = 5;
pub(crate) const ENOSPC: i32 = 28;

impl Fault {
    pub(crate) fn variables(self) -> (&'static str, String) {
        match self {
            Fault::Kill => ("kill", String::new()),
            Fault::Torn => ("torn", String::new()),
            Fault::Once(error) => ("once", error.to_string()),
            Fault::Persistent(error) => ("persistent", error.to_string()),
        }
    }

    /// Whether the process itself goes on.
    pub(crate) fn is_error(self) -> bool {
        matches!(self, Fault::Once(_) | Fault::Persistent(_))
    }
}
