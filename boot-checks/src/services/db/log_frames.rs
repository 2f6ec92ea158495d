use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::host::read_exact_at;

/// The two numbers that name one generation of a log
/// (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>).
pub(super) type Salts = [u8; 8];

/// SQLite's own of a log and its index.
pub(super) type Sum = (u32, u32);

/// In which order the bytes of a word are taken for a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Big,
    Little,
}

impl ByteOrder {
    /// The machine's own, which an index is in.
    pub(super) const NATIVE: ByteOrder = match cfg!(target_endian = "big") {
        true => ByteOrder::Big,
        false => ByteOrder::Little,
    };
}

/// The frames of a write-ahead log that SQLite would replay or pass over, in their order, as far as their
/// salts and checksums hold (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>).
#[derive(Debug)]
pub(super) struct Frames {
    file: File,
    page_size: usize,
    salts: Salts,
    checkpoints: u32,
    sum: Sum,
    order: ByteOrder,
    at: u64,
    /// Where they end, if it is known otherwise which count.
    end: Option<u64>,
    bytes: Vec<u8>,
}

/// One page as a transaction left it.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    /// The page's number, from 1.
    pub(super) page: u32,
    /// Pages of the database after the transaction that this frame ends; 0 where it ends none.
    pub(super) pages_after_commit: u32,
    /// Where the page's bytes begin in the log.
    pub(super) place: u64,
    /// The page.
    pub(super) contents: &'a [u8],
    /// The checksum of the log up to here, as the frame has it.
    pub(super) sum: Sum,
    /// As the frame has them.
    pub(super) salts: Salts,
}

impl Frame<'_> {
    /// Whether SQLite left its salts and its checksum out.
    pub(super) fn is_bare(&self) -> bool {
        self.salts == Salts::default() && self.sum == Sum::default()
    }

    /// The checksum of the log up to here where this is the one before it.
    pub(super) fn sum_after(&self, before: Sum, order: ByteOrder) -> Sum {
        let (page, pages) = (
            self.page.to_be_bytes(),
            self.pages_after_commit.to_be_bytes(),
        );
        let header = [page, pages].concat();
        checksum(self.contents, checksum(&header, before, order), order)
    }
}

/// Bytes of a log's header.
pub(super) const HEADER: usize = 32;
/// Bytes of a frame's header.
pub(super) const FRAME_HEADER: usize = 24;

/// The magic number of a log; its last bit says in which order the checksums are computed.
const MAGIC: u32 = 0x377f_0682;

impl Frames {
    /// Opens a log; none where its header does not hold.
    pub(super) fn open(path: &Path) -> io::Result<Option<Frames>> {
        Frames::of(File::open(path)?)
    }

    /// The same of one that is open.
    pub(super) fn of(file: File) -> io::Result<Option<Frames>> {
        let mut header = [0; HEADER];
        if read_exact_at(&file, &mut header, 0).is_err() {
            return Ok(None);
        }
        let page_size = u32_at(&header, 8) as usize;
        let is_size = (512..=65_536).contains(&page_size) && page_size.is_power_of_two();
        if u32_at(&header, 0) & !1 != MAGIC || !is_size {
            return Ok(None);
        }
        let order = match u32_at(&header, 0) & 1 {
            1 => ByteOrder::Big,
            _ => ByteOrder::Little,
        };
        let sum = checksum(&header[..24], (0, 0), order);
        if sum != (u32_at(&header, 24), u32_at(&header, 28)) {
            return Ok(None);
        }
        Ok(Some(Frames {
            file,
            page_size,
            checkpoints: u32_at(&header, 12),
            salts: std::array::from_fn(|at| header[16 + at]),
            sum,
            order,
            at: HEADER as u64,
            end: None,
            bytes: vec![0; FRAME_HEADER + page_size],
        }))
    }

    /// Bytes of a page.
    pub(super) fn page_size(&self) -> usize {
        self.page_size
    }

    /// What names this generation of the log.
    pub(super) fn salts(&self) -> Salts {
        self.salts
    }

    /// How often the log was begun anew over older frames.
    pub(super) fn checkpoints(&self) -> u32 {
        self.checkpoints
    }

    /// Where the frames end that held so far.
    pub(super) fn end(&self) -> u64 {
        self.at
    }

    /// The checksum up to where the frames end that held so far.
    pub(super) fn sum(&self) -> Sum {
        self.sum
    }

    /// The order that its checksums are computed in.
    pub(super) fn order(&self) -> ByteOrder {
        self.order
    }

    /// The same up to there as they are, whether they hold or not, and none behind: it is known otherwise that they
    /// count.
    pub(super) fn taken_up_to(self, end: u64) -> Frames {
        Frames {
            end: Some(end),
            ..self
        }
    }

    /// Goes on behind them as usual.
    pub(super) fn and_on(self) -> Frames {
        Frames { end: None, ..self }
    }

    /// Bytes of the log up to the end of this many.
    pub(super) fn bytes_of(&self, frames: usize) -> u64 {
        HEADER as u64 + frames as u64 * self.bytes.len() as u64
    }

    /// Whether one of the first frames is bare.
    pub(super) fn has_bare(&self, frames: usize) -> io::Result<bool> {
        let mut header = [0; FRAME_HEADER];
        for frame in 0..frames {
            match read_exact_at(&self.file, &mut header, self.bytes_of(frame)) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
                read => read?,
            }
            if is_bare(&header) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The next frame that holds.
    pub(super) fn next_frame(&mut self) -> Option<Frame<'_>> {
        if self.end.is_some_and(|end| self.at >= end) {
            return None;
        }
        read_exact_at(&self.file, &mut self.bytes, self.at).ok()?;
        let (header, contents) = self.bytes.split_at(FRAME_HEADER);
        let sum = (u32_at(header, 16), u32_at(header, 20));
        let frame = Frame {
            page: u32_at(header, 0),
            pages_after_commit: u32_at(header, 4),
            place: self.at + FRAME_HEADER as u64,
            contents,
            sum,
            salts: std::array::from_fn(|at| header[8 + at]),
        };
        let holds = || frame.salts == self.salts && frame.sum_after(self.sum, self.order) == sum;
        if frame.page == 0 || (self.end.is_none() && !holds()) {
            return None;
        }
        self.sum = sum;
        self.at += self.bytes.len() as u64;
        Some(frame)
    }
}

/// Whether the salts and the checksum are zeros in a frame's header: those that SQLite owes to the end of a
/// transaction.
pub(super) fn is_bare(header: &[u8]) -> bool {
    header[8..FRAME_HEADER].iter().all(|byte| *byte == 0)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Of bytes behind others.
pub(super) fn checksum(bytes: &[u8], mut sum: Sum, order: ByteOrder) -> Sum {
    for pair in bytes.chunks_exact(8) {
        let word = |at: usize| {
            let four = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
            match order {
                ByteOrder::Big => u32::from_be_bytes(four),
                ByteOrder::Little => u32::from_le_bytes(four),
            }
        };
        sum.0 = sum.0.wrapping_add(word(0)).wrapping_add(sum.1);
        sum.1 = sum.1.wrapping_add(word(4)).wrapping_add(sum.0);
    }
    sum
}
