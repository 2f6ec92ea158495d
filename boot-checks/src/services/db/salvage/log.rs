use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::pages::{is_page_size, u32_at};

/// What a write-ahead log holds for certain.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) page_size: usize,
    /// Pages of the database after the last commit.
    pub(super) pages: u32,
    /// Where the newest committed content of a page stands in the log.
    places: BTreeMap<u32, u64>,
}

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// The magic number of a log; its last bit says in which order the checksums are computed.
const MAGIC: u32 = 0x377f_0682;

impl Log {
    /// Reads a log up to its last commit whose checksums hold
    /// (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>); none where it holds none.
    pub(super) fn read(path: &Path) -> io::Result<Option<Log>> {
        let mut file = std::fs::File::open(path)?;
        let mut header = [0; HEADER];
        if file.read_exact(&mut header).is_err() {
            return Ok(None);
        }
        let field = |at| u32_at(&header, at).unwrap_or_default();
        let page_size = field(8) as usize;
        if field(0) & !1 != MAGIC || !is_page_size(page_size) {
            return Ok(None);
        }
        let big = field(0) & 1 == 1;
        let mut sum = checksum(&header[..24], (0, 0), big);
        if sum != (field(24), field(28)) {
            return Ok(None);
        }
        let mut log = Log {
            page_size,
            ..Log::default()
        };
        let mut open = Vec::new();
        let mut frame = vec![0; FRAME_HEADER + page_size];
        let mut at = HEADER as u64;
        while file.read_exact(&mut frame).is_ok() {
            let field = |at| u32_at(&frame, at).unwrap_or_default();
            sum = checksum(&frame[..8], sum, big);
            sum = checksum(&frame[FRAME_HEADER..], sum, big);
            if frame[8..16] != header[16..24] || sum != (field(16), field(20)) {
                break;
            }
            open.push((field(0), at + FRAME_HEADER as u64));
            at += frame.len() as u64;
            if field(4) > 0 {
                log.pages = field(4);
                log.places.extend(open.drain(..));
            }
        }
        Ok((log.pages > 0).then_some(log))
    }

    /// Pages of the database that the log does not hold.
    pub(super) fn missing(&self) -> u32 {
        let there = self.places.range(1..=self.pages).count();
        self.pages - u32::try_from(there).unwrap_or(self.pages)
    }

    /// Writes every committed page to its place in a copy of the main file.
    pub(super) fn apply(&self, log: &Path, image: &Path) -> io::Result<()> {
        let mut log = std::fs::File::open(log)?;
        let mut image = std::fs::File::options().write(true).open(image)?;
        let mut page = vec![0; self.page_size];
        for (number, place) in self.places.range(1..=self.pages) {
            log.seek(SeekFrom::Start(*place))?;
            log.read_exact(&mut page)?;
            image.seek(SeekFrom::Start(
                u64::from(number - 1) * self.page_size as u64,
            ))?;
            image.write_all(&page)?;
        }
        image.set_len(u64::from(self.pages) * self.page_size as u64)
    }
}

fn checksum(bytes: &[u8], mut sum: (u32, u32), big: bool) -> (u32, u32) {
    for pair in bytes.chunks_exact(8) {
        let word = |at: usize| {
            let four = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
            if big {
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
