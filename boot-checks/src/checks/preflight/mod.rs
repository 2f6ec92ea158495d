//! Stage 1: the database and what surrounds it.

mod database_exists;
mod database_intact;
mod database_readable;
mod disk_space;
mod entry_point_imports;
mod port_free;
mod required_tables;
mod schema_version;
mod writable_folders;

pub use database_exists::DatabaseExists;
pub use database_intact::DatabaseIntact;
pub use database_readable::DatabaseReadable;
pub use disk_space::DiskSpace;
pub use entry_point_imports::EntryPointImports;
pub use port_free::PortFree;
pub use required_tables::RequiredTables;
pub use schema_version::SchemaVersion;
pub use writable_folders::WritableFolders;
