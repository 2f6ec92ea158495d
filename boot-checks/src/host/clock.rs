use std::time::SystemTime;

use jiff::civil::DateTime;

/// What time it is, in local time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system's clock and time zone.
    System,
    /// Always this time.
    Fixed(DateTime),
}

impl Clock {
    /// Now.
    pub fn now(&self) -> DateTime {
        match self {
            Clock::System => jiff::ZonedDateTime::now().datetime(),
            Clock::Fixed(time) => *time,
        }
    }

    /// Seconds since 1970 in UTC, for metrics.
    pub fn unix_seconds(&self) -> u64 {
        match self {
            Clock::System => SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            Clock::Fixed(time) => time
                .to_zoned_datetime(jiff::tz::TimeZone::UTC)
                .map_or(0, |zoned| zoned.timestamp().as_second().max(0) as u64),
        }
    }

    /// A time as people read it: local, to the second.
    pub fn local(time: SystemTime) -> String {
        let zoned = jiff::ZonedDateTime::try_from(time);
        zoned.map_or_else(
            |_| "a time out of range".to_owned(),
            |zoned| zoned.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        )
    }

    /// Now as SPEC.md writes it: ISO 8601 without zone, with microseconds.
    pub fn timestamp(&self) -> String {
        self.now().strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string()
    }

    /// Now as it stands in the names of records: `20251109_183000`.
    pub fn compact(&self) -> String {
        self.now().strftime("%Y%m%d_%H%M%S").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let clock = Clock::Fixed(jiff::civil::date(2025, 11, 9).at(18, 30, 0, 123_456_000));
        assert_eq!(clock.timestamp(), "2025-11-09T18:30:00.123456");
        assert_eq!(clock.compact(), "20251109_183000");
        assert_eq!(clock.unix_seconds(), 1_762_713_000);
    }
}
