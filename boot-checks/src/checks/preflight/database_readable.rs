//! Can the database be read?
//!
//! `SELECT 1` answers on random bytes and under an exclusive lock, so it proves nothing. This reads
//! the header, compares the page count with the file's length, and reads the schema and one row of
//! each required table: what a boot can read without its cost growing with the database.

use std::time::Duration;

use crate::checks::Check;
use crate::checks::support::{
    PUT_BACK, ask, counted, database_finding, database_name, keep_and_restore, short,
    with_permissions, wrong_file,
};
use crate::context::{Context, LeftLog};
use crate::host::shell;
use crate::model::{CheckResult, Finding, Findings, SqlValue};
use crate::services::db::{
    Connection, DbError, ForeignLog, Header, MainFile, SqliteVersion, WAL_SAFE_FROM,
    ensure_may_be_opened, quoted, side_file,
};

/// See the module.
pub struct DatabaseReadable;

/// The newest file format that this SQLite writes and reads.
const FORMAT_VERSION_MAX: u8 = 2;

impl Check for DatabaseReadable {
    fn title(&self) -> &'static str {
        "Database is readable"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let Some(files) = cx.files() else {
            return Ok(Findings::not_applicable("the database is in memory"));
        };
        let name = database_name(cx);
        let header = match &files.main {
            MainFile::Database(header) => header,
            MainFile::NotADatabase { bytes } => {
                return Ok(Findings::problem(not_a_database(cx, &name, *bytes)));
            }
            _ => {
                return Ok(Findings::problem(Finding::new(
                    "database_missing",
                    format!("{name} is not there to be read"),
                )));
            }
        };
        let is_interrupted = files.journal_bytes.is_some_and(|bytes| bytes > 0);
        if let Some(finding) = judge_header(cx, header, &name, is_interrupted) {
            return Ok(Findings::problem(finding));
        }
        if let Err(error) = ensure_may_be_opened(&files.path) {
            return Ok(Findings::problem(database_finding(cx, &error)));
        }
        let left = cx.left_log();
        if let Some(finding) = judge_log(cx, &left) {
            return Ok(Findings::problem(finding));
        }
        let structure = match cx.structure() {
            Ok(structure) => structure,
            Err(error) => return Ok(Findings::problem(database_finding(cx, &error))),
        };
        let required: Vec<&str> = cx
            .config
            .tables
            .iter()
            .map(|table| table.name.as_str())
            .filter(|name| structure.table(name).is_some())
            .collect();
        let findings = ask(cx, |connection| read(connection, &required, header))?;
        Ok(notes_of(&left).into_iter().fold(findings, Findings::note))
    }
}

/// What is to be known of a log that was taken.
fn notes_of(left: &LeftLog) -> Vec<String> {
    let LeftLog::Fits { seen, cut } = left else {
        return Vec::new();
    };
    let untried = seen.as_ref().err();
    let untried = untried.map(|reason| format!("its log was not tried on a copy: {reason}"));
    let cut = cut.map(|cut| {
        format!(
            "of its log {} counted, and {} behind one that does not hold did not: the machine was started anew \
             since they were written",
            counted(cut.frames, "page"),
            counted(cut.behind, "page"),
        )
    });
    untried.into_iter().chain(cut).collect()
}

fn judge_header(
    cx: &Context,
    header: &Header,
    name: &str,
    is_interrupted: bool,
) -> Option<Finding> {
    // SQLite reads what only newer programs write, and refuses to write it.
    let version = header.read_version.max(header.write_version);
    if version > FORMAT_VERSION_MAX {
        let message = format!("{name} has file format {version}, which is newer than the gate");
        return Some(
            Finding::new("database_newer", message).action("use a newer version of the gate"),
        );
    }
    // In write-ahead log mode pages may still be in the log, and beside a journal the header belongs
    // to a transaction that SQLite rolls back with the first read; it compares the two itself then.
    let cut_short = header.is_cut_short() && !header.is_wal() && !is_interrupted;
    cut_short.then(|| {
        let pages = header.pages.unwrap_or_default();
        Finding::new(
            "database_corrupt",
            format!("{name} ends before its last page"),
        )
        .evidence("bytes in the file", header.bytes)
        .evidence("bytes by its header", pages * header.page_size)
        .cause("a copy was cut short, or the disk was full")
        .action(keep_and_restore(cx))
        .pattern("database_corrupt")
    })
}

/// Before SQLite opens it: that would empty the log, or replay it over a main file that is not its own.
fn judge_log(cx: &Context, left: &LeftLog) -> Option<Finding> {
    // Its log lies beside the file itself, and not beside a link to it.
    let name = short(cx, cx.database_path()?);
    let finding = match left {
        LeftLog::None | LeftLog::Fits { .. } => return None,
        LeftLog::Stray(stray) => Finding::new(
            "database_log_stray",
            format!("{name}-wal does not belong to {name}: SQLite would throw it away"),
        )
        .evidence("pages in the log", stray.pages)
        .evidence("not in the database", stray.missing_pages)
        .cause("one of the two was put back or replaced without the other, or the log's beginning is damaged")
        .action(format!(
            "copy all of its files away, then put back the two that belong together; or put a kept copy \
             in their place: {PUT_BACK}"
        )),
        LeftLog::Foreign { suffix, foreign } => told_apart(&name, suffix, *foreign),
        LeftLog::Broken(broken) if broken.is_sqlites => Finding::new(
            "database_log_unfinished",
            format!("a part of {name}-wal has no checksums: SQLite would throw it away with all behind it"),
        )
        .evidence("pages that SQLite would take", broken.frames)
        .evidence("committed behind them", broken.behind)
        .cause(
            "an older SQLite left it so (behind ROLLBACK TO, in a transaction that outgrew its cache), and was killed",
        )
        .action(format!(
            "do not start the application: its SQLite would throw it away; approve the fix, or put a kept copy in \
             the place of all of its files: {PUT_BACK}"
        )),
        LeftLog::Broken(broken) => {
            let log = shell::quoted(&format!("{name}-wal"));
            Finding::new(
                "database_log_broken",
                format!(
                    "{name}-wal does not hold: SQLite would take its beginning only, and delete the rest"
                ),
            )
            .evidence("pages that hold", broken.frames)
            .evidence("behind the one that does not", broken.behind)
            .cause(
                "the disk or a copy has changed it, or an older SQLite left it so (behind ROLLBACK TO, in a \
                 transaction that outgrew its cache); a process that was killed leaves none such",
            )
            .action(format!(
                "copy all of its files away, then put back a sound copy of the log; or put a kept copy in \
                 the place of all of them: {PUT_BACK}; or do without what is behind: `truncate -s {} {log}`",
                broken.bytes
            ))
        }
        LeftLog::BrokenJournal(broken) => Finding::new(
            "database_journal_broken",
            format!(
                "{name}-journal does not hold: SQLite would roll back a part of a transaction, and delete it"
            ),
        )
        .evidence("what does not hold", broken.lacks)
        .evidence("pages that hold", broken.pages)
        .cause("the disk or a copy has changed it")
        .action(format!(
            "copy all of its files away, then put back a sound copy of the journal; or put a kept copy in \
             the place of all of them: {PUT_BACK}"
        )),
        LeftLog::DoesNotFit(words) => foreign(&name)
            .evidence("without it", "every page fits")
            .evidence("with it", words.first().cloned().unwrap_or_default()),
        LeftLog::Damaged(words) => {
            let error = DbError::Corrupt {
                code: 11,
                message: words.first().cloned().unwrap_or_default(),
            };
            database_finding(cx, &error)
        }
        LeftLog::NotTried(reason) => Finding::new(
            "database_log_not_tried",
            format!("what a crash left beside {name} could not be tried on a copy"),
        )
        .evidence("reason", reason)
        .cause("SQLite would mix the two where they do not belong together, and nothing could show whether they do")
        .action("make room there, or name a folder that has it in TMPDIR; then boot again"),
        LeftLog::Unreadable { suffix, reason } => {
            let finding = Finding::new(
                "database_unreadable",
                format!("{name}{suffix} cannot be read: {reason}"),
            )
            .action("check the owner and the permissions of the file; do not delete it");
            with_permissions(finding, &[&side_file(cx.database_path()?, suffix)])
        }
    };
    Some(finding)
}

fn foreign(name: &str) -> Finding {
    Finding::new(
        "database_log_foreign",
        format!("what lies beside {name} does not belong to it: SQLite would mix the two"),
    )
    .cause("one of the two was put back or replaced without the other")
    .action(format!(
        "copy all of its files away, then put back the two that belong together; or put a kept copy \
         in their place: {PUT_BACK}"
    ))
}

/// How it is known that the one does not belong to the other, and where a person's word counts against that.
fn told_apart(name: &str, suffix: &str, how: ForeignLog) -> Finding {
    let finding = match how {
        ForeignLog::Counter { main, first, last } => {
            return foreign(name)
                .evidence("change counter of the database", main)
                .evidence(format!("by {name}{suffix}"), format!("{first} to {last}"));
        }
        ForeignLog::Shorter { pages, expected } => {
            return foreign(name)
                .evidence("pages in the database", pages)
                .evidence("before the transaction", expected);
        }
        ForeignLog::Page { page } => {
            return foreign(name).evidence("not written yet, and another", format!("page {page}"));
        }
        ForeignLog::PutLater { later } => {
            foreign(name).evidence(format!("changed later than {name}{suffix}"), in_words(later))
        }
        ForeignLog::ChangedLater { later } => Finding::new(
            "database_log_foreign",
            format!("{name}{suffix} may not belong to {name}: SQLite would mix the two then"),
        )
        .evidence(format!("touched later than {name}{suffix}"), in_words(later))
        .cause(
            "since the log's last write, either another file was put there with times of its own, or the owner, \
             the permissions or the names of the one that was there were changed",
        ),
        ForeignLog::Replaced => {
            foreign(name).evidence("since the last boot", "another file has its place")
        }
    };
    let log = shell::quoted(&format!("{name}{suffix}"));
    finding.action(format!(
        "copy all of its files away, then put back the two that belong together; where they do belong \
         together, `touch {log}` says so; or put a kept copy in their place: {PUT_BACK}"
    ))
}

fn in_words(later: Duration) -> String {
    match later.as_secs() {
        0 => format!("{} ms", later.as_millis().max(1)),
        seconds => format!("{seconds} s"),
    }
}

fn not_a_database(cx: &Context, name: &str, bytes: u64) -> Finding {
    Finding::new(
        "not_a_database",
        format!("{name} is not an SQLite database"),
    )
    .evidence("bytes", bytes)
    .cause("the file does not begin with SQLite's header")
    .action(wrong_file(cx))
    .pattern("database_corrupt")
}

/// The version is asked of the SQLite that answers, not of the one that was built against: a linked
/// library is replaced without a build.
fn too_old(version: &str, header: &Header) -> Option<Finding> {
    let parsed = SqliteVersion::parse(version);
    if parsed.is_some_and(|version| version.may_share(header.is_wal())) {
        return None;
    }
    let message = format!("SQLite {version} may lose rows of a write-ahead log that is shared");
    Some(
        Finding::new("sqlite_too_old", message)
            .evidence("needed", format!("{WAL_SAFE_FROM} or newer"))
            .cause("two processes that reset the log at the same time overwrite committed rows")
            .action("build the gate with the SQLite that it bundles"),
    )
}

/// One question reads the whole schema and touches every required table.
fn read(
    connection: &mut Connection,
    required: &[&str],
    header: &Header,
) -> Result<Findings, DbError> {
    let touched = required
        .iter()
        .map(|table| format!(", EXISTS (SELECT * FROM {} LIMIT 1)", quoted(table)));
    let sql = format!(
        "SELECT (SELECT count(*) FROM sqlite_schema WHERE type = 'table'), sqlite_version(){}",
        touched.collect::<String>()
    );
    let rows = connection.query(&sql, &[])?;
    let Some([SqlValue::Integer(tables), SqlValue::Text(version), ..]) =
        rows.first().map(Vec::as_slice)
    else {
        return Err(DbError::other("the schema cannot be counted"));
    };
    if let Some(finding) = too_old(version, header) {
        return Ok(Findings::problem(finding));
    }
    let mode = if header.is_wal() {
        "write-ahead log"
    } else {
        "rollback journal"
    };
    let tables = counted(usize::try_from(*tables).unwrap_or_default(), "table");
    Ok(Findings::healthy(format!("{tables}, {mode}")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Inputs, load};
    use crate::host::{Clock, Host};
    use crate::model::Mode;

    #[test]
    fn an_old_sqlite_is_refused_for_a_log_only() {
        let header = |version| Header {
            bytes: 8192,
            page_size: 4096,
            pages: Some(2),
            write_version: version,
            read_version: version,
        };
        let (log, journal) = (header(2), header(1));
        assert_eq!(too_old("3.51.2", &log).unwrap().code, "sqlite_too_old");
        assert_eq!(too_old("unknown", &log).unwrap().code, "sqlite_too_old");
        assert!(too_old("3.51.2", &journal).is_none() && too_old("3.51.3", &log).is_none());
    }

    #[test]
    fn a_printed_command_names_a_log_as_one_word() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = Inputs {
            root: Some(folder.path().to_owned()),
            config: None,
            database_url: Some("sqlite:///./my data.db".to_owned()),
            variables: BTreeMap::new(),
            current_dir: folder.path().to_owned(),
        };
        let config = load(&inputs).unwrap();
        let host = Host::new(Clock::System, BTreeMap::new(), folder.path().to_owned());
        let cx = Context::new(
            config,
            host,
            Mode::Observe,
            Vec::new(),
            Duration::ZERO,
            |_| {},
        );
        let later = Duration::from_secs(1);
        let finding = judge_log(
            &cx,
            &LeftLog::Foreign {
                suffix: "-wal",
                foreign: ForeignLog::PutLater { later },
            },
        );
        let action = finding.unwrap().action.unwrap();
        assert!(action.contains("`touch 'my data.db-wal'`"), "{action}");
    }
}
