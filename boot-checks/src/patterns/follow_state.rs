use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::diagnose::{DiagnoseError, PlaceReader};

/// A state file larger than this is not ours.
const STATE_BYTES_MAX: u64 = 64 * 1024;
/// Bytes at the beginning of a log that tell it from another one in the same place.
pub(super) const FINGERPRINT_BYTES: u64 = 1024;
/// Version of the state file's shape.
const FORMAT_VERSION: u32 = 1;

/// How far a log was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowerState {
    format_version: u32,
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) fingerprint: String,
    pub(super) fingerprint_bytes: u64,
    /// Bytes read.
    pub offset: u64,
    /// Lines read.
    pub lines: u64,
}

impl FollowerState {
    pub(super) fn fresh(metadata: &Metadata) -> FollowerState {
        let (device, inode) = identity(metadata);
        FollowerState {
            format_version: FORMAT_VERSION,
            device,
            inode,
            fingerprint: String::new(),
            fingerprint_bytes: 0,
            offset: 0,
            lines: 0,
        }
    }
}

/// The digest of the first bytes, and how many there were.
pub(super) fn fingerprint(file: &File, bytes: u64) -> io::Result<(String, u64)> {
    let mut head = Vec::new();
    PlaceReader::new(file, 0)
        .take(bytes)
        .read_to_end(&mut head)?;
    let digest = Sha256::digest(&head);
    let hex = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((hex, head.len() as u64))
}

#[cfg(unix)]
pub(super) fn identity(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

/// Without inodes the beginning of the file tells it from another.
#[cfg(not(unix))]
pub(super) fn identity(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

pub(super) fn load(path: &Path) -> Result<Option<FollowerState>, DiagnoseError> {
    let unusable = |source| DiagnoseError::State {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(error)),
    };
    let mut text = String::new();
    file.take(STATE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(unusable)?;
    let state: FollowerState =
        serde_json::from_str(&text).map_err(|error| unusable(error.into()))?;
    if state.format_version != FORMAT_VERSION {
        let message = format!(
            "format version {} is not {FORMAT_VERSION}",
            state.format_version
        );
        return Err(unusable(io::Error::new(
            io::ErrorKind::InvalidData,
            message,
        )));
    }
    Ok(Some(state))
}

pub(super) fn save(path: &Path, state: &FollowerState) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&mut file, state)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}
