//! A child process in its own process group: its output is read without blocking, the last lines of its complaints are
//! kept, and it is ended and reaped with the whole group.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, waitid};

use crate::camera::poll::readable;

/// Lines of standard error that are kept, and bytes of each.
const LINES: usize = 5;
const LINE_BYTES: usize = 200;
/// Time for the program to end by itself: after it closed its output, and after it was asked to.
const GRACE: Duration = Duration::from_millis(500);

/// What reading came to.
pub(super) enum Read {
    /// So many bytes.
    Bytes(usize),
    /// None yet.
    Nothing,
    /// The program ended, for this reason.
    End(String),
}

/// A running program.
pub(super) struct Process {
    child: Child,
    output: ChildStdout,
    complaints: Option<ChildStderr>,
    tail: Tail,
}

impl Process {
    pub(super) fn start(program: &str, arguments: &[String]) -> io::Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let (output, complaints) = (child.stdout.take(), child.stderr.take());
        let output = output.ok_or(ErrorKind::BrokenPipe)?;
        let process = Self { child, output, complaints, tail: Tail::default() };
        unblock(process.output.as_fd())?;
        if let Some(complaints) = &process.complaints {
            unblock(complaints.as_fd())?;
        }
        Ok(process)
    }

    /// Reads what is there, and waits for it as long as the timeout.
    pub(super) fn read(&mut self, into: &mut [u8], timeout: Duration) -> Read {
        let output = self.output.as_fd();
        let waited = match &self.complaints {
            Some(complaints) => readable([output, complaints.as_fd()], timeout),
            None => readable([output], timeout).map(|[output]| [output, false]),
        };
        let [output, complaints] = match waited {
            Ok(ready) => ready,
            Err(error) => return Read::End(format!("waiting for it failed ({error}); start the service again")),
        };
        if complaints {
            self.listen();
        }
        if !output {
            // A child of the program may hold the pipe open after the program itself has ended.
            return if self.ended(Duration::ZERO).is_some() { Read::End(self.last_words()) } else { Read::Nothing };
        }
        match self.output.read(into) {
            Ok(0) => Read::End(self.last_words()),
            Ok(count) => Read::Bytes(count),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Read::Nothing,
            Err(error) => Read::End(format!("reading failed ({error}); start the service again")),
        }
    }

    /// Takes what the program complains about; once only, so that a chatterer does not keep the images waiting.
    fn listen(&mut self) {
        let mut bytes = [0; 1024];
        match self.complaints.as_mut().map(|complaints| complaints.read(&mut bytes)) {
            Some(Ok(count @ 1..)) => self.tail.push(&bytes[..count]),
            Some(Err(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            _ => self.complaints = None,
        }
    }

    /// Why it ended: its exit code or signal, and its last lines.
    fn last_words(&mut self) -> String {
        let status = self.ended(GRACE);
        // What it wrote last; a grandchild that holds the pipe open ends this by writing nothing.
        for _ in 0..64 {
            let more = self.complaints.as_ref().map(|complaints| readable([complaints.as_fd()], Duration::ZERO));
            match more {
                Some(Ok([true])) => self.listen(),
                _ => break,
            }
        }
        let how = status.map_or("closed its output but runs on".to_owned(), |status| describe(&status));
        let tail = self.tail.text();
        let said = if tail.is_empty() { "it said nothing".to_owned() } else { format!("it said: {tail}") };
        format!("the program {how}; {said}")
    }

    /// How it ended, if it did within the time. It stays a zombie, which keeps the number of its group from being given
    /// to others.
    fn ended(&self, within: Duration) -> Option<WaitIdStatus> {
        let begun = Instant::now();
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        loop {
            if let Ok(Some(status)) = waitid(WaitId::Pid(Pid::from_child(&self.child)), options) {
                return Some(status);
            }
            if begun.elapsed() >= within {
                return None;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = Pid::from_child(&self.child);
        // Asked first, so that the program can release its camera.
        _ = kill_process_group(group, Signal::TERM);
        self.ended(GRACE);
        _ = kill_process_group(group, Signal::KILL);
        if self.ended(GRACE).is_some() {
            _ = self.child.wait();
        } else {
            // Stuck in a driver: it is reaped whenever that lets go of it, and nobody waits meanwhile.
            thread::spawn(move || waitid(WaitId::Pid(group), WaitIdOptions::EXITED));
        }
    }
}

fn unblock(fd: BorrowedFd<'_>) -> io::Result<()> {
    fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)?;
    Ok(())
}

fn describe(status: &WaitIdStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// The last lines of a text that may come in any pieces.
#[derive(Default)]
struct Tail {
    lines: VecDeque<Vec<u8>>,
    open: bool,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if matches!(byte, b'\n' | b'\r') {
                self.open = false;
                continue;
            }
            if !self.open {
                if self.lines.len() == LINES {
                    self.lines.pop_front();
                }
                self.lines.push_back(Vec::new());
                self.open = true;
            }
            if let Some(line) = self.lines.back_mut().filter(|line| line.len() < LINE_BYTES) {
                line.push(byte);
            }
        }
    }

    fn text(&self) -> String {
        let lines: Vec<String> = self.lines.iter().map(|line| readable_text(line)).collect();
        lines.join(" / ")
    }
}

/// Without control characters, which would write into the terminal of whoever reads the log.
fn readable_text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::{LINE_BYTES, LINES, Tail};

    #[test]
    fn the_tail_is_bounded_and_printable() {
        let mut tail = Tail::default();
        for number in 0..100 {
            tail.push(format!("line {number}\x1b[31m\r\n").as_bytes());
        }
        assert_eq!(tail.text(), "line 95 [31m / line 96 [31m / line 97 [31m / line 98 [31m / line 99 [31m");
        tail.push(&vec![b'x'; 1 << 20]);
        tail.push(b"\n\xFF\xFE\n");
        assert_eq!(tail.lines.len(), LINES);
        assert!(tail.text().len() < 2 * LINES * LINE_BYTES);
    }
}
