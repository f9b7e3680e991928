//! The commands and their arguments. The README lists them; every answer is bytes or one line of error.
use std::io::{self, BufRead};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, str, thread};

use crate::camera::{Camera, Passing};
use crate::gpio::Chip;
use crate::process::Processes;
use crate::recorder::Recorder;
use crate::{grab, kernel, process};

/// Longest file that `put` takes, in bytes.
const LARGEST_FILE: usize = 256 << 20;

/// What the commands work on.
pub(crate) struct Station {
    chip: Arc<Chip>,
    recorder: Recorder,
    camera: Camera,
    processes: Processes,
}

impl Station {
    pub(crate) fn open() -> Result<Self, String> {
        let chip = Arc::new(Chip::find("shelfwatch-sim")?);
        let recorder = Recorder::start(&chip)?;
        Ok(Self { chip, recorder, camera: Camera::new(), processes: Processes::default() })
    }
}

/// One line as it came, and the bytes that followed a `put`.
pub(crate) struct Command {
    line: String,
    content: Vec<u8>,
}

impl Command {
    /// `None` when the other side hung up.
    pub(crate) fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut content = Vec::new();
        let mut words = line.split_whitespace();
        if words.next() == Some("put") {
            // Without a length nobody knows where the next command begins.
            let length = words.nth(1).and_then(|word| word.parse::<usize>().ok()).filter(|n| *n <= LARGEST_FILE);
            let length = length.ok_or_else(|| io::Error::other("put without a length, or of more than 256 MB"))?;
            content.resize(length, 0);
            from.read_exact(&mut content)?;
        }
        Ok(Some(Self { line, content }))
    }

    pub(crate) fn carry_out(self, station: &Station) -> Result<Vec<u8>, String> {
        let Station { chip, recorder, camera, processes } = station;
        let line = self.line.trim();
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<&str> = rest.split_whitespace().collect();
        let text = match (verb, words.as_slice()) {
            ("hello", []) => "shelfwatch factory agent 1\n".to_string(),
            ("now", []) => format!("{} {}\n", kernel::monotonic(), kernel::wall_clock()),
            ("date", [seconds]) => {
                kernel::set_wall_clock(number(seconds)?)?;
                format!("{} {}\n", kernel::monotonic(), kernel::wall_clock())
            }

            ("put", [path, _]) => put(path, &self.content)?,
            ("get", [path]) => return fs::read(path).map_err(|e| format!("cannot read {path}: {e}")),
            ("sh", [_, ..]) => return process::shell(rest),
            ("run", [name, _, ..]) => processes.start(name, rest[name.len()..].trim())?,
            ("kill", [name, signal]) => processes.signal(name, signal)?,
            ("wait", [name, limit]) => processes.wait(name, milliseconds(limit)?)?,

            ("lines", []) => chip.describe()?,
            ("value", [line]) => format!("{}\n", u8::from(chip.level(line)?)),
            ("pull", [line, level]) => {
                let (before, after) = chip.pull(line, bit(level)?)?;
                recorder.learn(line)?;
                format!("{before} {after}\n")
            }
            ("edges", [since]) => recorder.since(number(since)?),
            ("edges", [since, limit, line, level]) => {
                recorder.wait(number(since)?, milliseconds(limit)?, line, bit(level)?)
            }

            ("camera", [format, width, height]) => camera.open(format, number(width)?, number(height)?)?,
            ("show", [path]) => camera.show(Path::new(path), 1)?,
            ("show", [path, count]) => camera.show(Path::new(path), number(count)?)?,
            ("play", [rate, paths @ ..]) if !paths.is_empty() => camera.play(number(rate)?, paths)?,
            ("freeze", []) => camera.freeze(),
            ("unplug", []) => camera.unplug()?,
            ("plug", []) => camera.plug()?,
            ("part", [line, path, before, after, gap, high]) => {
                let passing =
                    Passing { before: number(before)?, after: number(after)?, gap: number(gap)?, high: number(high)? };
                camera.part(chip, line, Path::new(path), &passing)?
            }
            ("grab", [node, format, width, height, count]) => {
                grab::grab(node, format, number(width)?, number(height)?, number(count)?)?
            }

            ("poweroff", []) => {
                // `init` turns the machine off when the agent has ended; the answer goes out first.
                thread::spawn(|| {
                    thread::sleep(Duration::from_millis(100));
                    std::process::exit(0);
                });
                String::new()
            }
            _ => return Err(format!("`{line}` is no command with its arguments; see the virtual factory's README")),
        };
        Ok(text.into_bytes())
    }
}

fn put(path: &str, content: &[u8]) -> Result<String, String> {
    let made = || {
        if let Some(folder) = Path::new(path).parent() {
            fs::create_dir_all(folder)?;
        }
        // Another name first: a program that runs cannot be written over.
        let part = format!("{path}.part");
        fs::write(&part, content)?;
        if content.starts_with(b"\x7fELF") || content.starts_with(b"#!") {
            kernel::make_executable(Path::new(&part))?;
        }
        fs::rename(&part, path)
    };
    made().map_err(|e: io::Error| format!("cannot write {path}: {e}"))?;
    Ok(String::new())
}

fn number<T: str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("`{word}` is not a number that fits here"))
}

fn milliseconds(word: &str) -> Result<Duration, String> {
    number(word).map(Duration::from_millis)
}

fn bit(word: &str) -> Result<bool, String> {
    match word {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(format!("`{word}` is no level; use 0 or 1")),
    }
}
