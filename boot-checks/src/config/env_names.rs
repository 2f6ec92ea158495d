//! The environment variables that the gate itself reads. A variable that is set to nothing counts
//! as not set, so that `BOOT_ROOT= cargo xtask boot` is a way to take one back.

/// The application's root, like `--root`. Relative paths start at the current folder. Read from
/// the environment of the process only: `.env` lies under the root.
pub const BOOT_ROOT: &str = "BOOT_ROOT";

/// The configuration file, like `--config`. Read from the environment of the process only.
pub const BOOT_CONFIG: &str = "BOOT_CONFIG";

/// The port that the application listens on, over `port` in `boot.toml`: 1 to 65535.
pub const BOOT_PORT: &str = "BOOT_PORT";

/// The application's database, over `[database] url` in `boot.toml`.
pub const DATABASE_URL: &str = "DATABASE_URL";
