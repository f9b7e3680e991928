//! The agent inside the virtual factory's machine: does what the computer outside asks, one command a line.
//! `factory-agent relay IN OUT` is the least that a station does, for measuring. Else it listens on port 7001, and calls the
//! computer outside when the kernel's command line names a port to call.
mod camera;
mod command;
mod gpio;
mod grab;
mod kernel;
mod process;
mod recorder;
mod relay;

use std::fs;
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use command::{Command, Station};

/// Where the agent is reached inside the machine.
const PORT: u16 = 7001;

/// How the machine sees the computer that emulates it.
const OUTSIDE: &str = "10.0.2.2";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => work(),
        ["relay", input, output] => relay::relay(input, output),
        _ => Err("usage: factory-agent [relay IN OUT]".to_string()),
    };
    if let Err(error) = done {
        eprintln!("factory-agent: {error}");
        std::process::exit(2);
    }
}

fn work() -> Result<(), String> {
    let station = Arc::new(Station::open()?);
    let listener = TcpListener::bind(("0.0.0.0", PORT)).map_err(|e| format!("cannot listen on port {PORT}: {e}"))?;
    if let Some(port) = port_to_call()? {
        let stream =
            TcpStream::connect((OUTSIDE, port)).map_err(|e| format!("nobody answers on {OUTSIDE}:{port}: {e}"))?;
        serve_in_thread(&station, stream);
    }
    for stream in listener.incoming() {
        match stream {
            Ok(stream) => serve_in_thread(&station, stream),
            Err(error) => eprintln!("factory-agent: a connection failed: {error}"),
        }
    }
    Ok(())
}

fn port_to_call() -> Result<Option<u16>, String> {
    let words = fs::read_to_string("/proc/cmdline").map_err(|e| format!("cannot read /proc/cmdline: {e}"))?;
    let Some(port) = words.split_whitespace().find_map(|word| word.strip_prefix("factory.call=")) else {
        return Ok(None);
    };
    port.parse().map(Some).map_err(|_| format!("factory.call={port} is no port"))
}

fn serve_in_thread(station: &Arc<Station>, stream: TcpStream) {
    let station = Arc::clone(station);
    thread::spawn(move || {
        if let Err(error) = serve(&station, stream) {
            eprintln!("factory-agent: a connection ended: {error}");
        }
    });
}

/// Answers `ok LENGTH` or `error LENGTH` and that many bytes, until the other side hangs up.
fn serve(station: &Station, stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut answers = stream.try_clone()?;
    let mut requests = BufReader::new(stream);
    while let Some(command) = Command::read(&mut requests)? {
        let (word, body) = match command.carry_out(station) {
            Ok(body) => ("ok", body),
            Err(message) => ("error", format!("{message}\n").into_bytes()),
        };
        let mut answer = format!("{word} {}\n", body.len()).into_bytes();
        answer.extend(body);
        answers.write_all(&answer)?;
    }
    Ok(())
}
