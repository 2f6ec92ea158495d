use super::fixture::Fixture;

include!(concat!(env!("OUT_DIR"), "/fixtures.rs"));

/// A replayable state as it was embedded when the gate was built.
#[derive(Debug)]
pub struct Embedded {
    /// Stable name; the folder's name.
    pub id: &'static str,
    /// Its `replay.toml`.
    text: &'static str,
    /// Files that are laid out below the application's root: names with `/`, and contents. A name
    /// that begins with `dot-` is laid out with a dot.
    pub files: &'static [(&'static str, &'static [u8])],
}

impl Embedded {
    /// What it says.
    pub fn fixture(&self) -> Fixture {
        Fixture::parse(self.text)
            .unwrap_or_else(|(_, problem)| panic!("the build read {}: {problem}", self.id))
    }
}

/// The states of the known incidents, in the order of their ids.
pub fn replays() -> &'static [Embedded] {
    PATTERNS
}

/// States in which there is nothing to heal, in the order of their ids.
pub fn controls() -> &'static [Embedded] {
    CONTROLS
}
