//! Which row an entry of an index is of, where rows have keys of their own and no rowids.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::node::serial_types;

/// The values of an entry that are its row's key, a bit for each by its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyFields {
    fields: u64,
    /// Those of them that are not compared byte by byte.
    folded: u64,
}

impl KeyFields {
    /// Of the place and the collation of each part of the key; none where one has no place that can be named.
    pub(super) fn of(parts: &[(Option<u32>, &str)]) -> Option<KeyFields> {
        let mut key = KeyFields::default();
        for (place, collation) in parts {
            let bit = 1_u64.checked_shl((*place)?)?;
            key.fields |= bit;
            if !collation.eq_ignore_ascii_case("BINARY") {
                key.folded |= bit;
            }
        }
        (key.fields != 0).then_some(key)
    }

    /// The same for two entries of one row, and for two rows hardly ever; none where a part is missing.
    ///
    /// Safety: two texts that a collation of SQLite's takes for the same are the same here, and so are two
    /// numbers of equal value. Where that takes two rows for one, less is said of them.
    pub(super) fn digest(self, record: &[u8]) -> Option<u64> {
        let types = serial_types(record, record.len() as u64)?;
        let mut hasher = DefaultHasher::new();
        let mut body = record.len();
        let mut missing = self.fields;
        for (place, kind) in types.iter().enumerate().rev() {
            let from = body.checked_sub(length(*kind)?)?;
            let bit = u32::try_from(place)
                .ok()
                .and_then(|it| 1_u64.checked_shl(it));
            let bit = bit.unwrap_or_default();
            if self.fields & bit != 0 {
                hash_value(
                    *kind,
                    record.get(from..body)?,
                    self.folded & bit != 0,
                    &mut hasher,
                );
                missing &= !bit;
            }
            body = from;
        }
        (missing == 0).then(|| hasher.finish())
    }
}

fn length(kind: u64) -> Option<usize> {
    usize::try_from(match kind {
        0 | 8 | 9 => 0,
        1..=4 => kind,
        5 => 6,
        6 | 7 => 8,
        10 | 11 => return None,
        _ => (kind - 12) / 2,
    })
    .ok()
}

fn hash_value(kind: u64, bytes: &[u8], is_folded: bool, hasher: &mut DefaultHasher) {
    match kind {
        0 => 0_u8.hash(hasher),
        8 => (1_u8, 0_i64).hash(hasher),
        9 => (1_u8, 1_i64).hash(hasher),
        1..=6 => {
            let sign = match bytes.first() {
                Some(first) if first & 0x80 != 0 => -1_i64,
                _ => 0,
            };
            let value = bytes
                .iter()
                .fold(sign, |it, byte| it << 8 | i64::from(*byte));
            (1_u8, value).hash(hasher);
        }
        7 => {
            let bits = bytes.iter().fold(0, |it, byte| it << 8 | u64::from(*byte));
            let value = f64::from_bits(bits);
            let whole = value as i64;
            match whole as f64 == value {
                true => (1_u8, whole).hash(hasher),
                false => (2_u8, bits).hash(hasher),
            }
        }
        _ if kind % 2 == 1 && is_folded => {
            // In UTF-16 a space has a zero on one side of it.
            let end = bytes.iter().rposition(|byte| !matches!(byte, b' ' | 0));
            let kept = &bytes[..end.map_or(0, |end| end + 1)];
            (3_u8, kept.to_ascii_lowercase()).hash(hasher);
        }
        _ => ((kind % 2 + 3) as u8, bytes).hash(hasher),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_has_one_digest_and_two_have_two() {
        let check = |collation: &str, one: &[u8], other: &[u8]| {
            let key = KeyFields::of(&[(Some(1), collation)]).unwrap();
            let (one, other) = (key.digest(one).unwrap(), key.digest(other).unwrap());
            one == other
        };
        // What stands before the key has no say; 1, 1.0 and 2.
        assert!(check("BINARY", &[3, 1, 9, 7], &[3, 0, 9]));
        assert!(check(
            "BINARY",
            &[3, 0, 9],
            &[3, 0, 7, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]
        ));
        assert!(!check("BINARY", &[3, 0, 9], &[3, 0, 1, 2]));
        assert!(!check("BINARY", &[3, 0, 15, b'x'], &[3, 0, 15, b'X']));
        assert!(check("NOCASE", &[3, 0, 15, b'x'], &[3, 0, 15, b'X']));
        assert!(check("RTRIM", &[3, 0, 15, b'x'], &[3, 0, 17, b'x', b' ']));
        // A text and a blob of the same bytes.
        assert!(!check("BINARY", &[3, 0, 15, b'x'], &[3, 0, 14, b'x']));
    }

    #[test]
    fn a_key_that_is_not_all_there_has_none() {
        let key = KeyFields::of(&[(Some(2), "BINARY")]).unwrap();
        assert_eq!(key.digest(&[3, 0, 9]), None);
        assert_eq!(KeyFields::of(&[(Some(64), "BINARY")]), None);
        assert_eq!(KeyFields::of(&[(None, "BINARY")]), None);
        assert_eq!(KeyFields::of(&[]), None);
    }
}
