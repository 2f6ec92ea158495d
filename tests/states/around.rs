//! What an application has beside its database, and what of it is to be healed.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::select;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Around {
    env: Option<&'static str>,
    sources: Sources,
    /// What Python would take the encoding of its output from.
    pub(crate) locale: &'static str,
    has_folders: bool,
}

/// Each file's name, and what is in it.
type Sources = &'static [(&'static str, &'static str)];

const UTF8: &str = "C.UTF-8";

const ENVS: [Option<&str>; 4] = [
    None,
    Some("# mine\nOTHER=1"),
    Some(
        "SECRET_KEY=0123456789abcdef0123456789abcdef\r\nDATABASE_URL=sqlite:///./var/grace.db\r\n",
    ),
    Some("PYTHONIOENCODING=latin-1\n"),
];

const SOUND: Sources = &[
    ("backend/main.py", "import backend.a\napp = 1\n"),
    ("backend/a.py", ""),
];

/// An import loop that a small edit resolves.
const CYCLE: Sources = &[
    ("backend/main.py", "import backend.a\napp = 1\n"),
    (
        "backend/a.py",
        "from backend.b import g\n\n\ndef f():\n    return g\n",
    ),
    (
        "backend/b.py",
        "\"\"\"B.\"\"\"\r\nfrom backend.a import f\r\n\r\n\r\ndef g():\r\n\treturn f()",
    ),
];

/// A coroutine that nobody awaits.
const LOST: Sources = &[(
    "backend/main.py",
    "async def publish():\n    pass\n\n\nasync def main():\n    publish()\n\n\napp = 1\n",
)];

impl Around {
    pub(crate) const NOTHING: Around = Around {
        env: None,
        sources: &[],
        locale: UTF8,
        has_folders: false,
    };

    pub(crate) fn build(&self, root: &Path) {
        if let Some(lines) = self.env {
            std::fs::write(root.join(".env"), lines).unwrap();
        }
        let folders: &[&str] = if self.has_folders {
            &["logs", "grace_training"]
        } else {
            &[]
        };
        for folder in folders {
            std::fs::create_dir(root.join(folder)).unwrap();
        }
        for (name, text) in self.sources {
            std::fs::create_dir_all(root.join("backend")).unwrap();
            std::fs::write(root.join(name), text).unwrap();
        }
    }

    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("LANG".to_owned(), self.locale.to_owned())])
    }
}

pub(crate) fn around() -> impl Strategy<Value = Around> {
    let sources = [&[][..], SOUND, CYCLE, LOST];
    let locales = [UTF8, "de_DE.ISO-8859-1"];
    (
        select(&ENVS[..]),
        select(sources.to_vec()),
        select(locales.to_vec()),
        any::<bool>(),
    )
        .prop_map(|(env, sources, locale, has_folders)| Around {
            env,
            sources,
            locale,
            has_folders,
        })
}
