//! How the reader behaves on whole inputs: groups, cuts, formats and rubbish.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

const CHAIN: &str = include_str!("../../../fixtures/logs/sqlalchemy_chain.log");
const GROUP: &str = include_str!("../../../fixtures/logs/exception_group.log");

fn options(step_bytes: usize, stripe_bytes: u64) -> Options {
    Options {
        step_bytes,
        stripe_bytes,
        threads: 2,
        ..Options::default()
    }
}

/// Pattern, count, first and last line of everything found.
fn summary(diagnosis: &Diagnosis) -> Vec<(&'static str, u64, u64, u64)> {
    let row = |one: &Incident| (one.pattern, one.count, one.first.line, one.last.line);
    diagnosis.incidents.iter().map(row).collect()
}

fn read(text: &str) -> Diagnosis {
    diagnose_bytes(text.as_bytes(), &Options::default())
}

fn file(folder: &Path, bytes: &[u8]) -> PathBuf {
    let path = folder.join("app.log");
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_chained_traceback_counts_once() {
    assert_eq!(summary(&read(CHAIN)), [("database_locked", 1, 7, 7)]);
    let twice = format!("{CHAIN}{CHAIN}");
    let lines = CHAIN.lines().count() as u64;
    assert_eq!(
        summary(&read(&twice)),
        [("database_locked", 2, 7, lines + 7)]
    );
}

#[test]
fn a_chained_traceback_counts_once_behind_prefixes() {
    for prefix in [
        "2025-11-15T10:09:08.921Z stderr F ",
        "backend-1  | ",
        "[worker 3] ",
    ] {
        let text: String = CHAIN
            .lines()
            .map(|line| format!("{prefix}{line}\r\n"))
            .collect();
        assert_eq!(
            summary(&read(&text)),
            [("database_locked", 1, 7, 7)],
            "{prefix}"
        );
    }
}

#[test]
fn a_traceback_in_a_json_line_counts_once() {
    let line = format!("{}\n", serde_json::json!({"level": "error", "exc": CHAIN}));
    assert_eq!(summary(&read(&line)), [("database_locked", 1, 1, 1)]);
}

#[test]
fn the_members_of_a_group_are_told_apart() {
    let found = summary(&read(GROUP));
    assert_eq!(
        found,
        [
            ("missing_dependency", 1, 9, 9),
            ("missing_env_secrets", 1, 13, 13)
        ]
    );
}

#[test]
fn records_in_pretty_json_are_counted_one_by_one() {
    let record = "    {\n      \"error\": \"No module named 'backend.schemas'\"\n    },\n";
    let found = summary(&read(&record.repeat(3)));
    assert_eq!(found, [("missing_internal_module", 3, 2, 8)]);
}

#[test]
fn one_frame_of_its_own_decides_for_the_whole_log() {
    let alone = "WARN off: No module named 'ledger.postings'\n";
    assert_eq!(read(alone).incidents[0].pattern, "missing_dependency");
    let with_frame = format!(
        "{alone}Traceback (most recent call last):\n  File \"/srv/ledger/main.py\", line 3, in \
         <module>\n    import ledger.postings\nModuleNotFoundError: No module named \
         'ledger.postings'\n"
    );
    // The announcement right before the traceback is the same sighting.
    assert_eq!(
        summary(&read(&with_frame)),
        [("missing_internal_module", 1, 1, 1)]
    );
}

#[test]
fn a_fault_of_code_is_not_called_one_of_the_schema() {
    let found = read("AttributeError: type object 'VerificationEvent' has no attribute 'passed'");
    let incident = &found.incidents[0];
    assert_eq!(incident.playbook, None);
    assert!(incident.cause.starts_with("A fault of code"));
}

#[test]
fn several_missing_settings_are_several_incidents() {
    let text = "pydantic_core._pydantic_core.ValidationError: 2 validation errors for Settings\n\
                SECRET_KEY\n  Field required [type=missing, input_value={}, input_type=dict]\n    \
                For further information visit https://errors.pydantic.dev/2.14/v/missing\n\
                database_url\n  Field required [type=missing, input_value={}, input_type=dict]\n";
    let found = read(text);
    let names: Vec<&str> = found
        .incidents
        .iter()
        .map(|one| &*one.captures["name"])
        .collect();
    assert_eq!(names, ["SECRET_KEY", "database_url"]);
}

#[test]
fn what_a_log_says_cannot_reach_the_terminal_or_leak_a_password() {
    let text = "failed postgres://grace:hunter2@db/x \u{1b}[31m: 'DATABASE_URL'\n";
    let message = &read(text).incidents[0].message;
    assert!(
        !message.contains('\u{1b}') && !message.contains("hunter2"),
        "{message}"
    );
}

#[test]
fn line_endings_and_byte_order_marks_change_nothing() {
    let text = "Boot failed: 'SECRET_KEY'\nINFO x\nBoot failed: 'SECRET_KEY'\n";
    let expected = [("missing_env_secrets", 2, 1, 3)];
    for variant in [
        text.to_owned(),
        text.replace('\n', "\r\n"),
        format!("\u{feff}{text}"),
        text.trim_end().to_owned(),
    ] {
        assert_eq!(summary(&read(&variant)), expected, "{variant:?}");
        assert_eq!(read(&variant).lines, 3);
    }
}

#[test]
fn gzip_and_utf_16_are_read_as_what_they_hold() {
    let folder = tempfile::tempdir().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(CHAIN.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut wide = vec![0xff, 0xfe];
    wide.extend(CHAIN.encode_utf16().flat_map(u16::to_le_bytes));
    for bytes in [gzip.as_slice(), wide.as_slice()] {
        let path = file(folder.path(), bytes);
        let diagnosis = diagnose_path(&path, &Options::default()).unwrap();
        assert_eq!(summary(&diagnosis), [("database_locked", 1, 7, 7)]);
        assert_eq!(diagnosis.bytes, CHAIN.len() as u64);
    }
    // A cut archive still shows what was in it.
    let long = CHAIN.repeat(2_000);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(long.as_bytes()).unwrap();
    let mut cut = encoder.finish().unwrap();
    cut.truncate(cut.len() / 2);
    let path = file(folder.path(), &cut);
    let diagnosis = diagnose_path(&path, &Options::default()).unwrap();
    assert!(diagnosis.incomplete.unwrap().starts_with("damaged after"));
    assert!(diagnosis.incidents[0].count > 100);
}

#[test]
fn a_line_longer_than_any_buffer_is_read_in_bounded_memory() {
    /// Nothing but one line, with a message in its middle.
    struct OneLine {
        left: u64,
    }
    impl Read for OneLine {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let message = b" OSError: [Errno 28] No space left on device ";
            let count = (buffer.len() as u64).min(self.left) as usize;
            buffer[..count].fill(b'x');
            let middle = 32 << 20;
            if count > message.len() && self.left > middle && self.left - count as u64 <= middle {
                buffer[..message.len()].copy_from_slice(message);
            }
            self.left -= count as u64;
            Ok(count)
        }
    }
    let reader = OneLine { left: 64 << 20 };
    let diagnosis = diagnose_reader(Path::new("-"), reader, &Options::default()).unwrap();
    assert_eq!(summary(&diagnosis), [("disk_full", 1, 1, 1)]);
    assert_eq!((diagnosis.lines, diagnosis.bytes), (1, 64 << 20));
}

#[test]
fn what_is_no_log_is_an_error_with_a_next_step() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.log");
    let packed = file(folder.path(), &[0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0]);
    for (path, expected) in [
        (missing.as_path(), "does not exist"),
        (folder.path(), "is a folder, not a log"),
        (packed.as_path(), "is compressed with zstd"),
    ] {
        let error = diagnose_path(path, &Options::default()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.hint().is_some());
    }
}

#[cfg(unix)]
#[test]
fn a_named_pipe_is_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let writer = {
        let path = path.clone();
        std::thread::spawn(move || fs::write(path, CHAIN).unwrap())
    };
    let diagnosis = diagnose_path(&path, &Options::default()).unwrap();
    writer.join().unwrap();
    assert_eq!(summary(&diagnosis), [("database_locked", 1, 7, 7)]);
}

#[test]
fn an_empty_file_has_no_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), b"");
    let diagnosis = diagnose_path(&path, &Options::default()).unwrap();
    assert_eq!((diagnosis.lines, diagnosis.bytes), (0, 0));
}

/// Pieces of logs, so that random inputs meet the rules and not only rubbish.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = catalogue::all()
        .iter()
        .flat_map(|pattern| pattern.samples)
        .map(|sample| format!("{}\n", sample.text).into_bytes())
        .chain([
            CHAIN.as_bytes().to_vec(),
            GROUP.as_bytes().to_vec(),
            b"\n".to_vec(),
            b"INFO fine\r\n".to_vec(),
            vec![b'x'; 3_000],
            vec![b' '; 70_000],
            b"  File \"a.py\", line 1\n".repeat(40),
        ])
        .collect::<Vec<_>>();
    prop_oneof![
        4 => proptest::sample::select(known),
        1 => proptest::collection::vec(any::<u8>(), 0..200),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    #[test]
    fn cuts_never_change_the_result(
        pieces in proptest::collection::vec(piece(), 0..24),
        step in 1usize..5_000,
        stripe in 64u64..50_000,
    ) {
        let bytes = pieces.concat();
        let whole = diagnose_bytes(&bytes, &Options::default());
        let options = options(step.max(bytes.len() / 64), stripe.max(bytes.len() as u64 / 32));
        let streamed =
            diagnose_reader(Path::new("-"), Cursor::new(bytes.clone()), &options);
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), &bytes);
        let from_file = diagnose_path(&path, &options);
        // Rubbish may begin like an archive; then there is nothing to compare.
        let magic: [&[u8]; 3] = [&[0x1f, 0x8b], &[0xff, 0xfe], &[0xfe, 0xff]];
        let plain = !magic.iter().any(|magic| bytes.starts_with(magic));
        if let (true, Ok(streamed), Ok(from_file)) = (plain, streamed, from_file) {
            prop_assert_eq!(&streamed, &whole);
            prop_assert_eq!(&from_file, &whole);
        }
    }

    #[test]
    fn rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..4_000)) {
        let diagnosis = diagnose_bytes(&bytes, &Options::default());
        prop_assert_eq!(diagnosis.bytes, bytes.len() as u64);
    }
}
