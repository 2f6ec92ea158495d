use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection as _, Executor as _, Row as _, TypeInfo as _,
    ValueRef as _,
};

use super::DbError;
use super::live_index::LiveIndex;
use super::side_files::ensure_may_be_opened;
use crate::model::{SqlStatement, SqlValue};

/// One row: a value per column.
pub type Row = Vec<SqlValue>;

/// What a connection may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    ReadOnly,
    /// Read and write; the file must be there.
    ReadWrite,
    /// Read and write; the file is made where it is missing.
    Create,
}

/// A connection to one SQLite file. Its calls block.
#[derive(Debug)]
pub struct Connection {
    inner: SqliteConnection,
    /// Only [`Connection::close`] gives it back: its end would take the locks of one that is still open away.
    beside: Option<ManuallyDrop<LiveIndex>>,
}

fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap_or_else(|error| panic!("the timer of the database runtime: {error}"))
    })
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

impl Connection {
    /// Opens a file. `wait` is how long each statement waits for a lock.
    ///
    /// Safety: where somebody has its log open, the index of that stays as it is, also where its owner is killed before
    /// SQLite is asked.
    ///
    /// # Errors
    ///
    /// SQLite's reason, or that it is not asked because it would lose something. That a file could be opened
    /// says nothing about it: SQLite reads its first byte with the first statement.
    pub fn open(path: &Path, access: Access, wait: Duration) -> Result<Connection, DbError> {
        ensure_may_be_opened(path)?;
        let beside = LiveIndex::join(path);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(access == Access::ReadOnly)
            .create_if_missing(access == Access::Create)
            .foreign_keys(false)
            .busy_timeout(wait)
            .disable_statement_logging();
        let connection = Connection::connect(&options)?;
        Ok(Connection {
            beside: beside.map(ManuallyDrop::new),
            ..connection
        })
    }

    /// Whether nobody else had the log open when this was opened, so that SQLite takes it for a crash's.
    pub fn is_alone(&self) -> bool {
        self.beside.is_none()
    }

    /// Opens an empty database in memory.
    ///
    /// # Errors
    ///
    /// When there is no memory.
    pub fn in_memory() -> Result<Connection, DbError> {
        Connection::connect(
            &SqliteConnectOptions::new()
                .in_memory(true)
                .foreign_keys(false)
                .disable_statement_logging(),
        )
    }

    fn connect(options: &SqliteConnectOptions) -> Result<Connection, DbError> {
        let inner = block_on(options.connect())?;
        Ok(Connection {
            inner,
            beside: None,
        })
    }

    /// Runs one query.
    ///
    /// # Errors
    ///
    /// SQLite's reason.
    pub fn query(&mut self, sql: &str, parameters: &[SqlValue]) -> Result<Vec<Row>, DbError> {
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        for parameter in parameters {
            query = match parameter.clone() {
                SqlValue::Null => query.bind(None::<i64>),
                SqlValue::Integer(value) => query.bind(value),
                SqlValue::Real(value) => query.bind(value),
                SqlValue::Text(value) => query.bind(value),
                SqlValue::Blob(value) => query.bind(value),
            };
        }
        let rows = block_on(query.fetch_all(&mut self.inner))?;
        rows.iter().map(decode).collect()
    }

    /// The first value of the first row.
    ///
    /// # Errors
    ///
    /// SQLite's reason, or that there was no row.
    pub fn scalar(&mut self, sql: &str) -> Result<SqlValue, DbError> {
        let rows = self.query(sql, &[])?;
        rows.into_iter()
            .next()
            .and_then(|row| row.into_iter().next())
            .ok_or_else(|| DbError::other(format!("no row from `{sql}`")))
    }

    /// Runs statements that bind nothing and answer nothing.
    ///
    /// # Errors
    ///
    /// SQLite's reason; statements before the faulty one have taken effect.
    pub fn execute(&mut self, sql: &str) -> Result<(), DbError> {
        // SQLite ends there, and sqlx would ask it for the rest for ever.
        if sql.contains('\0') {
            return Err(DbError::other("a NUL byte is no SQL"));
        }
        block_on(self.inner.execute(sqlx::raw_sql(AssertSqlSafe(sql))))?;
        Ok(())
    }

    /// Makes a change, rolls it back, and answers what `question` (of one value) saw before, within
    /// and after it.
    ///
    /// # Errors
    ///
    /// SQLite's reason. The change is rolled back then too.
    pub fn rehearse(&mut self, question: &str, change: &str) -> Result<[SqlValue; 3], DbError> {
        let sql =
            format!("{question}; BEGIN IMMEDIATE; {change}; {question}; ROLLBACK; {question}");
        let rows = match block_on(sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.inner)) {
            Ok(rows) => rows,
            Err(error) => {
                // Where it has not begun there is nothing to roll back, which is an error too.
                let _ = self.execute("ROLLBACK");
                return Err(error.into());
            }
        };
        let values: Result<Vec<SqlValue>, DbError> = rows.iter().map(|row| value(row, 0)).collect();
        <[SqlValue; 3]>::try_from(values?)
            .map_err(|seen| DbError::other(format!("three answers wanted, got {seen:?}")))
    }

    /// Begins a transaction that only reads: all its questions are answered from one state. Its end changes nothing.
    ///
    /// # Errors
    ///
    /// SQLite's reason.
    pub fn begin_reading(&mut self) -> Result<Transaction<'_>, DbError> {
        self.begin("BEGIN")
    }

    /// Begins a transaction that keeps other writers out from the start, and readers in no journal mode before
    /// it is committed. Dropped without [`Transaction::commit`], it is rolled back.
    ///
    /// # Errors
    ///
    /// SQLite's reason.
    pub fn begin_immediate(&mut self) -> Result<Transaction<'_>, DbError> {
        self.begin("BEGIN IMMEDIATE")
    }

    /// Begins a transaction that has from the start every lock that its end needs. Dropped without
    /// [`Transaction::commit`], it is rolled back.
    ///
    /// Safety: with a rollback journal, a commit waits for every reader, and so does a change that outgrows the
    /// cache (<https://www.sqlite.org/lockingv3.html#writing>). Whoever begins with less meets a reader only when
    /// all is done, has to take it back, and meanwhile lets nobody else begin to read. Here a reader is met before
    /// anything is done; between two tries no lock is held, so that one who never ends keeps nobody else out. With
    /// a write-ahead log this is [`Connection::begin_immediate`], and readers go on.
    ///
    /// # Errors
    ///
    /// SQLite's reason; a lock is one only here, and nothing was begun then.
    pub fn begin_exclusive(&mut self) -> Result<Transaction<'_>, DbError> {
        self.begin("BEGIN EXCLUSIVE")
    }

    fn begin(&mut self, words: &str) -> Result<Transaction<'_>, DbError> {
        self.execute(words)?;
        Ok(Transaction {
            connection: self,
            open: true,
        })
    }

    /// What sqlx itself prints where these statements fail; none where they do not. They are tried
    /// in a transaction that is rolled back.
    pub fn complaint(&mut self, sql: &str) -> Option<String> {
        let text = format!("BEGIN; {sql}");
        let done = block_on(self.inner.execute(sqlx::raw_sql(AssertSqlSafe(text))));
        // Where the error itself ended the transaction, there is none to roll back.
        let _ = self.execute("ROLLBACK");
        done.err().map(|error| error.to_string())
    }

    /// Closes the connection and waits until its locks are gone.
    pub fn close(self) {
        if let Some(beside) = &self.beside {
            beside.let_go();
        }
        // What SQLite could not do on closing (a checkpoint, say) is done at the next opening.
        let _ = block_on(self.inner.close());
        let _given_back = self.beside.map(ManuallyDrop::into_inner);
    }

    pub(crate) fn raw(&mut self) -> &mut SqliteConnection {
        &mut self.inner
    }
}

/// An open write transaction.
#[derive(Debug)]
pub struct Transaction<'a> {
    connection: &'a mut Connection,
    open: bool,
}

impl Transaction<'_> {
    /// The connection that the transaction is on.
    pub fn connection(&mut self) -> &mut Connection {
        self.connection
    }

    /// Runs one statement.
    ///
    /// # Errors
    ///
    /// SQLite's reason.
    pub fn run(&mut self, statement: &SqlStatement) -> Result<Vec<Row>, DbError> {
        self.connection.query(&statement.sql, &statement.parameters)
    }

    /// Makes the changes last.
    ///
    /// # Errors
    ///
    /// SQLite's reason; the transaction is rolled back then.
    pub fn commit(mut self) -> Result<(), DbError> {
        self.connection.execute("COMMIT")?;
        self.open = false;
        Ok(())
    }

    /// Takes the changes back.
    ///
    /// # Errors
    ///
    /// SQLite's reason.
    pub fn rollback(mut self) -> Result<(), DbError> {
        self.open = false;
        self.connection.execute("ROLLBACK")
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.open {
            // SQLite itself rolls back when the connection goes; that is the fallback.
            let _ = self.connection.execute("ROLLBACK");
        }
    }
}

fn decode(row: &SqliteRow) -> Result<Row, DbError> {
    (0..row.len()).map(|index| value(row, index)).collect()
}

fn value(row: &SqliteRow, index: usize) -> Result<SqlValue, DbError> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(SqlValue::Null);
    }
    let kind = raw.type_info().name().to_owned();
    Ok(match kind.as_str() {
        "INTEGER" => SqlValue::Integer(row.try_get_unchecked(index)?),
        "REAL" => SqlValue::Real(row.try_get_unchecked(index)?),
        "BLOB" => SqlValue::Blob(row.try_get_unchecked(index)?),
        _ => {
            // Text that is not UTF-8 is an application's business, not a reason to stop reading.
            let bytes: Vec<u8> = row.try_get_unchecked(index)?;
            SqlValue::Text(String::from_utf8_lossy(&bytes).into_owned())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_are() {
        let mut connection = Connection::in_memory().unwrap();
        let rows = connection
            .query(
                "SELECT NULL, 7, 0.5, 'x', x'00ff', CAST(x'ff' AS TEXT), ?1",
                &["y".into()],
            )
            .unwrap();
        let text = |text: &str| SqlValue::Text(text.to_owned());
        let expected = vec![
            SqlValue::Null,
            SqlValue::Integer(7),
            SqlValue::Real(0.5),
            text("x"),
            SqlValue::Blob(vec![0, 255]),
            text("\u{fffd}"),
            text("y"),
        ];
        assert_eq!(rows, vec![expected]);
    }

    #[test]
    fn a_dropped_transaction_leaves_nothing() {
        let mut connection = Connection::in_memory().unwrap();
        connection.execute("CREATE TABLE t (x)").unwrap();
        let mut transaction = connection.begin_immediate().unwrap();
        transaction
            .connection()
            .execute("INSERT INTO t VALUES (1)")
            .unwrap();
        drop(transaction);
        assert_eq!(
            connection.scalar("SELECT count(*) FROM t").unwrap(),
            SqlValue::Integer(0)
        );
    }

    #[test]
    fn a_rehearsed_change_is_seen_and_leaves_nothing() {
        let mut connection = Connection::in_memory().unwrap();
        connection.execute("CREATE TABLE t (x)").unwrap();
        let count = "SELECT count(*) FROM t";
        let seen = connection
            .rehearse(count, "INSERT INTO t VALUES (1)")
            .unwrap();
        assert_eq!(seen, [0, 1, 0].map(SqlValue::Integer));
        connection
            .rehearse(count, "INSERT INTO u VALUES (1)")
            .unwrap_err();
        connection.begin_immediate().unwrap().rollback().unwrap();
    }

    #[test]
    fn a_missing_file_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing.db");
        let error = Connection::open(&path, Access::ReadWrite, Duration::ZERO).unwrap_err();
        assert!(matches!(error, DbError::CannotOpen { .. }), "{error}");
        assert!(!path.exists());
    }
}
