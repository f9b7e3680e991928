//! Pulses and heartbeat on pins that note every edge with its time. A busy machine makes edges late, never early: lower
//! bounds are strict, upper ones generous, and the measured lateness is printed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use embedded_hal::digital::{Error, ErrorKind, ErrorType, OutputPin};
use shelfwatch::alert::gpio::{Beat, Heartbeat, Output, OutputId, PulseShape, Pulses, Scheduled};
use shelfwatch::capture::monotonic;
use shelfwatch::config::LateResult;

/// How much later than asked for an edge may be on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_millis(400);

/// A pin that notes changes of its physical level. The test and the thread share it.
#[derive(Clone, Default)]
struct Pin(Arc<Inside>);

#[derive(Default)]
struct Inside {
    edges: Mutex<Vec<(Duration, bool)>>,
    level: Mutex<Option<bool>>,
    /// So many writes fail from now on.
    failures: AtomicU32,
}

#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the cable is out")
    }
}

impl Error for Broken {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

impl ErrorType for Pin {
    type Error = Broken;
}

impl Pin {
    fn write(&self, high: bool) -> Result<(), Broken> {
        let inside = &self.0;
        let fails = |left: u32| left.checked_sub(1);
        if inside.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails).is_ok() {
            return Err(Broken);
        }
        if inside.level.lock().unwrap().replace(high) != Some(high) {
            inside.edges.lock().unwrap().push((monotonic(), high));
        }
        Ok(())
    }

    fn level(&self) -> Option<bool> {
        *self.0.level.lock().unwrap()
    }

    /// Begin and end of every time at that level, the first level left out.
    fn spans(&self, high: bool) -> Vec<(Duration, Duration)> {
        let edges = self.0.edges.lock().unwrap();
        edges.windows(2).filter(|pair| pair[0].1 == high).map(|pair| (pair[0].0, pair[1].0)).collect()
    }

    fn fail(&self, writes: u32) {
        self.0.failures.store(writes, Ordering::SeqCst);
    }
}

impl OutputPin for Pin {
    fn set_low(&mut self) -> Result<(), Broken> {
        self.write(false)
    }

    fn set_high(&mut self) -> Result<(), Broken> {
        self.write(true)
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn shape(delay: u64, width: u64) -> PulseShape {
    PulseShape { delay: ms(delay), width: (width > 0).then(|| ms(width)), late: LateResult::Now }
}

fn output(pin: &Pin, active_low: bool) -> Output<Pin> {
    Output { name: "reject".to_owned(), pin: pin.clone(), active_low }
}

fn scheduler(pin: &Pin, shape: PulseShape) -> Pulses {
    Pulses::new(vec![(output(pin, false), shape)]).unwrap()
}

const FIRST: OutputId = OutputId(0);

#[test]
fn each_part_has_one_pulse_of_the_set_delay_and_width() {
    const PARTS: u64 = 60;
    let (pin, active_low) = (Pin::default(), Pin::default());
    let outputs = vec![(output(&pin, false), shape(120, 10)), (output(&active_low, true), shape(45, 15))];
    let pulses = Pulses::new(outputs).unwrap();
    assert_eq!((pin.level(), active_low.level()), (Some(false), Some(true)), "inactive from the beginning");
    let mut triggers = Vec::new();
    for _ in 0..PARTS {
        let from = monotonic();
        triggers.push(from);
        std::thread::sleep(ms(5));
        for id in 0..2 {
            assert!(matches!(pulses.schedule(OutputId(id), from).unwrap(), Scheduled::At(at) if at > from));
        }
        std::thread::sleep(ms(25));
    }
    assert!(pulses.in_flight() > 1, "several in flight");
    assert!(pulses.drain(Duration::from_secs(5)));
    for (pin, active, delay, width) in [(&pin, true, 120, 10), (&active_low, false, 45, 15)] {
        let spans = pin.spans(active);
        let mut late: Vec<Duration> = Vec::new();
        let mut long: Vec<Duration> = Vec::new();
        // On a machine that stands still for a while pulses merge; all that was asked for is then still covered.
        for from in &triggers {
            let due = *from + ms(delay);
            let (begin, end) = *spans.iter().find(|(_, end)| *end > due).unwrap();
            assert!(end >= due + ms(width) && end.saturating_sub(begin) >= ms(width));
            assert!(begin <= due + PATIENCE, "{:?} late", begin.saturating_sub(due));
            late.push(begin.saturating_sub(due));
            long.push(end.saturating_sub(begin + ms(width)));
        }
        assert!(spans.iter().all(|(begin, _)| triggers.iter().any(|from| *begin >= *from + ms(delay))));
        late.sort();
        long.sort();
        let at = |sorted: &[Duration], share: usize| sorted[(sorted.len() - 1) * share / 100];
        println!(
            "pulses begin late by: median {:?}, 95 % {:?}, most {:?}; too long by: median {:?}, most {:?}",
            at(&late, 50),
            at(&late, 95),
            at(&late, 100),
            at(&long, 50),
            at(&long, 100)
        );
    }
    let counts = pulses.counts();
    assert_eq!(counts.scheduled, 2 * PARTS);
    assert_eq!(counts.begun + counts.merged, 2 * PARTS);
    assert_eq!((pin.spans(true).len() + active_low.spans(false).len()) as u64, counts.begun);
    assert!(counts.slowest <= PATIENCE && counts.late == 0 && pulses.take_error().is_none());
    println!("merged on this machine: {} of {}", counts.merged, counts.scheduled);
}

#[test]
fn no_pulse_begins_early() {
    let pin = Pin::default();
    let pulses = scheduler(&pin, shape(30, 5));
    let now = monotonic();
    for i in 0..20 {
        pulses.schedule(FIRST, now + ms(10 * i)).unwrap();
    }
    assert!(pulses.drain(Duration::from_secs(5)));
    let merged = pulses.counts().merged;
    let spans = pin.spans(true);
    assert_eq!(spans.len() as u64 + merged, 20);
    if merged == 0 {
        for (i, (begin, end)) in spans.iter().enumerate() {
            assert!(*begin >= now + ms(30 + 10 * i as u64) && end.saturating_sub(*begin) >= ms(5), "pulse {i}");
        }
    }
}

#[test]
fn overlapping_pulses_are_one_until_the_last_ends() {
    let pin = Pin::default();
    let pulses = scheduler(&pin, shape(40, 60));
    let from = monotonic();
    for i in 0..3 {
        pulses.schedule(FIRST, from + ms(30 * i)).unwrap();
    }
    assert!(pulses.drain(Duration::from_secs(5)));
    let spans = pin.spans(true);
    // Were the thread more than 60 ms late, the pulses would still cover the times asked for.
    assert!(spans[0].0 >= from + ms(40) && spans.last().unwrap().1 >= from + ms(160));
    assert_eq!(spans.len() as u64 + pulses.counts().merged, 3);
    assert!(pulses.counts().merged >= 1);
}

#[test]
fn late_verdicts_follow_the_policy() {
    let (now, stop, at_once) = (Pin::default(), Pin::default(), Pin::default());
    let stops = |shape| PulseShape { late: LateResult::Stop, ..shape };
    let outputs = vec![
        (output(&now, false), shape(50, 5)),
        (output(&stop, false), stops(shape(50, 5))),
        (output(&at_once, false), stops(shape(0, 5))),
    ];
    let pulses = Pulses::new(outputs).unwrap();
    let from = monotonic().checked_sub(ms(150)).unwrap();
    let late = |id, wanted| match pulses.schedule(OutputId(id), from).unwrap() {
        Scheduled::Late { by, fired } => by >= ms(100) && by < ms(100) + PATIENCE && fired == wanted,
        Scheduled::At(_) => false,
    };
    assert!(late(0, true) && late(1, false));
    assert!(matches!(pulses.schedule(OutputId(2), from).unwrap(), Scheduled::At(_)));
    assert!(pulses.drain(Duration::from_secs(5)));
    // The last edge is planned before it is written.
    until(|| now.spans(true).len() == 1 && at_once.spans(true).len() == 1);
    assert_eq!(stop.spans(true).len(), 0);
    assert_eq!(pulses.counts().late, 2);
}

#[test]
fn a_held_output_waits_for_the_clear() {
    let pin = Pin::default();
    let pulses = scheduler(&pin, shape(10, 0));
    pulses.schedule(FIRST, monotonic()).unwrap();
    assert!(pulses.drain(Duration::from_secs(5)));
    std::thread::sleep(ms(100));
    assert_eq!((pin.level(), pulses.held()), (Some(true), 1));
    pulses.clear();
    until(|| pin.level() == Some(false));
    assert_eq!((pulses.held(), pin.spans(true).len()), (0, 1));
}

#[test]
fn a_failing_pin_is_reported_and_written_again() {
    let pin = Pin::default();
    let pulses = scheduler(&pin, shape(0, 50));
    pin.fail(2);
    pulses.schedule(FIRST, monotonic()).unwrap();
    until(|| pin.level() == Some(true));
    let error = pulses.take_error().unwrap();
    assert_eq!(error.code(), "gpio-lost");
    assert!(error.to_string().contains("reject is lost (the cable is out); "), "{error}");
    assert!(pulses.take_error().is_none(), "it is told once");
    assert!(pulses.drain(Duration::from_secs(5)));
    until(|| !pulses.is_failing());
    assert_eq!(pulses.errors(), 2);
    let spans = pin.spans(true);
    assert!(
        spans.len() == 1 && spans[0].1.saturating_sub(spans[0].0) >= ms(50),
        "the whole width from when it is active"
    );

    pulses.schedule(FIRST, monotonic()).unwrap();
    until(|| pin.level() == Some(true));
    pin.fail(3);
    until(|| pin.level() == Some(false));
    assert_eq!(pulses.errors(), 5, "an output is not left active because a write failed");

    pin.fail(1);
    assert!(Pulses::new(vec![(output(&pin, false), shape(0, 5))]).is_err());
}

#[test]
fn a_chip_that_goes_while_nothing_happens_is_noticed() {
    let pin = Pin::default();
    let pulses = scheduler(&pin, shape(0, 50));
    pin.fail(u32::MAX);
    until(|| pulses.is_failing());
    pin.fail(0);
    until(|| !pulses.is_failing());
    assert!(pulses.take_error().is_some() && pin.spans(true).is_empty());
}

#[test]
fn stopping_leaves_every_output_inactive() {
    let (held, waiting) = (Pin::default(), Pin::default());
    let outputs = vec![(output(&held, true), shape(0, 0)), (output(&waiting, false), shape(60_000, 5))];
    let mut pulses = Pulses::new(outputs).unwrap();
    pulses.schedule(FIRST, monotonic()).unwrap();
    pulses.schedule(OutputId(1), monotonic()).unwrap();
    until(|| held.level() == Some(false));
    assert!(!pulses.drain(ms(10)), "a pulse waits");
    pulses.stop();
    assert_eq!((held.level(), waiting.level()), (Some(true), Some(false)));
    assert!(waiting.spans(true).is_empty());
    assert!(pulses.schedule(FIRST, monotonic()).is_err() && pulses.is_failing());
}

#[test]
fn the_heartbeat_stops_when_nobody_renews_it() {
    let pin = Pin::default();
    let heart = Heartbeat::new(output(&pin, false), ms(20)).unwrap();
    std::thread::sleep(ms(100));
    assert!(pin.spans(true).is_empty() && matches!(heart.state(), Beat::Stopped(_)), "silent before it is allowed");
    let begin = Instant::now();
    while begin.elapsed() < ms(300) {
        heart.allow(Instant::now() + ms(60));
        std::thread::sleep(ms(10));
    }
    let last = monotonic();
    assert_eq!(heart.state(), Beat::Beating);
    std::thread::sleep(ms(60) + PATIENCE);
    assert_eq!((heart.state(), pin.level()), (Beat::Overdue, Some(false)));
    let edges = pin.0.edges.lock().unwrap().clone();
    assert!(edges.len() >= 4 && edges.len() <= 2 + 360 / 20 + 2, "{} edges", edges.len());
    let (end, high) = *edges.last().unwrap();
    assert!(end <= last + ms(60) + PATIENCE && !high);
    // The last edge may come early: it is the end, not a beat.
    let beats = &edges[..edges.len() - 1];
    let closest = beats.windows(2).map(|pair| pair[1].0.saturating_sub(pair[0].0)).min().unwrap();
    println!(
        "heartbeat of 20 ms: closest edges {closest:?}; the last edge {:?} after the end",
        end.saturating_sub(last + ms(60))
    );

    heart.allow(Instant::now() + Duration::from_mins(1));
    until(|| pin.level() == Some(true));
    heart.stop("deadline missed");
    until(|| pin.level() == Some(false));
    assert_eq!(heart.state(), Beat::Stopped("deadline missed".to_owned()));
    let before = pin.0.edges.lock().unwrap().len();
    std::thread::sleep(ms(100));
    assert_eq!(pin.0.edges.lock().unwrap().len(), before, "stopped is silent");
    heart.allow(Instant::now() + Duration::from_mins(1));
    until(|| pin.level() == Some(true));
    drop(heart);
    assert_eq!(pin.level(), Some(false));
}

#[test]
fn a_failing_heartbeat_is_reported() {
    let pin = Pin::default();
    let heart = Heartbeat::new(output(&pin, true), ms(10)).unwrap();
    assert_eq!(pin.level(), Some(true), "active low");
    pin.fail(3);
    heart.allow(Instant::now() + Duration::from_mins(1));
    until(|| pin.level() == Some(false));
    assert_eq!(heart.take_error().unwrap().code(), "gpio-lost");
    until(|| !heart.is_failing());
    assert!(heart.take_error().is_none());
}

/// Waits for something that comes soon, on a slow machine later.
fn until(mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(10), "it does not come");
        std::thread::sleep(ms(1));
    }
}
