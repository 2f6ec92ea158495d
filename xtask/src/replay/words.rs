//! Texts without what differs from run to run.

use std::sync::OnceLock;

use boot_checks::engine::Redactor;
use regex::Regex;

use super::sandbox::Sandbox;

/// What differs in every run, and what stands for it.
const EXPRESSIONS: [(&str, &str); 4] = [
    // Who it is, whether it ran or slept when it was looked at, and since when there is one.
    (
        r"\bpid \d+ \([^;)]*; [A-Z] \([a-z ]*\); since [-0-9: ]*\)",
        "pid <pid> (another program)",
    ),
    (r"\bpid \d+\b", "pid <pid>"),
    (r"\b\d{8}_\d{6}(?:_\d+)?\b", "<run>"),
    (r"\b[0-9a-f]{16}\b", "<plan>"),
];

/// Knows the names of one sandbox.
#[derive(Debug, Default)]
pub(super) struct Words {
    root: String,
    port: String,
    secrets: Vec<String>,
}

impl Words {
    pub(super) fn of(sandbox: &Sandbox) -> Words {
        let config = sandbox.config();
        let secrets = config.map(|config| {
            let secrets = config.environment.secrets();
            secrets.map(str::to_owned).collect::<Vec<_>>()
        });
        Words {
            root: sandbox.root().display().to_string(),
            port: sandbox.port.to_string(),
            secrets: secrets.unwrap_or_default(),
        }
    }

    /// The text, without secrets and with a mark for each thing that another run calls otherwise.
    pub(super) fn text(&self, text: &str) -> String {
        static COMPILED: OnceLock<Vec<(Regex, &str)>> = OnceLock::new();
        let expressions = COMPILED.get_or_init(|| {
            let compile = |(expression, mark)| Regex::new(expression).ok().map(|it| (it, mark));
            EXPRESSIONS.into_iter().filter_map(compile).collect()
        });
        let mut text = Redactor::new(self.secrets.clone()).text(text);
        if !self.root.is_empty() {
            text = text.replace(&self.root, "<app>");
            let port = Regex::new(&format!(r"\b{}\b", self.port));
            if let Ok(port) = port {
                text = port.replace_all(&text, "<port>").into_owned();
            }
        }
        for (expression, mark) in expressions {
            text = expression.replace_all(&text, *mark).into_owned();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_marked() {
        let words = Words {
            root: "/tmp/x1/app".to_owned(),
            port: "4711".to_owned(),
            secrets: vec!["hunter22".to_owned()],
        };
        let text = "var/a.db is locked by pid 12 (/bin/xtask replay-program database /tmp/x1/app/var/a.db; \
                    S (sleeping); since 2026-11-23 22:41:18), port 4711, run 20261123_224118_2, 47110, hunter22";
        assert_eq!(
            words.text(text),
            "var/a.db is locked by pid <pid> (another program), port <port>, run <run>, 47110, [redacted]"
        );
    }
}
