//! What can go wrong on the line, on an emulated device with the daemon as it goes onto a real one: each fault is
//! signalled for the part that it meets, stops RUN-OK in time, and is over without a person where the manual says so.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod factory;
mod line;

use std::time::{Duration, Instant};

use factory::{Ended, Pull};
use line::{CONFIG, Figures, LATE, Line, MS, PASSING, PATIENCE, STEP};
use shelfwatch::event::EventKind;
use shelfwatch::frame::Frame;
use shelfwatch::image_file::encode_jpeg;
use shelfwatch::journal::{Filter, StoredEvent};
use shelfwatch::parts::{Foreign, Product, SIDE, Stranger, Subject, draw};

/// As the configuration here has them.
const DELAY: u64 = 2500 * MS;
const WIDTH: u64 = 60 * MS;
const TIMEOUT: u64 = 1500 * MS;
/// The station looks after itself each 100 ms, the supervisor each 50 ms, and a beat may just have begun.
const TURNS: u64 = 250 * MS;

fn config() -> String {
    CONFIG
        .replace("timeout_ms = 10000", "timeout_ms = 1500")
        .replace("deadline_ms = 3500", "deadline_ms = 2400")
        .replace("delay_ms = 4000\nwidth_ms = 60\nlate = \"stop\"", "delay_ms = 2500\nwidth_ms = 60")
}

/// A machine with pictures in it, its camera showing good parts.
fn start() -> Option<Line> {
    let mut line = Line::start()?;
    let jpeg = |subject, seed| encode_jpeg(&draw(subject, seed, SIDE).frame, 95).unwrap();
    for number in 0..4 {
        let file = jpeg(Subject::Product(Product::ALL[number]), 900 + number as u64);
        line.factory.put(&format!("/tmp/good{number}.jpg"), &file);
    }
    for number in 0..4 {
        let file = jpeg(Subject::Stranger(Stranger::Foreign(Foreign::ALL[number])), 900 + number as u64);
        line.factory.put(&format!("/tmp/strange{number}.jpg"), &file);
    }
    let black = Frame::new(SIDE, SIDE, vec![2; (SIDE * SIDE * 3) as usize]).unwrap();
    line.factory.put("/tmp/black.jpg", &encode_jpeg(&black, 95).unwrap());
    let whole = jpeg(Subject::Product(Product::ALL[0]), 950);
    line.factory.put("/tmp/cut.jpg", &whole[..whole.len() / 2]);
    line.factory.camera("MJPG", SIDE, SIDE);
    good(&mut line);
    Some(line)
}

/// The camera shows good parts, five a second.
fn good(line: &mut Line) {
    line.factory.play(5.0, &["/tmp/good0.jpg", "/tmp/good1.jpg", "/tmp/good2.jpg", "/tmp/good3.jpg"]);
}

/// The part has a pulse when it is due.
fn check_pulse(line: &mut Line, pull: Pull) {
    check_pulse_after(line, pull, DELAY);
}

fn check_pulse_after(line: &mut Line, pull: Pull, delay: u64) {
    let [begin, end] = line.pulse(pull.before, "reject");
    let due = pull.before + delay;
    assert!(begin + STEP >= due && begin <= pull.after + delay + LATE, "{pull:?}, {begin}\n{}", line.log());
    assert!(end + STEP >= begin + WIDTH && end <= begin + WIDTH + LATE, "{begin} to {end}");
}

/// Faults of that code that began.
fn begun(line: &Line, code: &str) -> u64 {
    line.figures().unwrap().sum("shelfwatch_faults_total", &format!("\"{code}\"")) as u64
}

#[test]
fn what_the_camera_does_wrong_is_never_a_pass() {
    let Some(mut line) = start() else { return };
    line.run(&config());
    line.assert_run_ok();

    for (code, picture, times) in
        [("image-black", "black", 1), ("image-damaged", "cut", 1), ("image-frozen", "good3", 4)]
    {
        bad_image(&mut line, code, picture, times);
    }
    silence(&mut line);
    absence(&mut line);

    let figures = line.figures().unwrap();
    // The end is asked for before all of these are judged.
    let last = ["strange0", "strange1", "strange2"]
        .map(|picture| line.factory.part("trigger", &format!("/tmp/{picture}.jpg"), PASSING));
    let journal = line.stop();
    // Their pulses may touch and be one.
    assert!(!line.edges(last[0].before + DELAY - STEP, "reject", true).is_empty(), "{}", line.log());
    let events: Vec<StoredEvent> = journal.events(&Filter::default()).map(Result::unwrap).collect();
    let rejects = events.iter().filter(|stored| stored.event.kind == EventKind::Reject && stored.event.signalled);
    let (rejects, log) = (rejects.count(), line.log());
    assert_eq!(rejects, last.len(), "each was judged and signalled before the end\n{last:?}\n{events:#?}\n{log}");
    let missed = events.iter().filter(|stored| stored.event.kind == EventKind::Fault && stored.event.part.is_some());
    assert_eq!(missed.clone().count() as u64, figures.parts("fault"));
    assert!(missed.clone().all(|stored| stored.event.signalled && stored.event.reading.is_none()));
    let part = |kind: EventKind| {
        events.iter().filter(move |stored| stored.event.part.is_none() && stored.event.kind == kind).count()
    };
    assert_eq!(part(EventKind::Fault), part(EventKind::Recovered), "each fault is over: {events:#?}");
    line.factory.power_off();
}

/// A picture that shows no part, so many times: the part is signalled, RUN-OK stops, and the next good part ends it.
fn bad_image(line: &mut Line, code: &str, picture: &str, times: u32) {
    let (before, failed) = (begun(line, code), line.figures().unwrap().parts("fault"));
    let mut pull = Pull { before: 0, after: 0 };
    for _ in 0..times {
        pull = line.pass(&format!("/tmp/{picture}.jpg"));
    }
    let shown = line.until(code, |figures| !figures.ready());
    assert_eq!((begun(line, code), shown.parts("fault")), (before + 1, failed + 1), "{}", line.log());
    line.assert_no_run_ok();
    check_pulse(line, pull);

    good(line);
    line.pass("/tmp/good1.jpg");
    line.until("it is over", Figures::ready);
    line.assert_run_ok();
}

/// No pictures from a camera that is there.
fn silence(line: &mut Line) {
    let since = line.factory.now();
    line.factory.freeze();
    line.until("the silence is noticed", |figures| figures.fault("camera-lost"));
    let last = line.assert_no_run_ok();
    let limit = since + TIMEOUT + TURNS + LATE;
    println!(
        "camera silent: RUN-OK stood still {} ms later, the time-out is {} ms",
        last.saturating_sub(since) / MS,
        TIMEOUT / MS
    );
    assert!(last <= limit, "RUN-OK went on for {} ms", (last - since) / MS);
    away(line);
    good(line);
    recovered(line, "a silent camera");
}

/// The camera is pulled out and put back.
fn absence(line: &mut Line) {
    let since = line.factory.now();
    line.factory.unplug();
    line.until("the absence is noticed", |figures| figures.fault("camera-lost"));
    let last = line.assert_no_run_ok();
    println!("camera unplugged: RUN-OK stood still {} ms later", last.saturating_sub(since) / MS);
    assert!(last <= since + TURNS + LATE, "RUN-OK went on for {} ms", (last - since) / MS);
    away(line);
    line.factory.plug().unwrap();
    recovered(line, "an unplugged camera");
}

/// A part that comes while there is no camera is signalled as a bad one.
fn away(line: &mut Line) {
    let failed = line.figures().unwrap().parts("fault");
    let pull = line.factory.pull("trigger", true);
    std::thread::sleep(Duration::from_millis(20));
    line.factory.pull("trigger", false);
    line.until("the part counts", |figures| figures.parts("fault") == failed + 1);
    check_pulse(line, pull);
}

/// By itself, but for the parts that come.
fn recovered(line: &mut Line, what: &str) {
    let back = Instant::now();
    line.until("the camera is back", |figures| !figures.fault("camera-lost"));
    println!("{what} was back {:.1} s after it gave pictures again", back.elapsed().as_secs_f64());
    line.pass("/tmp/good2.jpg");
    line.until("the station is ready", Figures::ready);
    line.assert_run_ok();
}

#[test]
fn a_clock_that_is_set_back_and_an_end_in_order_lose_no_pulse() {
    let Some(mut line) = start() else { return };
    line.factory.set_date(1_800_000_000);
    let delay = 6500 * MS;
    let config = config().replace("hold_ms = 0", "hold_ms = 12000").replace("delay_ms = 2500", "delay_ms = 6500");
    line.run(&config);

    let first = line.pass("/tmp/strange0.jpg");
    line.factory.set_date(1_800_000_000 - 3600);
    check_pulse_after(&mut line, first, delay);
    // Held by the time that has passed, not by the clock.
    let held = line.pass("/tmp/strange1.jpg");
    assert!(held.after < first.before + 12_000 * MS, "the emulator is too slow for this test");
    line.wait_for(held.after + 12_000 * MS);
    let third = line.pass("/tmp/strange2.jpg");
    check_pulse_after(&mut line, third, delay);
    assert_eq!(line.edges(first.before, "reject", true).len(), 2, "one of the three was held");
    line.assert_run_ok();

    // Its pulse is yet to come when the end is asked for, and for longer than other ends may take.
    line.wait_for(third.after + 12_000 * MS);
    let last = line.pass("/tmp/strange3.jpg");
    let ending = Instant::now();
    let journal = line.stop();
    println!("ended in order {:.1} s after SIGTERM", ending.elapsed().as_secs_f64());
    check_pulse_after(&mut line, last, delay);
    let stopped = line.factory.now();
    std::thread::sleep(Duration::from_millis(500));
    assert!(line.factory.edges(stopped).is_empty(), "nothing moves any more");
    assert!(!line.factory.value("run_ok") && !line.factory.value("reject"));

    let events: Vec<StoredEvent> = journal.events(&Filter::default()).map(Result::unwrap).collect();
    assert!(events.is_sorted_by_key(|stored| stored.number));
    let rejects: Vec<_> = events.iter().filter(|stored| stored.event.kind == EventKind::Reject).collect();
    let parts: Vec<_> = rejects.iter().map(|stored| (stored.event.part, stored.event.signalled)).collect();
    assert_eq!(parts, [(Some(1), true), (Some(3), true), (Some(4), true)]);
    assert!(rejects[1].event.time < rejects[0].event.time, "the clock went back in between");
    line.factory.power_off();
}

#[test]
fn a_late_verdict_follows_the_policy_and_a_killed_daemon_lets_go() {
    let Some(mut line) = start() else { return };
    let late = |policy: &str| {
        config().replace("delay_ms = 2500\nwidth_ms = 60", &format!("delay_ms = 1\nwidth_ms = 60\nlate = \"{policy}\""))
    };
    line.run(&late("stop"));
    let pull = line.pass("/tmp/strange0.jpg");
    line.until("the verdict is late", |figures| figures.fault("late-result"));
    line.assert_no_run_ok();
    assert!(line.edges(pull.before, "reject", true).is_empty());
    clear(&mut line);
    line.until("it is cleared", Figures::ready);
    line.assert_run_ok();

    line.reload(&late("now"));
    let pull = line.pass("/tmp/strange1.jpg");
    let [begin, end] = line.pulse(pull.before, "reject");
    println!("late and now: pulsed {} ms after the trigger", begin.saturating_sub(pull.before) / MS);
    assert!(end + STEP >= begin + WIDTH);
    line.until("it is told", |figures| figures.sum("shelfwatch_late_results_total", "") > 1.5);
    line.assert_run_ok();

    // A deadline that no emulator meets.
    line.reload(&config().replace("deadline_ms = 2400", "deadline_ms = 1"));
    let pull = line.pass("/tmp/good0.jpg");
    line.until("the deadline is missed", |figures| figures.fault("deadline-missed"));
    line.assert_no_run_ok();
    assert!(line.edges(pull.before, "reject", true).is_empty(), "the verdict counts all the same");

    held_and_killed(&mut line);
    line.factory.power_off();
}

fn clear(line: &mut Line) {
    line.factory.pull("clear", true);
    std::thread::sleep(Duration::from_millis(30));
    line.factory.pull("clear", false);
}

fn held_and_killed(line: &mut Line) {
    let held = config().replace("delay_ms = 2500\nwidth_ms = 60", "delay_ms = 0\nwidth_ms = 0");
    line.reload(&held);
    let pull = line.pass("/tmp/strange2.jpg");
    let begin = line.factory.wait_edge(pull.before, PATIENCE, "reject", true).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert!(line.factory.value("reject"), "held until it is cleared");
    clear(line);
    assert!(line.factory.wait_edge(begin.time, PATIENCE, "reject", false).is_some());

    let pull = line.pass("/tmp/strange3.jpg");
    line.factory.wait_edge(pull.before, PATIENCE, "reject", true).unwrap();
    line.assert_run_ok();
    let killed = line.factory.now();
    line.factory.kill("station", "KILL");
    assert_eq!(line.factory.wait("station", PATIENCE), Some(Ended::Signal(9)));
    let released = line.factory.wait_edge(killed, PATIENCE, "reject", false).unwrap();
    assert!(released.released && !line.factory.value("reject"), "{released:?}");
    let last = line.assert_no_run_ok();
    println!("killed: RUN-OK stood still {} ms later", last.saturating_sub(killed) / MS);
    assert!(last <= killed + LATE);

    line.run(&held);
    line.assert_run_ok();
    assert!(!line.factory.value("reject"), "inactive from the start");
    let journal = line.stop();
    let rejects = Filter { kinds: vec![EventKind::Reject], ..Filter::default() };
    assert_eq!(journal.events(&rejects).map(Result::unwrap).count(), 4, "those signalled before the kill, too");
}
