//! Records when output lines change, by the kernel's own tracing: nothing polls, and a time is good to a microsecond.
//! A line that its program lets go falls back to its pull; a probe on the chip's `free` sees that, too.
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::gpio::{Chip, Line};

const TRACING: &str = "/sys/kernel/tracing";

/// Edges that are kept; the oldest go first.
const MOST_EDGES: usize = 100_000;

/// How long a change may take from the kernel's buffer into the list.
const SETTLING: Duration = Duration::from_millis(20);

struct Edge {
    /// Monotonic time in nanoseconds, in steps of a microsecond.
    time: u64,
    offset: usize,
    level: bool,
    /// The program let go of the line.
    released: bool,
}

#[derive(Default)]
struct Record {
    edges: Vec<Edge>,
    /// The last known level of each line.
    levels: Vec<bool>,
}

/// The list of edges and who waits for it.
pub(crate) struct Recorder {
    record: Arc<(Mutex<Record>, Condvar)>,
    chip: Arc<Chip>,
}

impl Recorder {
    /// Errors when the kernel does not trace.
    pub(crate) fn start(chip: &Arc<Chip>) -> Result<Self, String> {
        let (first, beyond) = (chip.base, chip.base + chip.lines.len() as u32);
        set("trace_clock", "mono")?;
        set("kprobe_events", "p:line_freed gpio_sim:gpio_sim_free offset=%x1:u32")?;
        set("events/gpio/gpio_value/filter", &format!("get == 0 && gpio >= {first} && gpio < {beyond}"))?;
        set("events/gpio/gpio_value/enable", "1")?;
        set("events/kprobes/line_freed/enable", "1")?;
        let pipe = File::open(format!("{TRACING}/trace_pipe")).map_err(|e| format!("cannot open the trace: {e}"))?;

        let levels = chip.lines.iter().map(Line::level).collect::<Result<_, _>>()?;
        let record = Arc::new((Mutex::new(Record { edges: Vec::new(), levels }), Condvar::new()));
        let recorder = Self { record, chip: Arc::clone(chip) };
        let follower = Self { record: Arc::clone(&recorder.record), chip: Arc::clone(chip) };
        thread::spawn(move || follower.follow(pipe));
        Ok(recorder)
    }

    fn follow(&self, pipe: File) {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if let Some(edge) = self.parse(&line) {
                let (record, changed) = &*self.record;
                record.lock().unwrap_or_else(PoisonError::into_inner).add(edge);
                changed.notify_all();
            }
        }
        eprintln!("factory-agent: the trace ended; no more edges are recorded");
    }

    /// What a pull from outside did to a line: known from now on, but no edge of an output.
    pub(crate) fn learn(&self, name: &str) -> Result<(), String> {
        let offset = self.chip.offset(name)? as usize;
        let level = self.chip.lines[offset].level()?;
        self.record.0.lock().unwrap_or_else(PoisonError::into_inner).levels[offset] = level;
        Ok(())
    }

    /// The edges after a time, a line each: nanoseconds, line, level, and `released` where that was the reason.
    pub(crate) fn since(&self, time: u64) -> String {
        thread::sleep(SETTLING);
        self.list(&self.record.0.lock().unwrap_or_else(PoisonError::into_inner), time)
    }

    /// Like `since`, as soon as the line has changed to the level after that time, or when the limit has passed.
    pub(crate) fn wait(&self, time: u64, limit: Duration, line: &str, level: bool) -> String {
        let end = Instant::now() + limit;
        let (record, changed) = &*self.record;
        let mut held = record.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let mut later = held.edges.iter().rev().take_while(|edge| edge.time > time);
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || later.any(|edge| edge.level == level && self.chip.lines[edge.offset].name == line) {
                return self.list(&held, time);
            }
            held = changed.wait_timeout(held, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn list(&self, record: &Record, time: u64) -> String {
        let mut text = String::new();
        for Edge { time, offset, level, released } in record.edges.iter().filter(|edge| edge.time > time) {
            let why = if *released { " released" } else { "" };
            // Writing into a string does not fail.
            let _ = writeln!(text, "{time} {} {}{why}", self.chip.lines[*offset].name, u8::from(*level));
        }
        text
    }

    /// `task-123 [000] ..... 12.345678: gpio_value: 504 set 1` or
    /// `task-123 [000] ..... 12.345678: line_freed: (gpio_sim_free+0x0/0x78 [gpio_sim]) offset=2`.
    fn parse(&self, line: &str) -> Option<Edge> {
        let (head, freed, what) = match line.split_once(": gpio_value: ") {
            Some((head, what)) => (head, false, what),
            None => line.split_once(": line_freed: ").map(|(head, what)| (head, true, what))?,
        };
        let (seconds, fraction) = head.rsplit(' ').next()?.split_once('.')?;
        let time = seconds.parse::<u64>().ok()? * 1_000_000_000 + fraction.parse::<u64>().ok()? * 1000;
        if freed {
            // The probe fires before the level falls, so the level itself says nothing yet.
            let offset: usize = what.rsplit_once("offset=")?.1.trim().parse().ok()?;
            return Some(Edge { time, offset, level: self.chip.lines.get(offset)?.fallback().ok()?, released: true });
        }
        let (number, level) = what.trim().split_once(" set ")?;
        let offset = number.trim().parse::<u32>().ok()?.checked_sub(self.chip.base)?;
        Some(Edge { time, offset: offset as usize, level: level == "1", released: false })
    }
}

impl Record {
    fn add(&mut self, edge: Edge) {
        if self.levels.get(edge.offset).is_none_or(|level| *level == edge.level) {
            return;
        }
        self.levels[edge.offset] = edge.level;
        if self.edges.len() == MOST_EDGES {
            self.edges.remove(0);
        }
        self.edges.push(edge);
    }
}

fn set(file: &str, value: &str) -> Result<(), String> {
    fs::write(format!("{TRACING}/{file}"), value).map_err(|e| format!("cannot set {file} of the kernel's tracing: {e}"))
}
