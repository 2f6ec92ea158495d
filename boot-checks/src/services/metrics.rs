//! Metrics: samples are recorded and read back; a catalogue says what they mean.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

/// Grace's catalogue and rules, as the build script reads them in `autonomy.toml`.
const CATALOGUE: &str = include_str!(concat!(env!("OUT_DIR"), "/autonomy.json"));

/// Collects samples.
#[derive(Debug, Default)]
pub struct MetricsCollector {
    samples: Mutex<BTreeMap<String, Vec<f64>>>,
}

/// Samples kept per metric; a boot records a handful, a monitor forgets the oldest.
const SAMPLES_MAX: usize = 1_000;

impl MetricsCollector {
    /// Records one sample.
    pub fn record(&self, name: &str, value: f64) {
        let mut samples = self.lock();
        let series = samples.entry(name.to_owned()).or_default();
        if series.len() == SAMPLES_MAX {
            series.remove(0);
        }
        series.push(value);
    }

    /// The newest sample of a metric.
    pub fn latest(&self, name: &str) -> Option<f64> {
        self.lock()
            .get(name)
            .and_then(|series| series.last().copied())
    }

    /// The newest sample of every metric.
    pub fn snapshot(&self) -> BTreeMap<String, f64> {
        self.lock()
            .iter()
            .filter_map(|(name, series)| Some((name.clone(), *series.last()?)))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<f64>>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the application's figures mean and what to do about them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// Key performance indicators.
    pub kpi: Vec<Kpi>,
    /// What to do when one leaves its band.
    pub rule: Vec<Rule>,
}

/// One key performance indicator.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kpi {
    /// Such as `startup.validation_errors`.
    pub name: String,
    /// The part of the application that it speaks of.
    pub domain: String,
    /// Unit of its values.
    pub unit: String,
    /// Which direction is better.
    pub better: Better,
    /// Up to here (or down to here, where higher is better) all is well.
    pub good: f64,
    /// From here on it is an incident.
    pub critical: f64,
}

/// Which direction is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

/// Where a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Band {
    /// Nothing to do.
    Good,
    /// To be watched.
    Watch,
    /// An incident.
    Critical,
}

/// A proactive rule.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// The indicator that it watches.
    pub kpi: String,
    /// The playbook that it proposes.
    pub playbook: String,
}

impl Kpi {
    /// The band of a value.
    pub fn band(&self, value: f64) -> Band {
        let (value, good, critical) = match self.better {
            Better::Lower => (value, self.good, self.critical),
            Better::Higher => (-value, -self.good, -self.critical),
        };
        if value <= good {
            Band::Good
        } else if value < critical {
            Band::Watch
        } else {
            Band::Critical
        }
    }

    fn is_ordered(&self) -> bool {
        match self.better {
            Better::Lower => self.good < self.critical,
            Better::Higher => self.good > self.critical,
        }
    }
}

impl Catalogue {
    /// Grace's own.
    ///
    /// # Errors
    ///
    /// When it is not in the form, a band has no room, or a rule watches an unknown indicator.
    pub fn built_in() -> Result<Catalogue, String> {
        let catalogue: Catalogue =
            serde_json::from_str(CATALOGUE).map_err(|error| error.to_string())?;
        catalogue.judged()
    }

    fn judged(self) -> Result<Catalogue, String> {
        if let Some(kpi) = self.kpi.iter().find(|kpi| !kpi.is_ordered()) {
            return Err(format!(
                "{}: `good` does not come before `critical`",
                kpi.name
            ));
        }
        let unknown = |rule: &&Rule| self.kpi.iter().all(|kpi| kpi.name != rule.kpi);
        if let Some(rule) = self.rule.iter().find(unknown) {
            return Err(format!(
                "rule {} watches {}, which is no indicator",
                rule.name, rule.kpi
            ));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_back_and_bounded() {
        let collector = MetricsCollector::default();
        assert_eq!(collector.latest("a"), None);
        for value in 0..=SAMPLES_MAX {
            collector.record("a", value as f64);
        }
        assert_eq!(collector.latest("a"), Some(SAMPLES_MAX as f64));
        assert_eq!(collector.lock()["a"].len(), SAMPLES_MAX);
    }

    #[test]
    fn the_built_in_catalogue_is_sound() {
        let catalogue = Catalogue::built_in().unwrap();
        assert!(!catalogue.kpi.is_empty() && !catalogue.rule.is_empty());
    }

    fn kpi(better: Better, good: f64, critical: f64) -> Kpi {
        Kpi {
            name: "a".to_owned(),
            domain: String::new(),
            unit: String::new(),
            better,
            good,
            critical,
        }
    }

    #[test]
    fn bands_follow_the_better_direction() {
        let errors = kpi(Better::Lower, 0.0, 3.0);
        assert_eq!(
            [0.0, 1.0, 3.0].map(|v| errors.band(v)),
            [Band::Good, Band::Watch, Band::Critical]
        );
        let passed = kpi(Better::Higher, 4.0, 2.0);
        assert_eq!(
            [4.0, 3.0, 2.0].map(|v| passed.band(v)),
            [Band::Good, Band::Watch, Band::Critical]
        );
    }

    #[test]
    fn unsound_catalogues_are_refused() {
        let watching = |name: &str, kpi: Kpi| Catalogue {
            kpi: vec![kpi],
            rule: vec![Rule {
                name: "r".to_owned(),
                kpi: name.to_owned(),
                playbook: "p".to_owned(),
            }],
        };
        let refused = |catalogue: Catalogue| catalogue.judged().unwrap_err();
        watching("a", kpi(Better::Lower, 1.0, 2.0))
            .judged()
            .unwrap();
        let reversed = watching("a", kpi(Better::Lower, 2.0, 1.0));
        assert!(refused(reversed).contains("good"));
        let dangling = watching("b", kpi(Better::Lower, 1.0, 2.0));
        assert!(refused(dangling).contains("no indicator"));
    }
}
