//! Other processes: who they are, and what they have.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::{file_identity, system_start};
use crate::host::Clock;

/// More of what the system tells of a process is not read.
const PROCESS_BYTES_MAX: u64 = 64 << 10;

/// What is known of a process: its command line without secrets, its state, which may explain a wait, and since
/// when it runs.
pub fn process_description(pid: u32) -> String {
    let read = |name: &str| {
        let mut contents = Vec::new();
        if let Ok(file) = File::open(format!("/proc/{pid}/{name}")) {
            // What was read before an error is what is known.
            let _ = file.take(PROCESS_BYTES_MAX).read_to_end(&mut contents);
        }
        contents
    };
    let words: Vec<String> = read("cmdline")
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let command = crate::host::command_line::shown(&words);
    let status = String::from_utf8_lossy(&read("status")).into_owned();
    let state = status
        .lines()
        .find_map(|line| line.strip_prefix("State:"))
        .map_or("state unknown", str::trim);
    let since = started(&String::from_utf8_lossy(&read("stat")));
    let since = since.map(|since| format!("since {}", Clock::local(since)));
    let known = [command, state.to_owned(), since.unwrap_or_default()];
    let known = known.iter().filter(|words| !words.is_empty());
    known.map(String::as_str).collect::<Vec<_>>().join("; ")
}

/// When the process began whose line in `/proc` this is; its name, in brackets, may hold anything.
fn started(stat: &str) -> Option<std::time::SystemTime> {
    const AFTER_NAME: usize = 19;
    let (_, rest) = stat.rsplit_once(')')?;
    let ticks: u64 = rest.split_whitespace().nth(AFTER_NAME)?.parse().ok()?;
    let milliseconds = ticks.checked_mul(1_000)? / rustix::param::clock_ticks_per_second().max(1);
    system_start()?.checked_add(std::time::Duration::from_millis(milliseconds))
}

/// Whether a process with this id is there and has not ended. One that has, and whose parent does not ask for its
/// end, as the first process of a container may not, keeps its id and nothing else.
pub fn process_is_alive(pid: u32) -> bool {
    i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .is_some_and(|id| {
            let is_there = !matches!(
                rustix::process::test_kill_process(id),
                Err(rustix::io::Errno::SRCH)
            );
            is_there && !has_ended(pid)
        })
}

/// Where the system does not tell, it has not.
fn has_ended(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
    state.is_some_and(|state| state.starts_with(['Z', 'X']))
}

/// Another process that has this file open, of those that this one may look into; none where none of
/// them has.
///
/// # Errors
///
/// When the file cannot be looked at, or the system does not tell what processes have open.
pub fn process_that_opened(path: &Path) -> io::Result<Option<u32>> {
    let wanted = file_identity(&std::fs::metadata(path)?);
    other_process(|pid| {
        // It has ended, or is another user's.
        let open = std::fs::read_dir(format!("/proc/{pid}/fd"));
        let files = open.into_iter().flatten().flatten();
        let mut files = files.flat_map(|it| std::fs::metadata(it.path()));
        files.any(|file| file_identity(&file) == wanted)
    })
}

/// Another process that was started with this variable in its environment, of those that this one may look into.
///
/// # Errors
///
/// When the system does not list the processes.
pub fn process_with_variable(name: &str, value: &str) -> io::Result<Option<u32>> {
    let wanted = format!("{name}={value}");
    other_process(|pid| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut variables = environment.split(|byte| *byte == 0);
        variables.any(|variable| variable == wanted.as_bytes())
    })
}

/// Another process that listens on this TCP port, of those that this one may look into.
///
/// # Errors
///
/// When the system does not tell who listens.
pub fn process_that_listens(port: u16) -> io::Result<Option<u32>> {
    let mut sockets = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        match std::fs::read_to_string(table) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            text => sockets.extend(text?.lines().filter_map(|line| listener(line, port))),
        }
    }
    other_process(|pid| {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd"));
        let files = open.into_iter().flatten().flatten();
        let mut links = files.flat_map(|it| std::fs::read_link(it.path()));
        links.any(|link| sockets.iter().any(|socket| link == Path::new(socket)))
    })
}

/// The socket of a line of `/proc/net/tcp`, where it listens on this port.
fn listener(line: &str, port: u16) -> Option<String> {
    const LISTENS: &str = "0A";
    let words: Vec<&str> = line.split_whitespace().collect();
    let (_, of_line) = words.get(1)?.rsplit_once(':')?;
    let is_meant = u16::from_str_radix(of_line, 16) == Ok(port) && *words.get(3)? == LISTENS;
    let inode = words.get(9)?;
    is_meant.then(|| format!("socket:[{inode}]"))
}

fn other_process(is_meant: impl Fn(u32) -> bool) -> io::Result<Option<u32>> {
    let mut lists_processes = false;
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok());
        let Some(pid) = pid else {
            continue;
        };
        if pid == std::process::id() {
            lists_processes = true;
        } else if is_meant(pid) && !is_about_to_be_another(pid) {
            return Ok(Some(pid));
        }
    }
    match lists_processes {
        true => Ok(None),
        false => Err(io::Error::other("/proc does not list the processes")),
    }
}

/// Lets a command and everything that it starts be stopped together.
pub fn in_a_group_of_its_own(command: &mut std::process::Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

/// Stops the command with this id, which was started in a group of its own, and everything that it
/// started in turn: a shell's child would go on otherwise, and write what was said to be stopped.
pub fn stop_group(pid: u32) {
    let group = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // Gone already, then.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

/// Whether it is this very program, forked a moment ago to become another one: until then it has all that this
/// process has, and then nothing of it.
fn is_about_to_be_another(pid: u32) -> bool {
    let exe = |pid: u32| std::fs::read_link(format!("/proc/{pid}/exe"));
    let own = std::process::id();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    let is_child = parent.is_some_and(|parent| parent.trim() == own.to_string());
    is_child && matches!((exe(pid), exe(own)), (Ok(its), Ok(own)) if its == own)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn what_has_ended_is_not_alive_though_nobody_has_asked() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        assert!(process_is_alive(pid));
        drop(child.stdin.take());
        let deadline = Instant::now() + Duration::from_secs(20);
        while process_is_alive(pid) {
            assert!(Instant::now() < deadline, "{}", process_description(pid));
            std::thread::yield_now();
        }
        // Its id is still taken.
        assert!(Path::new(&format!("/proc/{pid}")).exists());
        child.wait().unwrap();
    }
}
