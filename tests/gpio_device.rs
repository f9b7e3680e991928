//! Lines of a real GPIO character device. `SHELFWATCH_GPIO_CHIP` names a chip of the kernel's `gpio-sim` (`gpiochip1`)
//! with at least 8 free lines; its sysfs drives the inputs and shows the outputs. Where `SHELFWATCH_GPIO_LIVE` names the
//! `live` file of its configfs item as well, the chip is taken away and given back.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use shelfwatch::alert::gpio::io_test::{IoLines, Seen, run};
use shelfwatch::alert::gpio::{
    EdgeInput, EdgeOptions, GpioError, Heartbeat, Output, OutputId, PulseShape, Pulses, Survey,
};
use shelfwatch::capture::Trigger;
use shelfwatch::capture::monotonic;
use shelfwatch::config::{LateResult, Line, LineRef, PulseLine, RunOk};

/// How late an emulated device may be.
const PATIENCE: Duration = Duration::from_millis(500);

/// The simulated chip: its name, and where its lines are driven and read.
struct Sim {
    chip: String,
    sysfs: PathBuf,
}

impl Sim {
    fn there() -> Option<Self> {
        let Ok(chip) = std::env::var("SHELFWATCH_GPIO_CHIP") else {
            println!("skipped: SHELFWATCH_GPIO_CHIP names no gpio-sim chip");
            return None;
        };
        let name = chip.trim_start_matches("/dev/").to_owned();
        let sysfs = fs::canonicalize(format!("/sys/bus/gpio/devices/{name}")).expect("a chip of that name");
        assert!(sysfs.join("sim_gpio0/pull").exists(), "{} is no gpio-sim chip", sysfs.display());
        Some(Self { chip: name, sysfs })
    }

    /// What the world sees on the line.
    fn value(&self, offset: u32) -> bool {
        fs::read_to_string(self.sysfs.join(format!("sim_gpio{offset}/value"))).unwrap().trim() == "1"
    }

    /// What the world puts on the line.
    fn pull(&self, offset: u32, up: bool) {
        let word = if up { "pull-up" } else { "pull-down" };
        fs::write(self.sysfs.join(format!("sim_gpio{offset}/pull")), word).unwrap();
    }

    fn line(&self, offset: u32, active_low: bool) -> Line {
        Line { chip: Some(self.chip.clone()), line: LineRef::Offset(offset), active_low, bias: None }
    }

    fn pulse_line(&self, offset: u32, active_low: bool) -> PulseLine {
        let chip = Some(self.chip.clone());
        let line = LineRef::Offset(offset);
        PulseLine { chip, line, active_low, delay_ms: 60, width_ms: 30, late: LateResult::Now }
    }

    /// Each time at that level, sampled until the flag falls: between which times it began, and between which it ended.
    fn spans(&self, offset: u32, level: bool, while_set: &AtomicBool) -> Vec<[Between; 2]> {
        let (mut spans, mut begin, mut last) = (Vec::new(), None, monotonic());
        while while_set.load(Ordering::SeqCst) || begin.is_some() {
            let before = monotonic();
            let is = self.value(offset) == level;
            let between = (last, monotonic());
            last = before;
            match begin {
                None if is => begin = Some(between),
                Some(begun) if !is => {
                    spans.push([begun, between]);
                    begin = None;
                }
                _ => std::thread::sleep(Duration::from_micros(500)),
            }
        }
        spans
    }
}

/// Two samples that saw different levels.
type Between = (Duration, Duration);

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn each_part_has_one_pulse() {
    let Some(sim) = Sim::there() else { return };
    let lines = [sim.pulse_line(0, false), sim.pulse_line(1, true)];
    let open = |line: &PulseLine| (Output::open("reject", line).unwrap(), PulseShape::from(line));
    let pulses = Pulses::new(lines.iter().map(open).collect()).unwrap();
    assert!(!sim.value(0) && sim.value(1), "inactive from the request on");
    let taken = Output::open("reject", &lines[0]).unwrap_err();
    assert_eq!(taken.code(), "gpio-busy");
    assert!(taken.to_string().contains("in use by `shelfwatch`"), "{taken}");

    let busy = AtomicBool::new(true);
    let (triggers, seen) = std::thread::scope(|scope| {
        let watchers = [scope.spawn(|| sim.spans(0, true, &busy)), scope.spawn(|| sim.spans(1, false, &busy))];
        let mut triggers = Vec::new();
        for _ in 0..20 {
            triggers.push(monotonic());
            for output in 0..2 {
                pulses.schedule(OutputId(output), monotonic()).unwrap();
            }
            std::thread::sleep(ms(120));
        }
        assert!(pulses.drain(Duration::from_secs(10)));
        busy.store(false, Ordering::SeqCst);
        (triggers, watchers.map(|watcher| watcher.join().unwrap()))
    });
    for spans in seen {
        assert_eq!(spans.len(), triggers.len(), "one pulse a part");
        for (from, [begin, end]) in triggers.iter().zip(&spans) {
            let due = *from + ms(60);
            assert!(begin.1 >= due && begin.0 <= due + PATIENCE, "due {due:?}, begun {begin:?}");
            let width = (end.0.saturating_sub(begin.1), end.1.saturating_sub(begin.0));
            assert!(width.1 >= ms(30) && width.0 <= ms(30) + PATIENCE, "{width:?}");
        }
    }
    println!("slowest pulse: {:?} late", pulses.counts().slowest);
    assert!(pulses.take_error().is_none() && !pulses.is_failing());
    drop(pulses);
    assert!(Output::open("reject", &lines[0]).is_ok(), "the line is free again");
}

#[test]
fn the_heartbeat_needs_renewing() {
    let Some(sim) = Sim::there() else { return };
    let line = LineRef::Offset(2);
    let heart =
        Heartbeat::open(&RunOk { chip: Some(sim.chip.clone()), line, active_low: false, period_ms: 50 }).unwrap();
    let beats = |long: Duration| {
        let (begin, mut level, mut changes) = (Instant::now(), sim.value(2), 0);
        while begin.elapsed() < long {
            let now = sim.value(2);
            changes += u32::from(now != level);
            level = now;
            std::thread::sleep(ms(1));
        }
        changes
    };
    assert_eq!(beats(ms(200)), 0);
    heart.allow(Instant::now() + ms(1000));
    assert!(beats(ms(900)) >= 4);
    std::thread::sleep(ms(100) + PATIENCE);
    assert_eq!(beats(ms(300)), 0);
    assert!(!sim.value(2) && heart.take_error().is_none());
}

#[test]
fn edges_are_triggers() {
    let Some(sim) = Sim::there() else { return };
    for (offset, active_low) in [(3, false), (4, true)] {
        sim.pull(offset, active_low);
        let (sender, triggers) = mpsc::channel::<Trigger>();
        let options = EdgeOptions { falling: false, debounce: ms(100) };
        let input = EdgeInput::open(sim.line(offset, active_low), options, move |trigger| {
            let _ = sender.send(trigger);
        })
        .unwrap();
        for number in 1..=10 {
            let before = monotonic();
            // A contact that bounces.
            for up in [true, false, true, false, true] {
                sim.pull(offset, up != active_low);
            }
            let after = monotonic();
            let trigger = triggers.recv_timeout(Duration::from_secs(10)).unwrap();
            assert_eq!(trigger.number, number);
            assert!(trigger.at.monotonic >= before && trigger.at.monotonic <= after + ms(20));
            let age = jiff::Timestamp::now().duration_since(trigger.at.wall).unsigned_abs();
            assert!(age < Duration::from_secs(10), "{age:?}");
            sim.pull(offset, active_low);
            std::thread::sleep(ms(200));
            // Shorter than the debounce time, but long enough for two edges on a busy emulator.
            sim.pull(offset, !active_low);
            std::thread::sleep(ms(30));
            sim.pull(offset, active_low);
            std::thread::sleep(ms(200));
        }
        assert!(triggers.try_recv().is_err(), "neither releases nor disturbances are triggers");
        assert!(input.take_error().is_none() && !input.is_failing());
    }
}

#[test]
fn an_end_does_not_swallow_the_part_before_it() {
    let Some(sim) = Sim::there() else { return };
    for debounce in [ms(0), ms(100)] {
        sim.pull(5, false);
        let (sender, triggers) = mpsc::channel::<Trigger>();
        let options = EdgeOptions { falling: false, debounce };
        let input = EdgeInput::open(sim.line(5, false), options, move |trigger| {
            let _ = sender.send(trigger);
        })
        .unwrap();
        let before = monotonic();
        sim.pull(5, true);
        drop(input);
        let trigger = triggers.try_recv().unwrap();
        assert!(trigger.number == 1 && trigger.at.monotonic >= before);
    }
}

#[test]
fn a_short_part_is_not_missed() {
    let Some(sim) = Sim::there() else { return };
    sim.pull(7, false);
    let (sender, triggers) = mpsc::channel::<Trigger>();
    let options = EdgeOptions { falling: false, debounce: ms(1) };
    let _input = EdgeInput::open(sim.line(7, false), options, move |trigger| {
        let _ = sender.send(trigger);
    })
    .unwrap();
    for number in 1..=50 {
        let before = monotonic();
        sim.pull(7, true);
        let after = monotonic();
        std::thread::sleep(ms(3));
        sim.pull(7, false);
        let trigger = triggers.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(trigger.number, number);
        assert!(trigger.at.monotonic >= before && trigger.at.monotonic <= after + ms(20));
        std::thread::sleep(ms(10));
    }
    assert!(triggers.try_recv().is_err());
}

#[test]
fn a_line_is_found_by_label_and_number_or_refused() {
    let Some(sim) = Sim::there() else { return };
    let survey = Survey::read().unwrap();
    let facts = survey.chips.iter().find(|chip| chip.name == sim.chip).unwrap();
    assert!(facts.lines.len() >= 8, "8 lines");
    for chip in [&facts.label, &format!("/dev/{}", sim.chip)] {
        let line = Line { chip: Some(chip.clone()), ..sim.line(5, false) };
        assert_eq!(survey.find(&line).unwrap().offset, 5);
    }
    for (offset, line) in facts.lines.iter().enumerate().filter(|(_, line)| !line.name.is_empty()) {
        let by_name = Line { line: LineRef::Name(line.name.clone()), ..sim.line(0, false) };
        assert_eq!(survey.find(&by_name).unwrap().offset as usize, offset);
    }
    let beyond = survey.find(&sim.line(10_000, false)).unwrap_err();
    assert!(matches!(beyond, GpioError::NoSuchOffset { .. }), "{beyond}");
}

#[test]
fn io_test_shows_outputs_and_inputs() {
    let Some(sim) = Sim::there() else { return };
    sim.pull(6, false);
    let lines = IoLines {
        outputs: vec![("reject".to_owned(), sim.line(5, false), ms(300))],
        inputs: vec![("clear".to_owned(), sim.line(6, false)), ("absent".to_owned(), sim.line(10_000, false))],
    };
    let mut seen = Vec::new();
    let failed = run(&lines, ms(1500), &mut |what| {
        if let Seen::Output { active, .. } = what {
            assert_eq!(sim.value(5), *active);
            // Somebody presses the button while the output is active.
            sim.pull(6, *active);
        }
        seen.push(match what {
            Seen::Output { active, .. } => format!("out {active}"),
            Seen::Input { active, .. } => format!("in {active}"),
            Seen::Failed { name, code, .. } => format!("{name} {code}"),
        });
    });
    assert_eq!(failed, 1);
    assert_eq!(seen[..3], ["absent gpio-unknown", "out true", "in false"]);
    let mut rest = seen[3..].to_vec();
    rest.sort();
    assert_eq!(rest, ["in false", "in true", "out false"]);
}

fn chip_labelled(label: &str) -> String {
    Survey::read().unwrap().chips.into_iter().find(|chip| chip.label == label).unwrap().name
}

#[test]
fn a_chip_that_was_away_is_used_again() {
    let Some(sim) = Sim::there() else { return };
    let Ok(live) = std::env::var("SHELFWATCH_GPIO_LIVE") else {
        println!("skipped: SHELFWATCH_GPIO_LIVE names no `live` file of gpio-sim");
        return;
    };
    // The chip may come back under another number, so it is named by its label. Lines of the other tests go with it:
    // run this one alone.
    let label = Survey::read().unwrap().chips.into_iter().find(|chip| chip.name == sim.chip).unwrap().label;
    let line = PulseLine { chip: Some(label.clone()), width_ms: 0, ..sim.pulse_line(7, false) };
    let pulses = Pulses::new(vec![(Output::open("reject", &line).unwrap(), PulseShape::from(&line))]).unwrap();
    let input =
        EdgeInput::open(Line { chip: Some(label.clone()), ..sim.line(3, false) }, EdgeOptions::default(), |_| {})
            .unwrap();
    fs::write(&live, "0").unwrap();
    until("the loss is noticed", || pulses.is_failing() && input.is_failing());
    assert_eq!(pulses.take_error().unwrap().code(), "gpio-lost");
    assert_eq!(input.take_error().unwrap().code(), "gpio-lost");
    // A pulse that is asked for meanwhile begins as soon as the line is back.
    pulses.schedule(OutputId(0), monotonic()).unwrap();
    std::thread::sleep(ms(500));
    fs::write(&live, "1").unwrap();
    until("the lines are back", || !pulses.is_failing() && !input.is_failing());
    let name = chip_labelled(&label);
    let back = Sim { sysfs: fs::canonicalize(format!("/sys/bus/gpio/devices/{name}")).unwrap(), chip: name };
    until("the held output is active", || back.value(7));
}
