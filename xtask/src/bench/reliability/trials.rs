//! What is tried. Each answers what it saw, in words for a cell of the table.

use std::time::Instant;

use super::application::{Application, Migration, REBUILD, ROWS, words};
use super::library::Library;
use super::tools::Tool;

type Cell = anyhow::Result<String>;

/// A fault at each change of the file system, then a plain run of the same command.
pub(super) fn at_each_change(
    tool: &Tool,
    library: &Library,
    points: Option<usize>,
    kind: &str,
) -> Cell {
    let template = Application::with_a_pending_rebuild(tool)?;
    let counted = template.copy(tool)?;
    let changes = library.count(&counted, &mut counted.command(tool))?;
    let step = points.map_or(1, |points| changes.div_ceil(points).max(1));
    let (mut tried, mut lost, mut owed) = (0, 0, 0);
    for at in (1..=changes).step_by(step) {
        let application = template.copy(tool)?;
        library.interrupt(&application, &mut application.command(tool), at, kind)?;
        let again = application.run(tool)?;
        tried += 1;
        lost = lost.max(application.lost());
        owed += usize::from(!again.status.success() || !application.is_rebuilt());
    }
    Ok(format!(
        "{lost} rows lost; {owed} of {tried} instants owe a manual step"
    ))
}

/// How often many are started at once: who wins differs from time to time.
const ROUNDS: usize = 5;

/// The same command by many processes.
pub(super) fn at_once(tool: &Tool, processes: usize) -> Cell {
    let (mut green, mut lost, mut rebuilt) = (0, 0, 0);
    for _ in 0..ROUNDS {
        let application = Application::with_a_pending_rebuild(tool)?;
        green += start_at_once(tool, &application, processes);
        lost = lost.max(application.lost());
        rebuilt += usize::from(application.is_rebuilt());
    }
    let all = processes * ROUNDS;
    Ok(format!(
        "{green} of {all} exit 0; migrated {rebuilt} of {ROUNDS} times; {lost} rows lost"
    ))
}

/// How many of them end well.
fn start_at_once(tool: &Tool, application: &Application, processes: usize) -> usize {
    let barrier = std::sync::Barrier::new(processes);
    std::thread::scope(|scope| {
        let run = || {
            barrier.wait();
            application
                .run(tool)
                .is_ok_and(|output| output.status.success())
        };
        let threads: Vec<_> = (0..processes).map(|_| scope.spawn(run)).collect();
        let ended = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or(false));
        ended.filter(|is_green| *is_green).count()
    })
}

/// Somebody holds a write transaction, longer than anybody waits.
pub(super) fn beside_a_holder(tool: &Tool) -> Cell {
    let application = Application::with_a_pending_rebuild(tool)?;
    let mut holder = application.open()?;
    holder.execute("BEGIN IMMEDIATE; INSERT INTO settings VALUES ('held', 'row')")?;
    let started = Instant::now();
    let refused = application.run(tool)?;
    let seconds = started.elapsed().as_secs();
    holder.execute("COMMIT")?;
    holder.close();
    let held = application.number("SELECT count(*) FROM settings WHERE key = 'held'");
    let named = match words(&refused).contains(&format!("pid {}", std::process::id())) {
        true => "names the holder",
        false => "does not name the holder",
    };
    let again = application.run(tool)?;
    let then = if again.status.success() && application.is_rebuilt() {
        "runs once it is free"
    } else {
        "**stuck afterwards**"
    };
    let code = refused.status.code().unwrap_or(-1);
    let kept = if held == 1 {
        "its row is kept"
    } else {
        "**its row is lost**"
    };
    Ok(format!(
        "exit {code} after {seconds} s, {named}; {kept}; {then}"
    ))
}

/// Every row is in a log that no process has open any more.
pub(super) fn with_a_hot_log(tool: &Tool) -> Cell {
    let application = Application::with_a_pending_rebuild(tool)?;
    application.execute("DELETE FROM orders; PRAGMA journal_mode = WAL")?;
    let mut crashed = application.open()?;
    crashed.execute(&format!(
        "PRAGMA wal_autocheckpoint = 0;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         INSERT INTO orders SELECT i, i * 0.5, 'order ' || i FROM n"
    ))?;
    let log = application.root().join("app.db-wal");
    let files = [application.database(), log];
    let bytes = [std::fs::read(&files[0])?, std::fs::read(&files[1])?];
    crashed.close();
    for (file, bytes) in files.iter().zip(bytes) {
        std::fs::write(file, bytes)?;
    }
    let ran = application.run(tool)?;
    let code = ran.status.code().unwrap_or(-1);
    Ok(format!("exit {code}; {} rows lost", application.lost()))
}

pub(super) fn with_children(tool: &Tool) -> Cell {
    let application = Application::with_a_pending_rebuild(tool)?;
    application.execute("INSERT INTO lines (parent) SELECT id FROM orders")?;
    let ran = application.run(tool)?;
    let code = ran.status.code().unwrap_or(-1);
    let children = application.number("SELECT count(*) FROM lines");
    let words = format!("exit {code}; {children} of {ROWS} kept");
    Ok(if children == ROWS {
        words
    } else {
        format!("**{words}**")
    })
}

/// What somebody did by hand, and what shows that it was undone.
const DRIFT: [(&str, &str); 4] = [
    (
        "ALTER TABLE orders DROP COLUMN note",
        "SELECT count(*) FROM pragma_table_info('orders') WHERE name = 'note'",
    ),
    (
        "DROP TABLE settings",
        "SELECT count(*) FROM sqlite_schema WHERE name = 'settings'",
    ),
    (
        "DROP INDEX orders_by_total",
        "SELECT count(*) FROM sqlite_schema WHERE name = 'orders_by_total'",
    ),
    (
        "ALTER TABLE orders RENAME COLUMN note TO remark",
        "SELECT count(*) FROM pragma_table_info('orders') WHERE name = 'note'",
    ),
];

pub(super) fn with_drift(tool: &Tool) -> Cell {
    let template = Application::with_rows(tool)?;
    let (mut healed, mut refused) = (0, 0);
    for (drift, proof) in DRIFT {
        let application = template.copy(tool)?;
        application.execute(drift)?;
        let ran = application.run(tool)?;
        healed += usize::from(ran.status.success() && application.number(proof) == 1);
        refused += usize::from(!ran.status.success());
    }
    let unseen = DRIFT.len() - healed - refused;
    Ok(format!(
        "{healed} healed, {refused} refused, {unseen} not noticed"
    ))
}

pub(super) fn newer(tool: &Tool) -> Cell {
    let application = Application::with_rows(tool)?;
    application.execute(if tool.is_sqlx() {
        "INSERT INTO _sqlx_migrations VALUES (99, 'newer', 0, 1, x'00', 0)"
    } else {
        "UPDATE alembic_version SET version_num = '99'"
    })?;
    answered(tool, &application, "refused", "not noticed")
}

/// Two branches were merged.
pub(super) fn out_of_order(tool: &Tool) -> Cell {
    const BETWEEN: Migration = Migration {
        version: 2,
        statements: &["CREATE TABLE between_them (x)"],
    };
    let application = Application::with_a_pending_rebuild(tool)?;
    application.must_run(tool)?;
    tool.add(&application, &BETWEEN)?;
    answered(tool, &application, "refused", "applied late")
}

pub(super) fn line_endings(tool: &Tool) -> Cell {
    let application = Application::with_rows(tool)?;
    tool.add(&application, &REBUILD)?;
    let file = tool.migration_file(&application, 1);
    let text = std::fs::read_to_string(&file)?.replace('\n', "\r\n");
    std::fs::write(file, text)?;
    answered(
        tool,
        &application,
        "**refused: a manual step is owed**",
        "taken for the same",
    )
}

fn answered(tool: &Tool, application: &Application, red: &str, green: &str) -> Cell {
    let ran = application.run(tool)?;
    let code = ran.status.code().unwrap_or(-1);
    let what = if ran.status.success() { green } else { red };
    Ok(format!("{what} (exit {code})"))
}
