use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The two numbers that name one generation of a log
/// (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>).
pub(super) type Salts = [u8; 8];

/// The frames of a write-ahead log that SQLite would replay or pass over, in their order, as far as their
/// salts and checksums hold (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>).
#[derive(Debug)]
pub(super) struct Frames {
    file: File,
    page_size: usize,
    salts: Salts,
    checkpoints: u32,
    sum: (u32, u32),
    is_big_endian: bool,
    at: u64,
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

    /// The same of one that is open and stands at its beginning.
    pub(super) fn of(mut file: File) -> io::Result<Option<Frames>> {
        let mut header = [0; HEADER];
        if file.read_exact(&mut header).is_err() {
            return Ok(None);
        }
        let page_size = u32_at(&header, 8) as usize;
        let is_size = (512..=65_536).contains(&page_size) && page_size.is_power_of_two();
        if u32_at(&header, 0) & !1 != MAGIC || !is_size {
            return Ok(None);
        }
        let is_big_endian = u32_at(&header, 0) & 1 == 1;
        let sum = checksum(&header[..24], (0, 0), is_big_endian);
        if sum != (u32_at(&header, 24), u32_at(&header, 28)) {
            return Ok(None);
        }
        Ok(Some(Frames {
            file,
            page_size,
            checkpoints: u32_at(&header, 12),
            salts: std::array::from_fn(|at| header[16 + at]),
            sum,
            is_big_endian,
            at: HEADER as u64,
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

    /// The next frame that holds.
    pub(super) fn next_frame(&mut self) -> Option<Frame<'_>> {
        self.file.read_exact(&mut self.bytes).ok()?;
        let (header, contents) = self.bytes.split_at(FRAME_HEADER);
        self.sum = checksum(&header[..8], self.sum, self.is_big_endian);
        self.sum = checksum(contents, self.sum, self.is_big_endian);
        let holds = self.sum == (u32_at(header, 16), u32_at(header, 20));
        let page = u32_at(header, 0);
        if header[8..16] != self.salts || !holds || page == 0 {
            return None;
        }
        let place = self.at + FRAME_HEADER as u64;
        self.at += self.bytes.len() as u64;
        Some(Frame {
            page,
            pages_after_commit: u32_at(header, 4),
            place,
            contents,
        })
    }
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// SQLite's own of a log and its index.
pub(super) fn checksum(bytes: &[u8], mut sum: (u32, u32), is_big_endian: bool) -> (u32, u32) {
    for pair in bytes.chunks_exact(8) {
        let word = |at: usize| {
            let four = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
            if is_big_endian {
                u32::from_be_bytes(four)
            } else {
                u32::from_le_bytes(four)
            }
        };
        sum.0 = sum.0.wrapping_add(word(0)).wrapping_add(sum.1);
        sum.1 = sum.1.wrapping_add(word(4)).wrapping_add(sum.0);
    }
    sum
}
