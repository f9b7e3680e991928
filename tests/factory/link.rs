//! The connection to the agent: a line each way, and as many bytes as it says.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// How long an answer may take; commands that wait have limits of their own below this.
const ANSWER_LIMIT: Duration = Duration::from_mins(10);

/// Nothing until the machine has called.
pub(crate) struct Link(Option<BufReader<TcpStream>>);

impl Link {
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Takes the agent's call, as long as the machine lives.
    pub(crate) fn accept(
        calls: &TcpListener,
        limit: Duration,
        mut alive: impl FnMut() -> bool,
    ) -> Result<Self, String> {
        let trouble = |e: std::io::Error| format!("the agent's call failed: {e}");
        calls.set_nonblocking(true).map_err(trouble)?;
        let end = Instant::now() + limit;
        let stream = loop {
            match calls.accept() {
                Ok((stream, _)) => break stream,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) => return Err(trouble(e)),
            }
            if !alive() {
                return Err("the machine ended before its agent called".to_string());
            }
            if Instant::now() > end {
                return Err(format!("the agent did not call within {} s", limit.as_secs()));
            }
            thread::sleep(Duration::from_millis(10));
        };
        stream.set_nonblocking(false).map_err(trouble)?;
        stream.set_nodelay(true).map_err(trouble)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT)).map_err(trouble)?;
        let mut link = Self(Some(BufReader::new(stream)));
        link.ask("hello", &[])?;
        Ok(link)
    }

    /// The bytes of an answer, or the agent's error.
    pub(crate) fn ask(&mut self, line: &str, content: &[u8]) -> Result<Vec<u8>, String> {
        let stream = self.0.as_mut().ok_or("there is no connection to the agent")?;
        let gone = |e: std::io::Error| format!("the connection to the agent broke: {e}");
        if line.contains('\n') {
            return Err("a command is one line".to_string());
        }
        stream.get_mut().write_all(format!("{line}\n").as_bytes()).map_err(gone)?;
        stream.get_mut().write_all(content).map_err(gone)?;
        let mut head = String::new();
        stream.read_line(&mut head).map_err(gone)?;
        let (word, length) = head.trim().split_once(' ').ok_or("the agent hung up")?;
        let length = length.parse().map_err(|_| format!("the agent answered `{}`", head.trim()))?;
        let mut body = vec![0; length];
        stream.read_exact(&mut body).map_err(gone)?;
        if word == "ok" { Ok(body) } else { Err(String::from_utf8_lossy(&body).trim().to_string()) }
    }
}
