//! Opens what was named: plain files, pipes, gzip, UTF-16 as Windows shells write it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use encoding_rs::{Decoder, UTF_16BE, UTF_16LE};

/// Bytes that tell the format.
const MAGIC_BYTES: usize = 6;
/// Bytes decoded at a time.
const DECODE_BYTES: usize = 32 * 1024;

/// Something that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no such file.
    #[error("`{}` does not exist", .0.display())]
    Missing(PathBuf),
    /// A folder was named.
    #[error("`{}` is a folder, not a log", .0.display())]
    Folder(PathBuf),
    /// The system refused.
    #[error("`{}` cannot be read", .path.display())]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A format that is not unpacked here.
    #[error("`{}` is compressed with {format}", .path.display())]
    Compressed {
        /// What was to be read.
        path: PathBuf,
        /// Name of the format; also of the command that unpacks it.
        format: &'static str,
    },
    /// Something that does not grow by lines of plain text.
    #[error("`{}` cannot be followed: it is {what}", .path.display())]
    NotFollowable {
        /// What was to be followed.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
}

pub(super) enum Source {
    /// A plain file of this length, which can be read from several places at once.
    Plain(File, u64),
    /// Anything else, from front to back.
    Stream(Box<dyn Read + Send>),
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Source, SourceError> {
        let read = |source| match source {
            source if io::Error::kind(&source) == io::ErrorKind::NotFound => {
                SourceError::Missing(path.to_owned())
            }
            source => SourceError::Read {
                path: path.to_owned(),
                source,
            },
        };
        let mut file = File::open(path).map_err(read)?;
        let metadata = file.metadata().map_err(read)?;
        if metadata.is_dir() {
            return Err(SourceError::Folder(path.to_owned()));
        }
        let magic = peek(&mut file).map_err(read)?;
        let format = Format::of(&magic);
        if let Format::Other(format) = format {
            let path = path.to_owned();
            return Err(SourceError::Compressed { path, format });
        }
        if metadata.is_file() && matches!(format, Format::Plain) {
            return Ok(Source::Plain(file, metadata.len()));
        }
        Ok(Source::Stream(decoded(magic, file, &format)))
    }
}

/// The text of a stream, whatever of the known formats it is in.
pub(super) fn stream(
    name: &Path,
    mut reader: impl Read + Send + 'static,
) -> Result<Box<dyn Read + Send>, SourceError> {
    let magic = peek(&mut reader).map_err(|source| SourceError::Read {
        path: name.to_owned(),
        source,
    })?;
    match Format::of(&magic) {
        Format::Other(format) => Err(SourceError::Compressed {
            path: name.to_owned(),
            format,
        }),
        format => Ok(decoded(magic, reader, &format)),
    }
}

enum Format {
    Plain,
    Gzip,
    Utf16(&'static encoding_rs::Encoding),
    Other(&'static str),
}

impl Format {
    fn of(magic: &[u8]) -> Format {
        match magic {
            [0x1f, 0x8b, ..] => Format::Gzip,
            [0xff, 0xfe, ..] => Format::Utf16(UTF_16LE),
            [0xfe, 0xff, ..] => Format::Utf16(UTF_16BE),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Format::Other("zstd"),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Format::Other("xz"),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Format::Other("bzip2"),
            _ => Format::Plain,
        }
    }
}

fn peek(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut magic = Vec::with_capacity(MAGIC_BYTES);
    reader.take(MAGIC_BYTES as u64).read_to_end(&mut magic)?;
    Ok(magic)
}

fn decoded(
    magic: Vec<u8>,
    rest: impl Read + Send + 'static,
    format: &Format,
) -> Box<dyn Read + Send> {
    let whole = io::Cursor::new(magic).chain(rest);
    match format {
        Format::Gzip => Box::new(flate2::read::MultiGzDecoder::new(whole)),
        Format::Utf16(encoding) => Box::new(Utf8Reader {
            inner: whole,
            decoder: encoding.new_decoder(),
            ready: Vec::new(),
            taken: 0,
            ended: false,
        }),
        Format::Plain | Format::Other(_) => Box::new(whole),
    }
}

/// Reads UTF-16 as UTF-8. What is no UTF-16 becomes the replacement character.
struct Utf8Reader<R> {
    inner: R,
    decoder: Decoder,
    ready: Vec<u8>,
    taken: usize,
    ended: bool,
}

impl<R: Read> Read for Utf8Reader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.ready.len() && !self.ended {
            let mut raw = [0; DECODE_BYTES];
            let got = self.inner.read(&mut raw)?;
            self.ended = got == 0;
            self.ready.clear();
            self.taken = 0;
            let room = self
                .decoder
                .max_utf8_buffer_length(got)
                .unwrap_or(DECODE_BYTES * 4);
            self.ready.resize(room, 0);
            let (_, _, written, _) =
                self.decoder
                    .decode_to_utf8(&raw[..got], &mut self.ready, self.ended);
            self.ready.truncate(written);
        }
        let part = &self.ready[self.taken..];
        let count = part.len().min(out.len());
        out[..count].copy_from_slice(&part[..count]);
        self.taken += count;
        Ok(count)
    }
}
