//! Whether statements stay within the transaction that they are run in.

use super::{Connection, DbError};

/// What the transaction makes before them.
const MARK: &str = "_gate_mark";

/// Runs statements on a database of our own, in a transaction, and leaves what they did. False where they ended
/// that transaction, whether or not they began another one.
///
/// Safety: SQLite itself tells. What the transaction made before the statements is still there behind them, and
/// gone once it is rolled back: neither is so where they committed it or took it back.
///
/// # Errors
///
/// SQLite's reason; the database is of no use then.
pub fn stay_in_one_transaction(connection: &mut Connection, sql: &str) -> Result<bool, DbError> {
    connection.execute(&format!("BEGIN; CREATE TABLE {MARK} (x)"))?;
    connection.execute(sql)?;
    let is_marked = |connection: &mut Connection| {
        let question = format!("SELECT count(*) FROM sqlite_schema WHERE name = '{MARK}'");
        Ok::<bool, DbError>(connection.scalar(&question)? == 1.into())
    };
    let stayed =
        is_marked(connection)? && connection.execute("ROLLBACK").is_ok() && !is_marked(connection)?;
    if stayed {
        connection.execute(sql)?;
    }
    Ok(stayed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ends_the_transaction_is_found_whatever_it_looks_like() {
        for (sql, stays) in [
            (
                "CREATE TABLE a (x); INSERT INTO a VALUES ('; COMMIT;')",
                true,
            ),
            (
                "CREATE TABLE a (x, \"trigger\" TEXT); CREATE TRIGGER t AFTER INSERT ON a BEGIN
                     DELETE FROM a WHERE x = 1; END;",
                true,
            ),
            ("SAVEPOINT s; CREATE TABLE a (x); RELEASE s", true),
            ("CREATE TABLE a (x); COMMIT", false),
            (
                "CREATE TABLE a (x); COMMIT; CREATE TABLE b (x); BEGIN",
                false,
            ),
            (
                "CREATE TABLE a (x, trigger TEXT); end; BEGIN IMMEDIATE",
                false,
            ),
            ("ROLLBACK; CREATE TABLE a (x)", false),
            ("ROLLBACK; BEGIN; CREATE TABLE a (x)", false),
        ] {
            let mut connection = Connection::in_memory().unwrap();
            let stayed = stay_in_one_transaction(&mut connection, sql).unwrap();
            assert_eq!(stayed, stays, "{sql}");
            let count = "SELECT count(*) FROM sqlite_schema WHERE name = 'a'";
            assert!(
                !stays || connection.scalar(count).unwrap() == 1.into(),
                "{sql}"
            );
        }
    }
}
