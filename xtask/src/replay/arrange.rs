//! Makes a state for real: each arrangement of a fixture, done.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use boot_checks::model::SqlValue;
use boot_checks::patterns::{Arrangement, Embedded};
use boot_checks::services::db::{Access, Connection};
use boot_checks::services::migrations::MigrationSet;

use super::programs::Program;
use super::sandbox::Sandbox;
use super::tree::Tree;

/// Nobody else has the database open while a state is made.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a damaged page is overwritten with: no kind of page begins like this.
const DAMAGE: [u8; 512] = [0xa5; 512];

/// Lays the fixture's own files over the application.
pub(super) fn lay_out(sandbox: &Sandbox, embedded: &Embedded) -> anyhow::Result<()> {
    for (name, contents) in embedded.files {
        let name = name
            .split('/')
            .map(|part| match part.strip_prefix("dot-") {
                Some(rest) => format!(".{rest}"),
                None => part.to_owned(),
            })
            .collect::<Vec<_>>()
            .join("/");
        write(&sandbox.path(&name), contents)?;
    }
    Ok(())
}

/// Does one thing; says in a few words what was done.
pub(super) fn arrange(sandbox: &mut Sandbox, it: &Arrangement) -> anyhow::Result<String> {
    match it {
        Arrangement::Sql { run } => {
            in_database(sandbox, |connection| Ok(connection.execute(run)?))?;
            Ok("statements were run in the database".to_owned())
        }
        Arrangement::MigratedTo { version } => migrated_to(sandbox, *version),
        Arrangement::File { path, text } => {
            write(&sandbox.path(path), text.as_bytes())?;
            Ok(format!("{path} was written"))
        }
        Arrangement::NoFile { path } => {
            fs::remove_file(sandbox.path(path)).with_context(|| format!("cannot remove {path}"))?;
            Ok(format!("{path} was removed"))
        }
        Arrangement::Copy { from, to } => {
            let contents = fs::read(sandbox.path(from))?;
            write(&sandbox.path(to), &contents)?;
            Ok(format!("{from} was copied to {to}"))
        }
        Arrangement::LockHolder { run, end } => {
            let program = Program::with_database(&sandbox.database(), run, end)?;
            sandbox.programs.push(program);
            Ok(format!("another program ran `{run}` and stays"))
        }
        Arrangement::KilledWriter { run } => {
            Program::with_database(&sandbox.database(), run, "")?.kill()?;
            Ok("another program wrote to the database and was killed".to_owned())
        }
        Arrangement::PortListener => {
            let program = Program::listening(sandbox.port)?;
            sandbox.programs.push(program);
            Ok("another program listens on the application's port".to_owned())
        }
        Arrangement::ProgramsEnd => {
            for program in std::mem::take(&mut sandbox.programs) {
                program.end()?;
            }
            Ok("the other program ended".to_owned())
        }
        Arrangement::DamagedTable { table } => damaged(sandbox, table),
        Arrangement::FullDisk {
            folder,
            size_kib,
            filled_by,
        } => full_disk(sandbox, folder, *size_kib, filled_by),
    }
}

fn write(path: &Path, contents: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, contents).with_context(|| format!("cannot write {}", path.display()))
}

fn in_database<T>(
    sandbox: &Sandbox,
    work: impl FnOnce(&mut Connection) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut connection = Connection::open(&sandbox.database(), Access::ReadWrite, PATIENCE)?;
    let done = work(&mut connection);
    connection.close();
    done
}

/// The shipping migrations themselves, as sqlx applies them from a folder.
fn migrated_to(sandbox: &Sandbox, version: i64) -> anyhow::Result<String> {
    let all = MigrationSet::built_in();
    let folder = tempfile::tempdir()?;
    let mut applied = 0;
    for migration in all.iter().filter(|it| it.version <= version) {
        let name = format!(
            "{}_{}.sql",
            migration.version,
            migration.description.replace(' ', "_")
        );
        fs::write(folder.path().join(name), migration.sql.as_str())?;
        applied += 1;
    }
    ensure!(applied > 0, "there is no migration up to {version}");
    let set = MigrationSet::from_folder(folder.path())?;
    fs::remove_file(sandbox.database())?;
    let mut connection = Connection::open(&sandbox.database(), Access::Create, PATIENCE)?;
    let made = set.apply_all(&mut connection);
    connection.close();
    made?;
    let left = all.versions().len() - applied;
    Ok(format!(
        "the database lacks the newest {left} of the migrations"
    ))
}

/// Overwrites the beginning of the table's root page, as a disk or another program does.
fn damaged(sandbox: &Sandbox, table: &str) -> anyhow::Result<String> {
    let (page, page_size) = in_database(sandbox, |connection| {
        let number = |value| match value {
            SqlValue::Integer(number) => Ok(u64::try_from(number)?),
            other => bail!("{other:?} is no number"),
        };
        let sql = "SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        let rows = connection.query(sql, &[table.into()])?;
        let page = rows.into_iter().flatten().next();
        let page = number(page.with_context(|| format!("there is no table {table}"))?)?;
        Ok((page, number(connection.scalar("PRAGMA page_size")?)?))
    })?;
    let mut file = OpenOptions::new().write(true).open(sandbox.database())?;
    file.seek(SeekFrom::Start((page - 1) * page_size))?;
    file.write_all(&DAMAGE)?;
    file.sync_all()?;
    Ok(format!("page {page}, the root of {table}, was overwritten"))
}

/// Mounts a small file system and fills it. Only in a mount namespace of its own, see `isolated`:
/// what is mounted is gone when the process is, however it ends.
fn full_disk(
    sandbox: &Sandbox,
    folder: &str,
    size_kib: u32,
    filled_by: &str,
) -> anyhow::Result<String> {
    let place = sandbox.path(folder);
    let there = Tree::of(&place, &|_| true)?;
    let status = Command::new("mount")
        .args(["-t", "tmpfs", "-o"])
        .arg(format!("size={size_kib}k,mode=755"))
        .arg("tmpfs")
        .arg(&place)
        .status()
        .context("cannot run mount")?;
    ensure!(status.success(), "mount ended with {status}");
    there.lay_out(&place)?;
    let mut filler = File::create(sandbox.path(filled_by))?;
    let endless = io::repeat(b'.').take(u64::from(size_kib) * 2048);
    match io::copy(&mut io::BufReader::new(endless), &mut filler) {
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
        Err(error) => return Err(error.into()),
        Ok(bytes) => bail!("{bytes} bytes fit on a disk of {size_kib} KiB"),
    }
    Ok(format!(
        "{folder} is a file system of {size_kib} KiB, filled by {filled_by}"
    ))
}
