use super::pattern::{Escalation, LookAlike, Other, Pattern, Sample, Signature};
use crate::model::{AutonomyTier, RiskLevel};

static PATTERNS: &[Pattern] = include!(concat!(env!("OUT_DIR"), "/patterns.rs"));

/// All known patterns, in the order of their ids.
pub fn all() -> &'static [Pattern] {
    PATTERNS
}

/// The pattern with this id.
pub fn find(id: &str) -> Option<&'static Pattern> {
    PATTERNS.iter().find(|pattern| pattern.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::patterns::{Incident, OwnPackages, recognise};

    fn called(text: &str) -> Vec<Incident> {
        recognise(text, &OwnPackages::default())
    }

    #[test]
    fn every_folder_is_a_pattern_and_every_pattern_a_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/patterns");
        let folders: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let ids: BTreeSet<String> = all().iter().map(|pattern| pattern.id.to_owned()).collect();
        assert_eq!(folders, ids);
        assert!(find("database_locked").is_some());
        assert!(find("no_such_pattern").is_none());
    }

    #[test]
    fn every_sample_matches_its_pattern_alone_with_its_captures() {
        for pattern in all() {
            for sample in pattern.samples {
                let incidents = called(sample.text);
                let ids: BTreeSet<&str> = incidents.iter().map(|one| one.pattern).collect();
                assert_eq!(ids, BTreeSet::from([pattern.id]), "{}", sample.text);
                for (name, value) in sample.captures {
                    let captured = incidents[0].captures.get(name).map(String::as_str);
                    assert_eq!(captured, Some(*value), "{name} in {}", sample.text);
                }
            }
        }
    }

    #[test]
    fn every_signature_has_a_sample() {
        for pattern in all() {
            for signature in pattern.signatures {
                let regex = regex::bytes::Regex::new(signature.regex).unwrap();
                let shown = pattern.samples.iter().any(|sample| {
                    regex.is_match(sample.text.trim().as_bytes())
                        || signature
                            .anchors
                            .iter()
                            .any(|anchor| signature.window && sample.text.contains(anchor))
                });
                assert!(shown, "{}: {}", pattern.id, signature.regex);
            }
        }
    }

    #[test]
    fn no_look_alike_matches() {
        for pattern in all() {
            for look_alike in pattern.look_alikes {
                let hit = called(look_alike.text)
                    .iter()
                    .any(|one| one.pattern == pattern.id);
                assert!(!hit, "{} ({})", look_alike.text, look_alike.why);
            }
        }
    }

    /// What a healthy application of this kind writes, near to the words of the incidents.
    #[test]
    fn nothing_is_found_in_healthy_lines() {
        for line in include_str!("healthy_lines.txt").lines() {
            let ids: Vec<&str> = called(line).iter().map(|one| one.pattern).collect();
            assert!(ids.is_empty(), "{ids:?} in {line}");
        }
    }

    #[test]
    fn the_catalogue_itself_is_no_incident() {
        for pattern in all() {
            for signature in pattern.signatures {
                let line = format!("  \"trigger_pattern\": \"{}\",", signature.anchors[0]);
                assert!(called(&line).is_empty(), "{line}");
            }
        }
    }
}
