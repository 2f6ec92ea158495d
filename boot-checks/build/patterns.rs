//! Reads `fixtures/patterns/<id>/pattern.toml` and writes one Rust table.
//!
//! All mistakes that can be seen without running are found here, with file and line, so that a bad
//! pattern never reaches a boot. The table holds nothing but constants: a boot that diagnoses
//! nothing pays nothing for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

const RISKS: [(&str, &str); 4] = [
    ("low", "Low"),
    ("medium", "Medium"),
    ("high", "High"),
    ("critical", "Critical"),
];
const TIERS: [(&str, &str); 4] = [
    ("tier_1", "Auto"),
    ("tier_2", "Notify"),
    ("tier_3", "Approve"),
    ("tier_4", "Parliament"),
];
/// Shorter literals would send too many lines to the regexes.
const ANCHOR_LEN_MIN: usize = 5;
/// What the vectorised search takes at most.
const ANCHORS_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PatternFile {
    pub(crate) id: Spanned<String>,
    pub(crate) title: String,
    pub(crate) checks: Vec<String>,
    #[serde(default)]
    labels: Vec<String>,
    pub(crate) root_cause: String,
    pub(crate) symptoms: Vec<String>,
    pub(crate) playbook: Option<String>,
    pub(crate) risk: Spanned<String>,
    pub(crate) tier: Spanned<String>,
    pub(crate) advice: String,
    pub(crate) verification: Vec<String>,
    next_command: String,
    pub(crate) escalation: Option<Escalation>,
    pub(crate) signatures: Vec<Signature>,
    pub(crate) samples: Vec<Sample>,
    look_alikes: Vec<LookAlike>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Escalation {
    pub(crate) when: String,
    pub(crate) risk: Spanned<String>,
    pub(crate) tier: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signature {
    pub(crate) regex: Spanned<String>,
    anchors: Spanned<Vec<String>>,
    unless: Option<Spanned<String>>,
    #[serde(default)]
    subject: Vec<String>,
    other: Option<Other>,
    own_package: Option<bool>,
    #[serde(default)]
    window: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Other {
    cause: String,
    advice: String,
    risk: Spanned<String>,
    tier: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sample {
    pub(crate) text: Spanned<String>,
    #[serde(default)]
    captures: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LookAlike {
    text: String,
    why: String,
}

/// Where in which file something is wrong, as compilers say it.
struct Place<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Place<'_> {
    fn problem(&self, offset: usize, message: impl std::fmt::Display) -> String {
        let line = self.text[..offset.min(self.text.len())]
            .bytes()
            .filter(|byte| *byte == b'\n')
            .count()
            + 1;
        format!("{}:{line}: {message}", self.file.display())
    }
}

/// Writes the table of all patterns below `folder` to `out`, and answers them.
pub(crate) fn generate(folder: &Path, out: &Path) -> Result<Vec<PatternFile>, String> {
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut ids = Vec::new();
    let listing = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for entry in listing {
        let entry = entry.map_err(|e| format!("{}: {e}", folder.display()))?;
        if entry.path().is_dir() {
            ids.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    ids.sort();
    let mut code = String::from("&[\n");
    let mut anchors = Vec::new();
    let mut patterns = Vec::new();
    for id in &ids {
        let file = folder.join(id).join("pattern.toml");
        println!("cargo:rerun-if-changed={}", file.display());
        let text =
            std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let place = Place {
            file: &file,
            text: &text,
        };
        let pattern: PatternFile = toml::from_str(&text)
            .map_err(|e| place.problem(e.span().map_or(0, |span| span.start), e.message()))?;
        check(&pattern, id, &place)?;
        check_anchors(&pattern, &mut anchors, &place)?;
        check_samples(&pattern, &place)?;
        write_pattern(&mut code, &pattern, &place)?;
        patterns.push(pattern);
    }
    code.push(']');
    std::fs::write(out, code).map_err(|e| format!("{}: {e}", out.display()))?;
    Ok(patterns)
}

fn check(pattern: &PatternFile, folder: &str, place: &Place<'_>) -> Result<(), String> {
    if pattern.id.as_ref() != folder {
        let message = format!(
            "id `{}` is not the folder's name `{folder}`",
            pattern.id.as_ref()
        );
        return Err(place.problem(pattern.id.span().start, message));
    }
    let at = pattern.id.span().start;
    for (name, empty) in [
        ("checks", pattern.checks.is_empty()),
        ("symptoms", pattern.symptoms.is_empty()),
        ("verification", pattern.verification.is_empty()),
        ("signatures", pattern.signatures.is_empty()),
        ("samples", pattern.samples.is_empty()),
        ("look_alikes", pattern.look_alikes.is_empty()),
        ("advice", pattern.advice.is_empty()),
        ("root_cause", pattern.root_cause.is_empty()),
    ] {
        if empty {
            return Err(place.problem(at, format!("`{name}` is empty")));
        }
    }
    let mut names = Vec::new();
    for signature in &pattern.signatures {
        let regex = compile(&signature.regex, place)?;
        names.extend(regex.capture_names().flatten().map(str::to_owned));
        if let Some(unless) = &signature.unless {
            compile(unless, place)?;
        }
        for subject in &signature.subject {
            for name in subject.split('|') {
                if !regex.capture_names().flatten().any(|known| known == name) {
                    let message = format!("subject `{name}` is no capture of the regex");
                    return Err(place.problem(signature.regex.span().start, message));
                }
            }
        }
        if signature.own_package.is_some()
            && !regex.capture_names().flatten().any(|name| name == "module")
        {
            let message = "`own_package` needs a capture named `module`";
            return Err(place.problem(signature.regex.span().start, message));
        }
    }
    for sample in &pattern.samples {
        if let Some(name) = sample.captures.keys().find(|name| !names.contains(name)) {
            let message = format!("no signature captures `{name}`");
            return Err(place.problem(sample.text.span().start, message));
        }
    }
    Ok(())
}

/// A line that holds none of its anchors never gets as far as the expression.
fn check_samples(pattern: &PatternFile, place: &Place<'_>) -> Result<(), String> {
    for signature in &pattern.signatures {
        let regex = compile(&signature.regex, place)?;
        let anchors = signature.anchors.as_ref();
        for sample in &pattern.samples {
            let text = sample.text.as_ref();
            let has_anchor = anchors.iter().any(|anchor| text.contains(anchor));
            if regex.is_match(text.as_bytes()) && !has_anchor {
                let message =
                    format!("the expression matches a sample that holds no anchor: {text}");
                return Err(place.problem(signature.anchors.span().start, message));
            }
        }
    }
    Ok(())
}

fn compile(regex: &Spanned<String>, place: &Place<'_>) -> Result<regex::bytes::Regex, String> {
    regex::bytes::Regex::new(regex.as_ref()).map_err(|error| {
        let mut problem = format!("not a regular expression: {error}");
        if problem.contains("case insensitivity") {
            problem.push_str(
                "\nwrite `(?i-u:words)`: the cases of other letters than a to z are not built in",
            );
        }
        place.problem(regex.span().start, problem)
    })
}

/// The search reports one anchor for each place, so none may begin with another.
fn check_anchors(
    pattern: &PatternFile,
    known: &mut Vec<String>,
    place: &Place<'_>,
) -> Result<(), String> {
    for signature in &pattern.signatures {
        let at = signature.anchors.span().start;
        if signature.anchors.as_ref().is_empty() {
            return Err(place.problem(at, "a signature needs at least one anchor"));
        }
        for anchor in signature.anchors.as_ref() {
            if anchor.len() < ANCHOR_LEN_MIN {
                let message = format!("anchor `{anchor}` is under {ANCHOR_LEN_MIN} bytes");
                return Err(place.problem(at, message));
            }
            let clash = known.iter().find(|other| {
                *other != anchor && (other.starts_with(anchor) || anchor.starts_with(*other))
            });
            if let Some(other) = clash {
                let message = format!("anchor `{anchor}` and anchor `{other}` begin alike");
                return Err(place.problem(at, message));
            }
            if !known.contains(anchor) {
                known.push(anchor.clone());
            }
        }
        if known.len() > ANCHORS_MAX {
            return Err(place.problem(at, format!("more than {ANCHORS_MAX} anchors in all")));
        }
    }
    Ok(())
}

fn word(
    table: &[(&str, &str)],
    word: &Spanned<String>,
    place: &Place<'_>,
) -> Result<String, String> {
    table
        .iter()
        .find(|(known, _)| known == word.as_ref())
        .map(|(_, variant)| (*variant).to_owned())
        .ok_or_else(|| {
            let known: Vec<&str> = table.iter().map(|(known, _)| *known).collect();
            let message = format!("`{}` is not one of {}", word.as_ref(), known.join(", "));
            place.problem(word.span().start, message)
        })
}

fn write_pattern(
    code: &mut String,
    pattern: &PatternFile,
    place: &Place<'_>,
) -> Result<(), String> {
    let risk = word(&RISKS, &pattern.risk, place)?;
    let tier = word(&TIERS, &pattern.tier, place)?;
    let escalation = match &pattern.escalation {
        None => "None".to_owned(),
        Some(escalation) => format!(
            "Some(Escalation {{ when: {:?}, risk: RiskLevel::{}, tier: AutonomyTier::{} }})",
            escalation.when,
            word(&RISKS, &escalation.risk, place)?,
            word(&TIERS, &escalation.tier, place)?,
        ),
    };
    let signatures = signatures_code(pattern, place)?;
    let mut samples = String::new();
    for sample in &pattern.samples {
        let captures: Vec<(&String, &String)> = sample.captures.iter().collect();
        let text = sample.text.as_ref();
        push(
            &mut samples,
            format_args!("Sample {{ text: {text:?}, captures: &{captures:?} }},"),
        );
    }
    let mut look_alikes = String::new();
    for LookAlike { text, why } in &pattern.look_alikes {
        push(
            &mut look_alikes,
            format_args!("LookAlike {{ text: {text:?}, why: {why:?} }},"),
        );
    }
    push(
        code,
        format_args!(
            "Pattern {{ id: {:?}, title: {:?}, checks: &{:?}, labels: &{:?}, root_cause: {:?}, \
             symptoms: &{:?}, playbook: {:?}, risk: RiskLevel::{risk}, \
             tier: AutonomyTier::{tier}, advice: {:?}, verification: &{:?}, next_command: {:?}, \
             escalation: {escalation}, signatures: &[{signatures}], samples: &[{samples}], \
             look_alikes: &[{look_alikes}] }},\n",
            pattern.id.as_ref(),
            pattern.title,
            pattern.checks,
            pattern.labels,
            pattern.root_cause,
            pattern.symptoms,
            pattern.playbook,
            pattern.advice,
            pattern.verification,
            pattern.next_command,
        ),
    );
    Ok(())
}

fn signatures_code(pattern: &PatternFile, place: &Place<'_>) -> Result<String, String> {
    let mut signatures = String::new();
    for signature in &pattern.signatures {
        let other = match &signature.other {
            None => "None".to_owned(),
            Some(other) => format!(
                "Some(Other {{ cause: {:?}, advice: {:?}, risk: RiskLevel::{}, \
                 tier: AutonomyTier::{} }})",
                other.cause,
                other.advice,
                word(&RISKS, &other.risk, place)?,
                word(&TIERS, &other.tier, place)?,
            ),
        };
        push(
            &mut signatures,
            format_args!(
                "Signature {{ regex: {:?}, anchors: &{:?}, unless: {:?}, subject: &{:?}, \
                 other: {other}, own_package: {:?}, window: {:?} }},",
                signature.regex.as_ref(),
                signature.anchors.as_ref(),
                signature.unless.as_ref().map(Spanned::as_ref),
                signature.subject,
                signature.own_package,
                signature.window,
            ),
        );
    }
    Ok(signatures)
}

fn push(code: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = code.write_fmt(text);
}
