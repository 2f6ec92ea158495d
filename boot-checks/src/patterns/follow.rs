//! Follows a growing log. Every line is read once, also across restarts: how far it was read is
//! kept in a state file. Rotation (another file under the name) and truncation (the same file,
//! shorter or with another beginning) start the reading anew.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::diagnose::{DiagnoseError, Options, PlaceReader, Stretch, scan_stream};
use super::diagnosis::Incident;
use super::follow_state::{FINGERPRINT_BYTES, FollowerState, fingerprint, identity, load, save};
use super::source::SourceError;
use super::tally::Tally;

/// A line that is still being written is waited for up to this length.
const PENDING_BYTES_MAX: u64 = 1024 * 1024;

/// Why the reading started anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Another file has the name now.
    Rotated,
    /// The same file became shorter, or begins with other bytes.
    Truncated,
}

/// What one look at the log showed.
#[derive(Debug, Default)]
pub struct Poll {
    /// Incidents that were seen since the last look, with their counts and places so far.
    pub incidents: Vec<Incident>,
    /// Bytes read by this look.
    pub bytes: u64,
    /// Whether the reading started anew.
    pub reset: Option<Reset>,
    /// There is no file of this name at the moment.
    pub missing: bool,
}

/// Follows one log.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    state_path: PathBuf,
    options: Options,
    state: Option<FollowerState>,
    open: Option<File>,
    tally: Tally,
}

impl Follower {
    /// Starts where the state file says that the last run ended, or at the log's beginning.
    ///
    /// # Errors
    /// When the state file is there and cannot be read.
    pub fn new(
        path: &Path,
        state_path: &Path,
        options: Options,
    ) -> Result<Follower, DiagnoseError> {
        Ok(Follower {
            path: path.to_owned(),
            state_path: state_path.to_owned(),
            options,
            state: load(state_path)?,
            open: None,
            tally: Tally::default(),
        })
    }

    /// Reads what was added since the last look. Nothing is kept before [`Follower::commit`].
    ///
    /// # Errors
    /// When the log is no plain file, or cannot be read.
    pub fn poll(&mut self) -> Result<Poll, DiagnoseError> {
        let mut poll = Poll::default();
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.drain_open(&mut poll)?;
                poll.missing = true;
                return Ok(poll);
            }
            Err(error) => return Err(self.read_error(error)),
        };
        let metadata = file.metadata().map_err(|error| self.read_error(error))?;
        if !metadata.is_file() {
            return Err(SourceError::NotFollowable {
                path: self.path.clone(),
                what: "no plain file",
            }
            .into());
        }
        let state = match self.state.take() {
            None => FollowerState::fresh(&metadata),
            Some(state) if (state.device, state.inode) != identity(&metadata) => {
                self.state = Some(state);
                self.drain_open(&mut poll)?;
                self.restart(&mut poll, Reset::Rotated, &metadata)
            }
            Some(state) if self.is_truncated(&file, &state, &metadata)? => {
                self.restart(&mut poll, Reset::Truncated, &metadata)
            }
            Some(state) => state,
        };
        if state.offset == 0 {
            self.refuse_packed(&file)?;
        }
        self.state = Some(state);
        self.read_on(&file, false, &mut poll)?;
        self.open = Some(file);
        Ok(poll)
    }

    /// Keeps how far the log was read. Called after what was found has been handed on, so that a
    /// crash in between shows a line again rather than never.
    ///
    /// # Errors
    /// When the state file cannot be written.
    pub fn commit(&self) -> Result<(), DiagnoseError> {
        let Some(state) = &self.state else {
            return Ok(());
        };
        save(&self.state_path, state).map_err(|source| DiagnoseError::State {
            path: self.state_path.clone(),
            source,
        })
    }

    /// How far the log was read.
    pub fn state(&self) -> Option<&FollowerState> {
        self.state.as_ref()
    }

    fn restart(&mut self, poll: &mut Poll, why: Reset, metadata: &Metadata) -> FollowerState {
        self.open = None;
        self.tally = Tally::default();
        poll.reset = Some(why);
        FollowerState::fresh(metadata)
    }

    /// What was still written to a log after it was moved away.
    fn drain_open(&mut self, poll: &mut Poll) -> Result<(), DiagnoseError> {
        match self.open.take() {
            Some(file) => self.read_on(&file, true, poll),
            None => Ok(()),
        }
    }

    fn is_truncated(
        &self,
        file: &File,
        state: &FollowerState,
        metadata: &Metadata,
    ) -> Result<bool, DiagnoseError> {
        if metadata.len() < state.offset {
            return Ok(true);
        }
        let (now, _) =
            fingerprint(file, state.fingerprint_bytes).map_err(|error| self.read_error(error))?;
        Ok(state.fingerprint_bytes > 0 && now != state.fingerprint)
    }

    fn refuse_packed(&self, file: &File) -> Result<(), DiagnoseError> {
        let mut magic = [0; 2];
        let got = PlaceReader::new(file, 0)
            .read(&mut magic)
            .map_err(|error| self.read_error(error))?;
        let what = match &magic[..got] {
            [0x1f, 0x8b] => "compressed with gzip",
            [0xff, 0xfe] | [0xfe, 0xff] => "in UTF-16",
            _ => return Ok(()),
        };
        let path = self.path.clone();
        Err(SourceError::NotFollowable { path, what }.into())
    }

    fn read_on(&mut self, file: &File, last: bool, poll: &mut Poll) -> Result<(), DiagnoseError> {
        let Some(mut state) = self.state.take() else {
            return Ok(());
        };
        let result = self.read_from(file, last, &mut state, poll);
        self.state = Some(state);
        result.map_err(|error| self.read_error(error))
    }

    fn read_from(
        &mut self,
        file: &File,
        last: bool,
        state: &mut FollowerState,
        poll: &mut Poll,
    ) -> io::Result<()> {
        let length = file.metadata()?.len();
        let end = if last {
            length
        } else {
            complete_end(file, state.offset, length)?
        };
        if end <= state.offset {
            return Ok(());
        }
        let stretch = Stretch::between(state.offset, end);
        let mut reader = PlaceReader::new(file, stretch.from);
        let mut tally = Tally::default();
        let (reached, failure) =
            scan_stream(&mut reader, &stretch, self.options.step_bytes, &mut tally);
        if let Some(failure) = failure {
            return Err(failure);
        }
        // The tally counts lines of this run; the state those of all runs.
        if self.tally.lines == 0 {
            self.tally.lines = state.lines;
        }
        state.lines += tally.lines;
        poll.bytes += reached.offset.saturating_sub(state.offset);
        state.offset = reached.offset.max(state.offset);
        if state.fingerprint_bytes < FINGERPRINT_BYTES {
            let bytes = state.offset.min(FINGERPRINT_BYTES);
            (state.fingerprint, state.fingerprint_bytes) = fingerprint(file, bytes)?;
        }
        let grown = self.tally.merge(tally);
        poll.incidents
            .extend(self.tally.incidents_at(&grown, &self.options.own_packages));
        Ok(())
    }

    fn read_error(&self, source: io::Error) -> DiagnoseError {
        DiagnoseError::Source(SourceError::Read {
            path: self.path.clone(),
            source,
        })
    }
}

/// The end of the last whole line.
fn complete_end(file: &File, offset: u64, length: u64) -> io::Result<u64> {
    let from = offset.max(length.saturating_sub(PENDING_BYTES_MAX));
    let mut tail = Vec::new();
    PlaceReader::new(file, from)
        .take(length.saturating_sub(from))
        .read_to_end(&mut tail)?;
    match memchr::memrchr(b'\n', &tail) {
        Some(newline) => Ok(from + newline as u64 + 1),
        None if from > offset => Ok(length),
        None => Ok(offset),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    use super::*;

    const LOCKED: &str = "sqlite3.OperationalError: database is locked\n";
    const FULL: &str = "OSError: [Errno 28] No space left on device\n";

    struct Bench {
        folder: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Bench {
            Bench {
                folder: tempfile::tempdir().unwrap(),
            }
        }

        fn log(&self) -> PathBuf {
            self.folder.path().join("app.log")
        }

        fn append(&self, text: &str) {
            let mut file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(self.log())
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn follower(&self) -> Follower {
            let state = self.folder.path().join("var/follow.json");
            Follower::new(&self.log(), &state, Options::default()).unwrap()
        }
    }

    /// Pattern, count and last line of what a look showed.
    fn seen(follower: &mut Follower) -> Vec<(&'static str, u64, u64)> {
        let poll = follower.poll().unwrap();
        follower.commit().unwrap();
        poll.incidents
            .iter()
            .map(|one| (one.pattern, one.count, one.last.line))
            .collect()
    }

    #[test]
    fn new_lines_are_read_once_also_after_a_restart() {
        let bench = Bench::new();
        bench.append(LOCKED);
        let mut follower = bench.follower();
        assert_eq!(seen(&mut follower), [("database_locked", 1, 1)]);
        assert_eq!(seen(&mut follower), []);
        bench.append(FULL);
        let mut restarted = bench.follower();
        assert_eq!(seen(&mut restarted), [("disk_full", 1, 2)]);
        bench.append(FULL);
        assert_eq!(seen(&mut restarted), [("disk_full", 2, 3)]);
    }

    #[test]
    fn what_was_not_committed_is_shown_again() {
        let bench = Bench::new();
        bench.append(LOCKED);
        assert_eq!(bench.follower().poll().unwrap().incidents.len(), 1);
        assert_eq!(seen(&mut bench.follower()).len(), 1);
    }

    #[test]
    fn a_half_written_line_waits() {
        let bench = Bench::new();
        let (before, after) = LOCKED.split_at(20);
        bench.append(before);
        let mut follower = bench.follower();
        assert_eq!(seen(&mut follower), []);
        bench.append(after);
        assert_eq!(seen(&mut follower), [("database_locked", 1, 1)]);
    }

    #[test]
    fn a_rotated_log_is_read_to_its_end_and_the_new_one_from_its_beginning() {
        let bench = Bench::new();
        bench.append(LOCKED);
        let mut follower = bench.follower();
        seen(&mut follower);
        bench.append(FULL);
        fs::rename(bench.log(), bench.folder.path().join("app.log.1")).unwrap();
        bench.append(LOCKED);
        let poll = follower.poll().unwrap();
        assert_eq!(poll.reset, Some(Reset::Rotated));
        let patterns: Vec<&str> = poll.incidents.iter().map(|one| one.pattern).collect();
        assert_eq!(patterns, ["disk_full", "database_locked"]);
    }

    #[test]
    fn a_truncated_log_is_read_anew_even_when_it_grew_past_the_old_end() {
        for filler in [
            "",
            "INFO a line to make the new content longer than the old one was\n",
        ] {
            let bench = Bench::new();
            bench.append(LOCKED);
            let mut follower = bench.follower();
            seen(&mut follower);
            fs::write(bench.log(), format!("{filler}{filler}{FULL}")).unwrap();
            let poll = follower.poll().unwrap();
            assert_eq!(poll.reset, Some(Reset::Truncated), "{filler:?}");
            assert_eq!(poll.incidents[0].pattern, "disk_full");
        }
    }

    #[test]
    fn a_vanished_log_is_waited_for() {
        let bench = Bench::new();
        let mut follower = bench.follower();
        assert!(follower.poll().unwrap().missing);
        bench.append(LOCKED);
        assert_eq!(seen(&mut follower).len(), 1);
    }

    #[test]
    fn a_damaged_state_is_an_error_that_names_the_file() {
        let bench = Bench::new();
        let state = bench.folder.path().join("state");
        fs::write(&state, "{").unwrap();
        let error = Follower::new(&bench.log(), &state, Options::default()).unwrap_err();
        assert!(error.to_string().contains(state.to_str().unwrap()));
    }
}
