//! Is there room for what a boot writes? A database on a full disk opens, reads well, and fails on
//! the first write.

use crate::checks::Check;
use crate::context::Context;
use crate::host;
use crate::model::{CheckError, CheckResult, Finding, Findings};

/// See the module.
pub struct DiskSpace;

/// A boot writes its report, its record, its journal and, where it is missing, a small database; all
/// of it is well below one mebibyte. The rest is for the application's first transaction.
const BYTES_NEEDED: u64 = 4 << 20;

impl Check for DiskSpace {
    fn title(&self) -> &'static str {
        "Disk has room"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let mut places = vec![cx.config.root.as_path()];
        places.extend(
            cx.database_path()
                .and_then(|path| path.parent())
                .filter(|path| path.exists()),
        );
        let mut least = u64::MAX;
        for place in places {
            let free = host::free_bytes(place).map_err(|error| {
                CheckError::new(format!(
                    "cannot ask for free space at {}: {error}",
                    place.display()
                ))
            })?;
            if free < BYTES_NEEDED {
                return Ok(Findings::problem(too_full(place, free)));
            }
            least = least.min(free);
        }
        Ok(Findings::healthy(format!("{} MiB free", least >> 20)))
    }
}

fn too_full(place: &std::path::Path, free: u64) -> Finding {
    Finding::new(
        "disk_full",
        format!("{} has too little room", place.display()),
    )
    .evidence("free KiB", free >> 10)
    .evidence("needed KiB", BYTES_NEEDED >> 10)
    .action("free space on that file system, then boot again")
    .pattern("disk_full")
}
