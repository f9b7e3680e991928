//! Programs that run in the machine: in the background by name, or at once with their output.
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::kernel;

/// The named processes.
#[derive(Default)]
pub(crate) struct Processes(Mutex<BTreeMap<String, Child>>);

impl Processes {
    /// Starts a program in a group of its own, with /run/NAME.out and /run/NAME.err for its output; its number.
    pub(crate) fn start(&self, name: &str, command: &str) -> Result<String, String> {
        let mut children = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(child) = children.get_mut(name)
            && child.try_wait().is_ok_and(|status| status.is_none())
        {
            return Err(format!("`{name}` runs already; kill and wait for it first"));
        }
        let file = |end: &str| {
            let path = format!("/run/{name}.{end}");
            File::options().create(true).append(true).open(&path).map_err(|e| format!("cannot write {path}: {e}"))
        };
        let child = Command::new("/bin/sh")
            .args(["-c", &format!("exec {command}")])
            .current_dir("/root")
            .stdin(Stdio::null())
            .stdout(file("out")?)
            .stderr(file("err")?)
            .process_group(0)
            .spawn()
            .map_err(|e| format!("cannot start `{command}`: {e}"))?;
        let number = child.id();
        children.insert(name.to_string(), child);
        Ok(format!("{number}\n"))
    }

    pub(crate) fn signal(&self, name: &str, signal: &str) -> Result<String, String> {
        let number = match signal {
            "HUP" => libc::SIGHUP,
            "INT" => libc::SIGINT,
            "QUIT" => libc::SIGQUIT,
            "KILL" => libc::SIGKILL,
            "USR1" => libc::SIGUSR1,
            "USR2" => libc::SIGUSR2,
            "TERM" => libc::SIGTERM,
            "CONT" => libc::SIGCONT,
            "STOP" => libc::SIGSTOP,
            _ => return Err(format!("`{signal}` is no signal known here; use TERM, KILL, STOP, CONT, …")),
        };
        let children = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let child = children.get(name).ok_or_else(|| format!("nothing runs as `{name}`"))?;
        kernel::signal_group(child.id(), number).map_err(|e| format!("cannot signal `{name}`: {e}"))?;
        Ok(String::new())
    }

    /// How it ended, `exit 0` or `signal 9`; `running` when it has not within the limit.
    pub(crate) fn wait(&self, name: &str, limit: Duration) -> Result<String, String> {
        let end = Instant::now() + limit;
        loop {
            let mut children = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let child = children.get_mut(name).ok_or_else(|| format!("nothing was run as `{name}`"))?;
            if let Some(status) = child.try_wait().map_err(|e| format!("cannot wait for `{name}`: {e}"))? {
                return Ok(ended(status));
            }
            drop(children);
            if Instant::now() >= end {
                return Ok("running\n".to_string());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}\n"),
        (None, Some(signal)) => format!("signal {signal}\n"),
        (None, None) => "ended\n".to_string(),
    }
}

/// Runs a command of the shell to its end: its exit as a first line, then all that it wrote.
pub(crate) fn shell(command: &str) -> Result<Vec<u8>, String> {
    let output = Command::new("/bin/sh")
        .args(["-c", &format!("exec 2>&1; {command}")])
        .current_dir("/root")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cannot start a shell: {e}"))?;
    let mut answer = ended(output.status).into_bytes();
    answer.extend(output.stdout);
    Ok(answer)
}
