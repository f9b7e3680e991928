//! The feed over a source that the test plays: what is dropped is counted, each trigger gets one answer, an outage is said
//! once, and the source is opened anew with growing waits.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use shelfwatch::camera::{Camera, CameraError, Delivery, Feed, Pace};
use shelfwatch::capture::{Capture, Moment, Trigger};

/// Long enough on any machine; nothing waits for it unless the test fails.
const LONG: Duration = Duration::from_mins(1);
const EVERY: Pace = Pace::Free { min_interval: Duration::ZERO };

/// What the played source does next.
enum Act {
    /// An image with one byte, taken at that millisecond.
    Image(u8, u64),
    Damaged,
    Die,
    /// Does not come back from the call for so long.
    Hang(Duration),
}

/// The test's end of the source.
#[derive(Clone)]
struct Stage {
    acts: Arc<Mutex<Receiver<Act>>>,
    /// Opening fails.
    down: Arc<AtomicBool>,
    openings: Arc<Mutex<Vec<Instant>>>,
    open_now: Arc<AtomicUsize>,
}

struct Puppet(Stage);

impl Camera for Puppet {
    fn next(&mut self, timeout: Duration, into: &mut Capture) -> Result<(), CameraError> {
        match self.0.acts.lock().unwrap().recv_timeout(timeout) {
            Ok(Act::Image(byte, at)) => {
                into.clear();
                into.bytes.push(byte);
                into.taken = moment(at);
                Ok(())
            }
            Ok(Act::Damaged) => Err(CameraError::Damaged { camera: self.name(), reason: "torn; look".to_owned() }),
            Ok(Act::Die) => Err(CameraError::Lost { camera: self.name(), reason: "unplugged; plug in".to_owned() }),
            Ok(Act::Hang(time)) => {
                thread::sleep(time);
                Err(CameraError::NoImage { waited: time })
            }
            Err(RecvTimeoutError::Timeout) => Err(CameraError::NoImage { waited: timeout }),
            Err(RecvTimeoutError::Disconnected) => {
                thread::sleep(timeout);
                Err(CameraError::NoImage { waited: timeout })
            }
        }
    }

    fn name(&self) -> String {
        "puppet".to_owned()
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        self.0.open_now.fetch_sub(1, Ordering::SeqCst);
    }
}

fn play(timeout: Duration, pace: Pace, queue: usize) -> (Sender<Act>, Stage, Feed) {
    let (acts, receiver) = channel();
    let stage = Stage {
        acts: Arc::new(Mutex::new(receiver)),
        down: Arc::default(),
        openings: Arc::default(),
        open_now: Arc::default(),
    };
    let there = stage.clone();
    let open = move || -> Result<Box<dyn Camera>, CameraError> {
        there.openings.lock().unwrap().push(Instant::now());
        if there.down.load(Ordering::SeqCst) {
            return Err(CameraError::Lost { camera: "puppet".to_owned(), reason: "not there; plug in".to_owned() });
        }
        there.open_now.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Puppet(there.clone())))
    };
    let feed = Feed::with_cameras("test", open, timeout, pace, queue).unwrap();
    (acts, stage, feed)
}

/// A moment that many milliseconds from an hour ahead, so that no trigger runs out by itself.
fn moment(at: u64) -> Moment {
    let now = Moment::now();
    Moment { monotonic: Duration::from_secs(1 << 30) + Duration::from_millis(at), wall: now.wall }
}

fn trigger(number: u64, at: u64) -> Trigger {
    Trigger { number, at: moment(at) }
}

fn on_trigger(delay_ms: u64) -> Pace {
    Pace::OnTrigger { delay: Duration::from_millis(delay_ms), window: LONG, timeout: LONG }
}

/// The next delivery in short: `i7` an image, `i7t3` for a trigger, `d` damaged, `L` lost, `B` back, `n3` none for a trigger.
fn short(delivery: Delivery) -> String {
    match delivery {
        Delivery::Image(Capture { bytes, trigger: None, .. }) => format!("i{}", bytes[0]),
        Delivery::Image(Capture { bytes, trigger: Some(trigger), .. }) => format!("i{}t{}", bytes[0], trigger.number),
        Delivery::Damaged(_) => "d".to_owned(),
        Delivery::Lost(_) => "L".to_owned(),
        Delivery::Back => "B".to_owned(),
        Delivery::NoImageFor(trigger) => format!("n{}", trigger.number),
    }
}

fn received(feed: &Feed) -> String {
    short(feed.receive(LONG).unwrap())
}

fn assert_nothing(feed: &Feed) {
    assert!(feed.receive(Duration::from_millis(150)).map(short).is_none());
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LONG, "never came true: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_oldest_image_is_dropped_and_counted() {
    let (acts, _, feed) = play(LONG, EVERY, 3);
    for number in 0..10 {
        acts.send(Act::Image(number, u64::from(number))).unwrap();
    }
    until("seven were dropped", || feed.dropped() == 7);
    assert_eq!([received(&feed), received(&feed), received(&feed)], ["i7", "i8", "i9"]);
    assert_nothing(&feed);
    // News of damaged images give way as images do, without being counted as such; other news never.
    for _ in 0..5 {
        acts.send(Act::Damaged).unwrap();
    }
    acts.send(Act::Image(10, 10)).unwrap();
    acts.send(Act::Die).unwrap();
    acts.send(Act::Image(11, 11)).unwrap();
    acts.send(Act::Image(12, 12)).unwrap();
    acts.send(Act::Image(13, 13)).unwrap();
    acts.send(Act::Image(14, 14)).unwrap();
    until("two more were dropped", || feed.dropped() == 9);
    let rest: Vec<String> = (0..5).map(|_| received(&feed)).collect();
    assert_eq!(rest, ["L", "B", "i12", "i13", "i14"]);
}

#[test]
fn the_mean_rate_is_the_one_asked_for() {
    let (acts, _, feed) = play(LONG, Pace::Free { min_interval: Duration::from_millis(100) }, 1000);
    // Thirty images a second for ten seconds.
    for number in 0..300 {
        acts.send(Act::Image(number as u8, number * 1000 / 30)).unwrap();
    }
    acts.send(Act::Damaged).unwrap();
    let taken = std::iter::from_fn(|| match feed.receive(LONG) {
        Some(Delivery::Image(capture)) => Some(capture.taken.monotonic),
        _ => None,
    });
    let taken: Vec<Duration> = taken.collect();
    assert!((99..=101).contains(&taken.len()), "{} of 300 images at 10 a second", taken.len());
    assert!(taken.windows(2).all(|pair| pair[1] >= pair[0] + Duration::from_millis(66)), "never two in one interval");
}

#[test]
fn memory_goes_round() {
    let (acts, _, feed) = play(LONG, EVERY, 3);
    let mut seen = std::collections::HashSet::new();
    for number in 0..200 {
        acts.send(Act::Image(number, u64::from(number))).unwrap();
        let Some(Delivery::Image(capture)) = feed.receive(LONG) else { panic!("no image") };
        seen.insert(capture.bytes.as_ptr());
        feed.give_back(capture);
    }
    assert!(seen.len() <= 4, "{} buffers for one image at a time", seen.len());
}

#[test]
fn each_trigger_gets_the_first_image_after_its_instant() {
    let (acts, _, feed) = play(LONG, on_trigger(50), 10);
    feed.trigger(trigger(1, 100));
    feed.trigger(trigger(2, 120));
    for (number, at) in [(1, 100), (2, 149), (3, 150), (4, 160), (5, 175), (6, 190)] {
        acts.send(Act::Image(number, at)).unwrap();
    }
    assert_eq!([received(&feed), received(&feed)], ["i3t1", "i5t2"]);
    // One image for each, in order, even where one image would do for both.
    feed.trigger(trigger(3, 200));
    feed.trigger(trigger(4, 201));
    acts.send(Act::Image(7, 300)).unwrap();
    assert_eq!(received(&feed), "i7t3");
    assert_nothing(&feed);
    acts.send(Act::Image(8, 310)).unwrap();
    assert_eq!(received(&feed), "i8t4");
    // The very same instant: the same image.
    feed.trigger(trigger(5, 400));
    feed.trigger(trigger(6, 400));
    acts.send(Act::Image(9, 460)).unwrap();
    assert_eq!([received(&feed), received(&feed)], ["i9t5", "i9t6"]);
    // Out of order: by instant.
    feed.trigger(trigger(8, 600));
    feed.trigger(trigger(7, 500));
    acts.send(Act::Image(10, 700)).unwrap();
    acts.send(Act::Image(11, 701)).unwrap();
    assert_eq!([received(&feed), received(&feed)], ["i10t7", "i11t8"]);
    assert_eq!(feed.dropped(), 0);
}

#[test]
fn an_edge_that_is_reported_late_still_finds_its_image() {
    let (acts, _, feed) = play(LONG, on_trigger(0), 10);
    for (number, at) in [(1, 100), (2, 133), (3, 166), (4, 200)] {
        acts.send(Act::Image(number, at)).unwrap();
    }
    acts.send(Act::Damaged).unwrap();
    // By then all four have come.
    assert_eq!(received(&feed), "d");
    feed.trigger(trigger(1, 120));
    assert_eq!(received(&feed), "i2t1");
    feed.trigger(trigger(2, 120));
    assert_eq!(received(&feed), "i3t2");
}

#[test]
fn an_image_of_a_later_part_is_left_to_that_part() {
    let window = Duration::from_millis(50);
    let (acts, _, feed) = play(LONG, Pace::OnTrigger { delay: Duration::from_millis(10), window, timeout: LONG }, 10);
    for (number, at) in [(1, 100), (2, 140), (3, 200), (4, 300)] {
        feed.trigger(trigger(number, at));
    }
    // None came for the first two; the third's is just in time, and the fourth has its own.
    acts.send(Act::Image(3, 260)).unwrap();
    acts.send(Act::Image(4, 310)).unwrap();
    let answers: Vec<String> = (0..4).map(|_| received(&feed)).collect();
    assert_eq!(answers, ["n1", "n2", "i3t3", "i4t4"]);
    feed.trigger(trigger(5, 400));
    acts.send(Act::Image(5, 461)).unwrap();
    assert_eq!(received(&feed), "n5");
    // Reported late, and still its image.
    feed.trigger(trigger(6, 420));
    assert_eq!(received(&feed), "i5t6");
}

#[test]
fn a_dropped_answer_is_still_an_answer() {
    let (acts, _, feed) = play(LONG, on_trigger(0), 2);
    for number in 1..=5 {
        feed.trigger(trigger(number, 100 * number));
    }
    for number in 1..=5 {
        acts.send(Act::Image(number, 100 * u64::from(number))).unwrap();
    }
    until("three were dropped", || feed.dropped() == 3);
    let answers: Vec<String> = (0..5).map(|_| received(&feed)).collect();
    assert_eq!(answers, ["n1", "n2", "n3", "i4t4", "i5t5"]);
}

#[test]
fn triggers_run_out_and_are_answered_at_once_in_an_outage() {
    let pace = Pace::OnTrigger { delay: Duration::from_millis(1), window: LONG, timeout: Duration::from_millis(200) };
    let (acts, stage, feed) = play(LONG, pace, 4);
    let now = |number| Trigger { number, at: Moment::now() };
    feed.trigger(now(1));
    feed.trigger(now(2));
    assert_eq!([received(&feed), received(&feed)], ["n1", "n2"]);
    // Lost while one waits: it is answered after the news, the next ones without delay.
    feed.trigger(trigger(3, 100));
    stage.down.store(true, Ordering::SeqCst);
    acts.send(Act::Die).unwrap();
    assert_eq!([received(&feed), received(&feed)], ["L", "n3"]);
    for number in 4..8 {
        feed.trigger(trigger(number, 100));
        assert_eq!(feed.receive(Duration::ZERO).map(short), Some(format!("n{number}")));
    }
    stage.down.store(false, Ordering::SeqCst);
    acts.send(Act::Image(1, 50)).unwrap();
    assert_eq!(received(&feed), "B");
    feed.trigger(trigger(9, 200));
    acts.send(Act::Image(2, 250)).unwrap();
    assert_eq!(received(&feed), "i2t9");
}

#[test]
fn an_outage_is_said_once_and_the_waits_grow() {
    let (acts, stage, feed) = play(LONG, EVERY, 4);
    acts.send(Act::Image(1, 1)).unwrap();
    assert_eq!(received(&feed), "i1");
    stage.down.store(true, Ordering::SeqCst);
    acts.send(Act::Die).unwrap();
    match feed.receive(LONG) {
        Some(Delivery::Lost(error)) => {
            assert!(error.code() == "camera-lost" && error.to_string().contains("unplugged"), "{error}");
        }
        other => panic!("{:?}", other.map(short)),
    }
    until("four more openings", || stage.openings.lock().unwrap().len() >= 5);
    assert!(feed.receive(Duration::ZERO).is_none(), "said twice");
    let openings = stage.openings.lock().unwrap().clone();
    let waits: Vec<Duration> = openings.windows(2).skip(1).map(|pair| pair[1] - pair[0]).collect();
    // A busy machine makes waits longer, never shorter.
    for (wait, least) in waits.iter().zip([500, 1000, 2000]) {
        assert!(*wait >= Duration::from_millis(least), "{waits:?}");
    }
    stage.down.store(false, Ordering::SeqCst);
    // Opening is not enough: it is back with its first image.
    until("it is open", || stage.open_now.load(Ordering::SeqCst) == 1);
    assert!(feed.receive(Duration::from_millis(50)).is_none());
    acts.send(Act::Image(2, 2)).unwrap();
    assert_eq!([received(&feed), received(&feed)], ["B", "i2"]);
    // The waits begin anew.
    let before = stage.openings.lock().unwrap().len();
    let begun = Instant::now();
    acts.send(Act::Die).unwrap();
    until("opened again", || stage.openings.lock().unwrap().len() > before);
    assert!(begun.elapsed() >= Duration::from_millis(250));
    assert!(begun.elapsed() < Duration::from_secs(8), "as if the waits had gone on growing");
    drop(feed);
    assert_eq!(stage.open_now.load(Ordering::SeqCst), 0, "dropping the feed closes the source");
}

#[test]
fn silence_and_nothing_but_damage_are_outages() {
    let (acts, stage, feed) = play(Duration::from_millis(300), EVERY, 100);
    match feed.receive(LONG) {
        Some(Delivery::Lost(error)) => assert!(error.to_string().contains("sent no image for"), "{error}"),
        other => panic!("{:?}", other.map(short)),
    }
    // A source that needs longer to start is said to be lost, and not closed: else it would never get there.
    thread::sleep(Duration::from_secs(1));
    assert_eq!(stage.openings.lock().unwrap().len(), 1);
    acts.send(Act::Image(1, 1)).unwrap();
    assert_eq!([received(&feed), received(&feed)], ["B", "i1"]);
    let (stop, stopped) = (Arc::new(AtomicBool::new(false)), acts.clone());
    let halt = Arc::clone(&stop);
    let sender = thread::spawn(move || {
        while !halt.load(Ordering::SeqCst) {
            stopped.send(Act::Damaged).unwrap();
            thread::sleep(Duration::from_millis(20));
        }
    });
    let mut damaged = 0;
    let lost = loop {
        match feed.receive(LONG) {
            Some(Delivery::Damaged(_)) => damaged += 1,
            other => break other.map(short),
        }
    };
    assert_eq!(lost.as_deref(), Some("L"));
    assert!(damaged > 0);
    until("opened anew", || stage.openings.lock().unwrap().len() == 2);
    stop.store(true, Ordering::SeqCst);
    sender.join().unwrap();
}

#[test]
fn a_source_that_hangs_is_noticed_and_does_not_hold_up_the_end() {
    let (acts, _, feed) = play(Duration::from_millis(200), on_trigger(0), 4);
    acts.send(Act::Image(1, 1)).unwrap();
    acts.send(Act::Hang(Duration::from_secs(30))).unwrap();
    feed.trigger(trigger(1, 100));
    let mut heard = vec![received(&feed), received(&feed)];
    // On a busy machine the source may have been silent for its time-out before.
    heard.retain(|word| word != "B");
    assert_eq!(heard, ["L", "n1"]);
    let begun = Instant::now();
    drop(feed);
    assert!(begun.elapsed() < Duration::from_secs(20), "the thread is left behind");
}

#[test]
fn a_receiver_that_stalls_finds_one_outage() {
    let (acts, stage, feed) = play(LONG, EVERY, 2);
    for number in 0..4 {
        acts.send(Act::Die).unwrap();
        acts.send(Act::Image(number, u64::from(number))).unwrap();
        acts.send(Act::Image(number, u64::from(number))).unwrap();
    }
    until("all was played", || stage.openings.lock().unwrap().len() >= 5 && feed.dropped() >= 6);
    let mut heard = Vec::new();
    while let Some(delivery) = feed.receive(Duration::from_millis(100)) {
        heard.push(short(delivery));
    }
    assert!(heard.len() <= 4 && heard.ends_with(&["B".to_owned(), "i3".to_owned(), "i3".to_owned()]), "{heard:?}");
}
