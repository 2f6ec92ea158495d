//! What many boots say together: a pure fold over their records.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::BootRecord;

/// Issues that are named.
const MAX_ISSUES: usize = 10;

/// Boots on either side of the comparison that yields the trend.
const TREND_BOOTS: usize = 10;

/// After so many further boots, one counts half.
const HALF_LIFE_BOOTS: f64 = 10.0;

/// What boots have been like.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct History {
    /// Boots that say something of the application.
    pub boots: usize,
    /// Those after which it could start.
    pub successes: usize,
    /// Boots that say nothing of it: partial ones, and those that never began.
    pub left_out: usize,
    /// Share of successes, 0 to 1; none without boots.
    pub success_rate: Option<f64>,
    /// From 0 (never starts) to 100 (starts, and nothing is ever wrong); none without boots.
    ///
    /// The mean of the boots' worth, each weighted by `0.5 ^ (age / 10)`, where the newest has age
    /// 0: worth 100 when nothing was wrong, 90 with warnings, 80 when something had to be healed,
    /// 70 with both, 0 when the application could not start.
    pub health_score: Option<u8>,
    /// Whether it gets better.
    pub trend: Trend,
    /// Failed boots since the last success.
    pub failures_in_a_row: usize,
    /// What is wrong most often, most frequent first.
    pub issues: Vec<FrequentIssue>,
}

/// Whether boots get better: the mean worth of the newest ten against that of the ten before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trend {
    /// By more than five points.
    Improving,
    /// Within five points.
    Steady,
    /// By more than five points.
    Worsening,
    /// There are not as many as four boots to compare.
    Unknown,
}

/// A problem that came up in some boots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FrequentIssue {
    /// The step that found it.
    pub step: String,
    /// The finding's code; `could-not-look` for a check that could not.
    pub code: String,
    /// Boots in which it came up.
    pub boots: usize,
    /// Boots in which it was healed.
    pub healed: usize,
    /// The newest of them.
    pub last_run_id: String,
}

impl Trend {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Trend::Improving => "improving",
            Trend::Steady => "steady",
            Trend::Worsening => "worsening",
            Trend::Unknown => "unknown",
        }
    }
}

impl History {
    /// The history that these records tell, newest first.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a BootRecord>) -> History {
        let (counted, left_out): (Vec<_>, Vec<_>) = records.into_iter().partition(|it| counts(it));
        let worths: Vec<f64> = counted.iter().map(|record| worth(record)).collect();
        let successes = counted.iter().filter(|it| it.summary.success).count();
        let boots = counted.len();
        History {
            boots,
            successes,
            left_out: left_out.len(),
            success_rate: (boots > 0).then(|| successes as f64 / boots as f64),
            health_score: health_score(&worths),
            trend: trend(&worths),
            failures_in_a_row: counted.iter().take_while(|it| !it.summary.success).count(),
            issues: issues(&counted),
        }
    }
}

/// Whether the boot says something of the application.
fn counts(record: &BootRecord) -> bool {
    let never_looked = ["usage", "config", "lock-held", "nothing-checked", "bug"];
    !record.partial && !never_looked.contains(&record.summary.verdict.as_str())
}

fn worth(record: &BootRecord) -> f64 {
    if !record.summary.success {
        return 0.0;
    }
    let mut steps = record.stages.iter().flat_map(|stage| &stage.steps);
    let warned = steps.any(|step| step.status == "warn" || step.status == "error");
    let healed = record.summary.fixes_applied > 0;
    100.0 - if warned { 10.0 } else { 0.0 } - if healed { 20.0 } else { 0.0 }
}

fn health_score(worths: &[f64]) -> Option<u8> {
    let weight = |age: usize| 0.5_f64.powf(age as f64 / HALF_LIFE_BOOTS);
    let weights: f64 = (0..worths.len()).map(weight).sum();
    let ages = worths.iter().enumerate();
    let sum: f64 = ages.map(|(age, worth)| weight(age) * worth).sum();
    // A weighted mean of values from 0 to 100 lies between them.
    (!worths.is_empty()).then(|| (sum / weights).round() as u8)
}

fn trend(worths: &[f64]) -> Trend {
    const ENOUGH: usize = 4;
    const POINTS: f64 = 5.0;
    if worths.len() < ENOUGH {
        return Trend::Unknown;
    }
    let (newer, older) = worths.split_at(TREND_BOOTS.min(worths.len() / 2));
    let mean = |worths: &[f64]| worths.iter().sum::<f64>() / worths.len() as f64;
    let change = mean(newer) - mean(&older[..TREND_BOOTS.min(older.len())]);
    if change > POINTS {
        Trend::Improving
    } else if change < -POINTS {
        Trend::Worsening
    } else {
        Trend::Steady
    }
}

fn issues(records: &[&BootRecord]) -> Vec<FrequentIssue> {
    let mut found: BTreeMap<(String, String), FrequentIssue> = BTreeMap::new();
    for record in records {
        // One boot counts once, however often it met the same.
        let mut here: BTreeMap<(String, String), bool> = BTreeMap::new();
        for step in record.stages.iter().flat_map(|stage| &stage.steps) {
            for problem in &step.problems {
                let code = problem["code"].as_str().unwrap_or("unknown");
                here.insert((step.id.clone(), code.to_owned()), step.status == "fixed");
            }
            if step.status == "error" {
                here.insert((step.id.clone(), "could-not-look".to_owned()), false);
            }
        }
        for ((step, code), healed) in here {
            let issue = found
                .entry((step.clone(), code.clone()))
                .or_insert_with(|| FrequentIssue {
                    step,
                    code,
                    boots: 0,
                    healed: 0,
                    last_run_id: record.run_id.clone(),
                });
            issue.boots += 1;
            issue.healed += usize::from(healed);
        }
    }
    let mut issues: Vec<FrequentIssue> = found.into_values().collect();
    issues.sort_by_key(|issue| std::cmp::Reverse(issue.boots));
    issues.truncate(MAX_ISSUES);
    issues
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    /// `c`ompleted, completed with fixes and a warning (`f`), `a`borted, `p`artial; newest first.
    fn history(boots: &str) -> History {
        let record = |boot: char| {
            let events = match boot {
                'c' => sample::completed(),
                'f' => sample::completed_with_fixes(),
                'a' => sample::aborted(),
                'p' => sample::partial(),
                other => panic!("{other}"),
            };
            BootRecord::fold(&events).unwrap()
        };
        let records: Vec<BootRecord> = boots.chars().map(record).collect();
        History::of(&records)
    }

    #[test]
    fn the_score_runs_from_never_starts_to_nothing_is_ever_wrong() {
        for (boots, expect) in [
            ("", None),
            ("p", None),
            ("c", Some(100)),
            ("f", Some(70)),
            ("a", Some(0)),
            ("ca", Some(52)),
            ("ac", Some(48)),
        ] {
            assert_eq!(history(boots).health_score, expect, "{boots}");
        }
    }

    #[test]
    fn the_trend_compares_the_newer_with_the_older() {
        for (boots, expect) in [
            ("aac", Trend::Unknown),
            ("ccaa", Trend::Improving),
            ("aacc", Trend::Worsening),
            ("cccc", Trend::Steady),
            ("ccccccccccaaaaaaaaaacccccccccc", Trend::Improving),
        ] {
            assert_eq!(history(boots).trend, expect, "{boots}");
        }
    }

    #[test]
    fn partial_boots_are_left_out_and_failures_are_counted_from_the_newest() {
        let history = history("papcap");
        assert_eq!((history.boots, history.left_out), (3, 3));
        assert_eq!((history.successes, history.failures_in_a_row), (1, 1));
        assert_eq!(history.success_rate, Some(1.0 / 3.0));
    }

    #[test]
    fn the_most_frequent_issue_comes_first_with_how_often_it_was_healed() {
        let issues = history("fafc").issues;
        let told: Vec<_> = issues
            .iter()
            .map(|it| (it.code.as_str(), it.boots, it.healed))
            .collect();
        assert_eq!(
            told,
            [
                ("schema_outdated", 3, 2),
                ("secret_missing", 2, 0),
                ("could-not-look", 1, 0)
            ]
        );
    }
}
