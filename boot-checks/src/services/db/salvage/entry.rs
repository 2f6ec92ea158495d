//! A cell of an index, or of a table without rowids.

use super::entry_key::KeyFields;
use super::node::{Node, NodeKind, local_bytes, serial_types};
use super::pages::{u32_at, varint};

/// Where the parts of it stand in its page.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryCell {
    pub(super) end: usize,
    /// Bytes of the whole record.
    pub(super) payload: u64,
    /// Where those of its bytes stand that are on this page.
    pub(super) local: (usize, usize),
    /// The first page of the rest.
    pub(super) overflow: Option<u32>,
}

impl EntryCell {
    /// None where it does not fit into its page.
    pub(super) fn parse(page: &[u8], node: &Node, at: usize, usable: usize) -> Option<EntryCell> {
        let child = match node.kind {
            NodeKind::IndexLeaf => 0,
            NodeKind::IndexInterior => 4,
            NodeKind::TableLeaf | NodeKind::TableInterior => return None,
        };
        let (payload, length) = varint(page, at + child)?;
        let from = at + child + length;
        let local = local_bytes(payload, usable, (usable - 12) * 64 / 255 - 23)?;
        let overflow = match local as u64 == payload {
            true => None,
            false => Some(u32_at(page, from + local)?),
        };
        let end = from + local + if overflow.is_some() { 4 } else { 0 };
        let end = end.max(at + 4);
        (end <= usable).then_some(EntryCell {
            end,
            payload,
            local: (from, from + local),
            overflow,
        })
    }
}

/// What an entry has to look like.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryShape {
    /// At least so many values.
    pub(super) fields_min: usize,
    /// At most so many.
    pub(super) fields_max: usize,
    /// Whether the last of them is the rowid of its row.
    pub(super) ends_in_rowid: bool,
    /// Which of them are the key of a row without a rowid, where that is asked for.
    pub(super) key: Option<KeyFields>,
}

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryOf {
    /// Of the row with this rowid.
    Row(i64),
    /// Of a row with a key of its own.
    Key,
    /// Of no row of this tree.
    Stranger,
}

impl EntryShape {
    pub(super) fn judge(self, record: &[u8], payload: u64) -> EntryOf {
        let Some(types) = serial_types(record, payload) else {
            return EntryOf::Stranger;
        };
        if !(self.fields_min..=self.fields_max).contains(&types.len()) {
            return EntryOf::Stranger;
        }
        match (self.ends_in_rowid, types.last()) {
            (false, _) => EntryOf::Key,
            (true, Some(kind)) => {
                last_integer(record, *kind).map_or(EntryOf::Stranger, EntryOf::Row)
            }
            (true, None) => EntryOf::Stranger,
        }
    }
}

/// The last value of a record, where it is an integer.
fn last_integer(record: &[u8], kind: u64) -> Option<i64> {
    let length = match kind {
        8 => return Some(0),
        9 => return Some(1),
        1..=4 => usize::try_from(kind).ok()?,
        5 => 6,
        6 => 8,
        _ => return None,
    };
    let bytes = record.get(record.len().checked_sub(length)?..)?;
    let sign = if bytes.first()? & 0x80 == 0 { 0 } else { -1 };
    Some(
        bytes
            .iter()
            .fold(sign, |value, byte| value << 8 | i64::from(*byte)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_names_the_row_that_it_is_of() {
        let shape = EntryShape {
            fields_min: 2,
            fields_max: 2,
            ends_in_rowid: true,
            key: None,
        };
        let judge = |record: &[u8]| shape.judge(record, record.len() as u64);
        assert_eq!(judge(&[3, 15, 1, b'x', 7]), EntryOf::Row(7));
        assert_eq!(judge(&[3, 15, 2, b'x', 0xff, 0xfe]), EntryOf::Row(-2));
        assert_eq!(judge(&[3, 15, 9, b'x']), EntryOf::Row(1));
        // A text, a real, a third value, a record that is cut off.
        for other in [
            &[3, 15, 15, b'x', b'y'][..],
            &[3, 15, 7, b'x', 0, 0, 0, 0, 0, 0, 0, 0],
            &[4, 15, 9, 9, b'x'],
            &[3, 15, 1, b'x'],
        ] {
            assert_eq!(judge(other), EntryOf::Stranger, "{other:?}");
        }
    }
}
