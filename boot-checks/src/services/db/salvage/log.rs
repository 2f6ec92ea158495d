use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::image::Missing;
use crate::services::db::log_frames::Frames;

/// What a write-ahead log holds for certain.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) page_size: usize,
    /// Pages of the database after the last commit.
    pub(super) pages: u32,
    /// Where the newest committed content of a page stands in the log.
    places: BTreeMap<u32, u64>,
}

impl Log {
    /// Reads a log up to its last commit whose checksums hold; none where it holds none.
    pub(super) fn read(path: &Path) -> io::Result<Option<Log>> {
        let Some(mut frames) = Frames::open(path)? else {
            return Ok(None);
        };
        let mut log = Log {
            page_size: frames.page_size(),
            ..Log::default()
        };
        let mut open = Vec::new();
        while let Some(frame) = frames.next_frame() {
            open.push((frame.page, frame.place));
            if frame.pages_after_commit > 0 {
                log.pages = frame.pages_after_commit;
                log.places.extend(open.drain(..));
            }
        }
        Ok((log.pages > 0).then_some(log))
    }

    /// Pages of the database that the log does not hold.
    pub(super) fn missing(&self) -> Missing {
        let mut missing = Vec::new();
        let mut next = 1;
        for page in self.places.range(1..=self.pages).map(|(page, _)| *page) {
            if page > next {
                missing.push(next..=page - 1);
            }
            next = page + 1;
        }
        if next <= self.pages {
            missing.push(next..=self.pages);
        }
        Missing(missing)
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
