//! Is the application's port free? A warning only: the application may be meant to be running.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};

use crate::checks::Check;
use crate::context::Context;
use crate::host;
use crate::model::{CheckError, CheckResult, Finding, Findings};

/// See the module.
pub struct PortFree;

impl Check for PortFree {
    fn title(&self) -> &'static str {
        "Port is free"
    }

    fn run(&self, cx: &Context) -> CheckResult {
        let Some(port) = cx.config.port else {
            return Ok(Findings::not_applicable("boot.toml names no port"));
        };
        match TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)) {
            Ok(_) => Ok(Findings::healthy(format!("port {port}"))),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                Ok(Findings::problem(in_use(port).pattern("port_in_use")))
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(Findings::problem(
                Finding::new(
                    "port_not_permitted",
                    format!("port {port} is not permitted: {error}"),
                )
                .action("choose a port above 1023"),
            )),
            Err(error) => Err(CheckError::new(format!("cannot try port {port}: {error}"))),
        }
    }
}

fn in_use(port: u16) -> Finding {
    let finding = Finding::new("port_in_use", format!("port {port} is in use"));
    // Who cannot be seen, or is gone by now, a person may see.
    match host::process_that_listens(port).ok().flatten() {
        Some(pid) => finding
            .cause("that process listens on it; it may be the application itself")
            .evidence(
                "process",
                format!("pid {pid} ({})", host::process_description(pid)),
            )
            .action("end that process, unless it is what is meant to be running"),
        None => finding
            .cause("another process listens on it, perhaps the application itself")
            .action(format!("`ss -ltnp 'sport = :{port}'` names the process")),
    }
}
