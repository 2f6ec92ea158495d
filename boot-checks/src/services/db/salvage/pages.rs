use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::host;

/// The pages of a database that nobody else has open (<https://www.sqlite.org/fileformat2.html>).
/// Numbers of pages begin at 1.
#[derive(Debug)]
pub(super) struct Pages {
    file: File,
    size: usize,
    usable: usize,
    count: u32,
}

/// The page that holds SQLite's lock bytes holds nothing else.
const LOCK_BYTE: u64 = 0x4000_0000;

impl Pages {
    /// Opens a file whose header is sound.
    pub(super) fn open(path: &Path) -> io::Result<Pages> {
        let mut file = File::options().read(true).write(true).open(path)?;
        let mut header = [0; 100];
        file.read_exact(&mut header)?;
        let size = match u16::from_be_bytes([header[16], header[17]]) {
            1 => 65_536,
            size => usize::from(size),
        };
        let bytes = file.metadata()?.len();
        if !is_page_size(size) {
            return Err(io::Error::other("the header names no size of a page"));
        }
        let count = u32::try_from(bytes / size as u64).map_err(io::Error::other)?;
        Ok(Pages {
            file,
            size,
            usable: size - usize::from(header[20]),
            count,
        })
    }

    /// Bytes of a page.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Bytes of a page that hold something.
    pub(super) fn usable(&self) -> usize {
        self.usable
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The number of the page that holds SQLite's lock bytes.
    pub(super) fn lock_page(&self) -> u32 {
        u32::try_from(LOCK_BYTE / self.size as u64).unwrap_or(u32::MAX) + 1
    }

    /// One page.
    pub(super) fn read(&self, number: u32) -> io::Result<Vec<u8>> {
        let mut page = vec![0; self.size];
        let mut done = 0;
        while done < page.len() {
            let at = self.place(number) + done as u64;
            match host::read_at(&self.file, &mut page[done..], at)? {
                0 => break,
                read => done += read,
            }
        }
        Ok(page)
    }

    /// Replaces one page.
    pub(super) fn write(&mut self, number: u32, page: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.place(number)))?;
        self.file.write_all(page)
    }

    /// Adds one page at the end and gives its number.
    pub(super) fn append(&mut self, page: &[u8]) -> io::Result<u32> {
        self.count += 1;
        if self.count == self.lock_page() {
            self.count += 1;
        }
        self.write(self.count, page)?;
        Ok(self.count)
    }

    /// Bytes of the first page's header are replaced.
    pub(super) fn set_header(&mut self, at: usize, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(at as u64))?;
        self.file.write_all(bytes)
    }

    fn place(&self, number: u32) -> u64 {
        (u64::from(number) - 1) * self.size as u64
    }
}

pub(super) fn is_page_size(size: usize) -> bool {
    (512..=65_536).contains(&size) && size.is_power_of_two()
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes([
        *bytes.get(at)?,
        *bytes.get(at + 1)?,
    ])))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}

/// SQLite's variable-length integer: its value and its length.
pub(super) fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for length in 0..8 {
        let byte = *bytes.get(at + length)?;
        value = value << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some((value, length + 1));
        }
    }
    Some((value << 8 | u64::from(*bytes.get(at + 8)?), 9))
}

/// The longest form, which every value has.
pub(super) fn put_varint(value: u64, into: &mut Vec<u8>) {
    if value < 1 << 56 {
        let mut groups = vec![(value & 0x7f) as u8];
        let mut rest = value >> 7;
        while rest > 0 {
            groups.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        into.extend(groups.into_iter().rev());
        return;
    }
    let high = value >> 8;
    for shift in (0..8).rev() {
        into.push((high >> (7 * shift) & 0x7f) as u8 | 0x80);
    }
    into.push((value & 0xff) as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_as_it_was_put() {
        let ends = [
            0,
            1,
            127,
            128,
            16_383,
            16_384,
            1 << 55,
            (1 << 56) - 1,
            1 << 56,
            u64::MAX,
        ];
        for value in ends {
            let mut bytes = Vec::new();
            put_varint(value, &mut bytes);
            assert_eq!(varint(&bytes, 0), Some((value, bytes.len())), "{value}");
        }
        assert_eq!(varint(&[0x80], 0), None);
    }
}
