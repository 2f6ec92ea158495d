//! What an application does that lets sqlx migrate its database when it starts, as sqlx's documentation
//! shows it. The bench puts it beside the gate.

use std::path::PathBuf;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let usage = "usage: sqlx_migrator DATABASE FOLDER";
    let (database, folder) = (
        arguments.next().ok_or(usage)?,
        arguments.next().ok_or(usage)?,
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let options = SqliteConnectOptions::new()
            .filename(database)
            .create_if_missing(true);
        let pool = SqlitePool::connect_with(options).await?;
        let migrator = Migrator::new(folder.as_path()).await?;
        migrator.run(&pool).await?;
        pool.close().await;
        Ok(())
    })
}
