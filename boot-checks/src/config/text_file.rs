//! Reading a small text file that a person wrote: a regular file, of bounded size, in UTF-8.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use super::{ConfigError, Place};

/// The largest file that is read, in bytes. The longest `.env` and `boot.toml` seen in practice
/// stay under a hundredth of it; what is larger is another file under that name.
pub(super) const MAX_FILE_BYTES: u64 = 1024 * 1024;

const UTF8_BOM: &[u8] = b"\xEF\xBB\xBF";

/// The file's text without a byte order mark; none where there is nothing under that name.
pub(super) fn read_if_there(path: &Path, at: &Place) -> Result<Option<String>, ConfigError> {
    let unreadable = |err: io::Error| ConfigError::Unreadable {
        path: path.to_owned(),
        at: at.clone(),
        why: err.to_string(),
    };
    // A link that leads nowhere is there and broken, which is not the same as absent.
    match fs::symlink_metadata(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(unreadable(err)),
        Ok(_) => {}
    }
    // Asked before opening: opening a named pipe waits for its writer.
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(ConfigError::NotAFile {
            path: path.to_owned(),
            at: at.clone(),
            is: if metadata.is_dir() {
                "a folder"
            } else {
                "a pipe or a device"
            },
        });
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ConfigError::FileTooLarge {
            path: path.to_owned(),
            at: at.clone(),
        });
    }
    decode(&bytes)
        .map(|text| Some(text.to_owned()))
        .map_err(|line| ConfigError::NotUtf8 {
            path: path.to_owned(),
            line,
        })
}

/// The text without a byte order mark, or the line of the first byte that is not UTF-8.
pub(super) fn decode(bytes: &[u8]) -> Result<&str, usize> {
    let bytes = bytes.strip_prefix(UTF8_BOM).unwrap_or(bytes);
    str::from_utf8(bytes).map_err(|err| {
        let valid = &bytes[..err.valid_up_to()];
        1 + valid.iter().filter(|byte| **byte == b'\n').count()
    })
}
