use super::pages::{u16_at, u32_at, varint};

/// What a page of a b-tree is (<https://www.sqlite.org/fileformat2.html#b_tree_pages>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeKind {
    /// Rows.
    TableLeaf,
    /// Pointers to pages of a table.
    TableInterior,
    /// Entries of an index, or rows of a table without rowids.
    IndexLeaf,
    /// Pointers to pages of an index, each with an entry.
    IndexInterior,
}

/// A page of a b-tree whose outline is sound.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: NodeKind,
    /// Where the cells begin, as the page says; each has to be looked at for itself.
    pub(super) cells: Vec<usize>,
    /// Where the first cell may begin.
    pub(super) content_from: usize,
    /// The last child of an interior page.
    pub(super) right: u32,
}

/// Where the b-tree's own header stands in a page.
pub(super) fn header_at(number: u32) -> usize {
    if number == 1 { 100 } else { 0 }
}

impl Node {
    /// None where the page is no page of a b-tree.
    pub(super) fn parse(page: &[u8], number: u32, usable: usize) -> Option<Node> {
        let at = header_at(number);
        let (kind, header) = match page.get(at)? {
            0x0d => (NodeKind::TableLeaf, 8),
            0x05 => (NodeKind::TableInterior, 12),
            0x0a => (NodeKind::IndexLeaf, 8),
            0x02 => (NodeKind::IndexInterior, 12),
            _ => return None,
        };
        let count = u16_at(page, at + 3)?;
        let content_from = at + header + 2 * count;
        if content_from > usable {
            return None;
        }
        let cells = (0..count).map(|cell| u16_at(page, at + header + 2 * cell));
        Some(Node {
            kind,
            cells: cells.collect::<Option<_>>()?,
            content_from,
            right: match header {
                12 => u32_at(page, at + 8)?,
                _ => 0,
            },
        })
    }
}

/// A cell of a leaf of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowCell {
    pub(super) offset: usize,
    pub(super) end: usize,
    pub(super) rowid: i64,
    /// Bytes of the whole record.
    pub(super) payload: u64,
    /// Where those of its bytes stand that are on this page.
    pub(super) local: (usize, usize),
    /// The first page of the rest.
    pub(super) overflow: Option<u32>,
}

impl RowCell {
    /// None where it does not fit into its page.
    pub(super) fn parse(page: &[u8], node: &Node, offset: usize, usable: usize) -> Option<RowCell> {
        if offset < node.content_from {
            return None;
        }
        let (payload, first) = varint(page, offset)?;
        let (rowid, second) = varint(page, offset + first)?;
        let from = offset + first + second;
        let local = local_bytes(payload, usable, usable - 35)?;
        let overflow = match local as u64 == payload {
            true => None,
            false => Some(u32_at(page, from + local)?),
        };
        let end = from + local + if overflow.is_some() { 4 } else { 0 };
        // A cell is never smaller than the note of a free block that may take its place.
        let end = end.max(offset + 4);
        (end <= usable).then_some(RowCell {
            offset,
            end,
            rowid: rowid.cast_signed(),
            payload,
            local: (from, from + local),
            overflow,
        })
    }
}

/// How much of a payload stands on the page itself
/// (<https://www.sqlite.org/fileformat2.html#b_tree_pages>, "X", "M" and "K").
pub(super) fn local_bytes(payload: u64, usable: usize, most: usize) -> Option<usize> {
    if payload <= most as u64 {
        return usize::try_from(payload).ok();
    }
    let least = (usable - 12) * 32 / 255 - 23;
    let rest = (payload - least as u64) % (usable as u64 - 4);
    let wanted = least + usize::try_from(rest).ok()?;
    Some(if wanted <= most { wanted } else { least })
}

/// The columns' types in a record, where its header adds up to its length.
pub(super) fn serial_types(record: &[u8], payload: u64) -> Option<Vec<u64>> {
    let (header, mut at) = varint(record, 0)?;
    let header = usize::try_from(header).ok()?;
    let mut types = Vec::new();
    let mut body = 0_u64;
    while at < header {
        let (kind, length) = varint(record, at)?;
        at += length;
        body = body.checked_add(match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => (kind - 12) / 2,
        })?;
        types.push(kind);
    }
    let adds_up = at == header && (header as u64).checked_add(body)? == payload;
    adds_up.then_some(types)
}
