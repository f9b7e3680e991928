//! The daemon on an emulated device from the trigger to the pulse: each part has one verdict, the one that this computer
//! gives the same picture, and each strange part one pulse, when it is due. Prints what it measures.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod factory;
mod line;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Instant;

use binary::{argument, shelfwatch};
use factory::{Ended, Pull};
use line::{CONFIG, Figures, LATE, Line, MS, PASSING, PATIENCE, STEP};
use serde_json::Value;
use shelfwatch::camera;
use shelfwatch::capture::{Capture, PixelFormat};
use shelfwatch::event::EventKind;
use shelfwatch::frame::Frame;
use shelfwatch::image_file::{encode_jpeg, encode_png};
use shelfwatch::journal::{Filter, Reader};
use shelfwatch::parts::{Product, SIDE, Stranger, Subject, draw};
use shelfwatch_core::Shelf;

/// Every so many-th part is a strange one.
const STRANGE: usize = 20;
/// From the trigger to the pulse, and how long it lasts, as in the configuration.
const DELAY: u64 = 4000 * MS;
const WIDTH: u64 = 60 * MS;
/// Longest time without a change of RUN-OK: the least that a watchdog outside would be set to, and what an emulator takes.
const RUN_OK_GAP: u64 = 3 * 100 * MS + LATE;
/// Relative difference that float kernels of another processor may make.
const TOLERANCE: f64 = 1e-4;

/// What this computer says of a part.
struct Expected {
    strange: bool,
    verdict: String,
    score: f64,
}

/// A strange part among many good ones; those that a faulty camera sees are faults of the image and not parts.
fn subject(number: usize) -> Subject {
    let mut strangers = Stranger::all().filter(|stranger| !matches!(stranger, Stranger::Camera(_)));
    if number % STRANGE == STRANGE / 2 {
        let count = strangers.clone().count();
        Subject::Stranger(strangers.nth(number / STRANGE % count).unwrap())
    } else {
        Subject::Product(Product::ALL[number % Product::ALL.len()])
    }
}

/// Packed 4:2:2, BT.601 limited range, as cameras give it.
fn yuyv(frame: &Frame) -> Vec<u8> {
    let level = |value: f64| value.round().clamp(0.0, 255.0) as u8;
    let packed = frame.rgb().chunks_exact(6).flat_map(|pair| {
        let [r, g, b] = [0, 1, 2].map(|i| f64::from(pair[i]) / 2.0 + f64::from(pair[i + 3]) / 2.0);
        let luma =
            |p: &[u8]| 16.0 + (65.481 * f64::from(p[0]) + 128.553 * f64::from(p[1]) + 24.966 * f64::from(p[2])) / 255.0;
        let u = 128.0 + (-37.797 * r - 74.203 * g + 112.0 * b) / 255.0;
        let v = 128.0 + (112.0 * r - 93.786 * g - 18.214 * b) / 255.0;
        [luma(&pair[..3]), u, luma(&pair[3..]), v].map(level)
    });
    packed.collect()
}

/// The picture as the camera gives it, and a file that this computer decodes to the same pixels.
fn pictures(format: &str, number: usize) -> (Vec<u8>, Vec<u8>) {
    let frame = draw(subject(number), (7 << 40) | number as u64, SIDE).frame;
    if format == "MJPG" {
        let jpeg = encode_jpeg(&frame, 95).unwrap();
        return (jpeg.clone(), jpeg);
    }
    let bytes = yuyv(&frame);
    let raw = Capture {
        format: PixelFormat::Yuyv,
        width: SIDE,
        height: SIDE,
        stride: 2 * SIDE,
        bytes: bytes.clone(),
        ..Capture::empty()
    };
    (bytes, encode_png(&camera::decode(&raw, None, Vec::new()).unwrap()).unwrap())
}

/// Draws the parts, puts their pictures into the machine and lets this computer judge them.
fn prepare(line: &mut Line, format: &str, count: usize) -> Vec<Expected> {
    let folder = line.folder.path().join("parts");
    std::fs::create_dir_all(&folder).unwrap();
    let extension = if format == "MJPG" { "jpg" } else { "png" };
    for number in 0..count {
        let (shown, file) = pictures(format, number);
        line.factory.put(&format!("/tmp/parts/{number}"), &shown);
        std::fs::write(folder.join(format!("{number:05}.{extension}")), file).unwrap();
    }
    let answer = shelfwatch(["score", "--json", "--shelf", argument(&line.shelf()), argument(&folder)]);
    assert!(answer.code < 2, "{}", answer.err);
    let judged = |text: &str| {
        let object: Value = serde_json::from_str(text).unwrap();
        let stem = Path::new(object["path"].as_str().unwrap()).file_stem().unwrap().to_str().unwrap().to_owned();
        (stem, (object["verdict"].as_str().unwrap().to_owned(), object["score"].as_f64().unwrap()))
    };
    let judged: HashMap<String, (String, f64)> = answer.out.lines().map(judged).collect();
    let expected = |number: usize| {
        let (verdict, score) = judged[&format!("{number:05}")].clone();
        Expected { strange: matches!(subject(number), Subject::Stranger(_)), verdict, score }
    };
    (0..count).map(expected).collect()
}

/// Lets every part pass, each when the one before has its verdict; a dozen pulses are then due at a time.
fn pass_all(line: &mut Line, count: usize) -> Vec<Pull> {
    let pass = |number| {
        line.until("the part before has its verdict", |figures| figures.parts("") >= number as u64);
        line.factory.part("trigger", &format!("/tmp/parts/{number}"), PASSING)
    };
    let pulls = (0..count).map(pass).collect();
    line.until("every part has its verdict", |figures| figures.parts("") >= count as u64);
    pulls
}

/// Verdict, score and latency in milliseconds of each part in the journal. A part that is there twice fails the test.
fn told(journal: &Reader) -> BTreeMap<u64, (String, f64, f64)> {
    let mut told = BTreeMap::new();
    let mut add = |part: u64, verdict: &str, score: f64, latency: f64| {
        let before = told.insert(part, (verdict.to_owned(), score, latency));
        assert!(before.is_none(), "part {part} has two verdicts");
    };
    for pass in journal.passes(&Filter::default()) {
        let pass = pass.unwrap();
        add(pass.part, "pass", f64::from(pass.reading.score), pass.reading.latency_ms);
    }
    for stored in journal.events(&Filter::default()) {
        let event = stored.unwrap().event;
        if let Some(part) = event.part {
            let [score, latency] = event.reading.map_or([f64::NAN; 2], |r| [f64::from(r.score), r.latency_ms]);
            add(part, event.kind.name(), score, latency);
        }
    }
    told
}

fn middle_and_worst(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let share = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    format!("middle {:.1}, 99 of 100 below {:.1}, worst {:.1} ms", share(0.5), share(0.99), share(1.0))
}

/// Each part with that verdict has one pulse on the output, when it is due, and no other part has any.
fn check_pulses(line: &mut Line, output: &str, pulls: &[&Pull], since: u64) {
    let begins = line.edges(since, output, true);
    let ends = line.edges(since, output, false);
    assert_eq!((begins.len(), ends.len()), (pulls.len(), pulls.len()), "{output}: one pulse a part");
    let (mut late, mut wide) = (Vec::new(), Vec::new());
    for ((pull, begin), end) in pulls.iter().zip(&begins).zip(&ends) {
        // The kernel stamps the trigger between the two times of the pull.
        let due = pull.before + DELAY;
        assert!(begin + STEP >= due && *begin <= pull.after + DELAY + LATE, "{output}: {pull:?} {begin}");
        assert!(end + STEP >= begin + WIDTH && *end <= begin + WIDTH + LATE, "{output}: {begin} to {end}");
        late.push((begin + STEP).saturating_sub(due) as f64 / 1e6);
        wide.push((end - begin) as f64 / 1e6);
    }
    println!("{output}: {} pulses; after they were due: {}", pulls.len(), middle_and_worst(late));
    println!("{output}: width for {} ms: {}", WIDTH / MS, middle_and_worst(wide));
}

fn parts_pass(format: &str, count: usize) {
    let Some(mut line) = Line::start() else { return };
    let expected = prepare(&mut line, format, count);
    line.factory.camera(format, SIDE, SIDE);
    line.factory.play(5.0, &["/tmp/parts/0"]);
    line.run(&CONFIG.replace("format = \"mjpg\"", &format!("format = \"{}\"", format.to_lowercase())));

    let (since, begun) = (line.factory.now(), Instant::now());
    let pulls = pass_all(&mut line, count);
    let took = begun.elapsed().as_secs_f64();
    line.wait_for(pulls.last().unwrap().after + DELAY + WIDTH + LATE);
    let until = line.factory.now();
    println!("{count} parts by {format} in {took:.0} s, {:.0} ms each", took * 1000.0 / count as f64);

    let beats: Vec<u64> = line.factory.edges(since).iter().filter(|e| e.line == "run_ok").map(|e| e.time).collect();
    let beats: Vec<u64> =
        [since].into_iter().chain(beats.into_iter().filter(|at| *at < until)).chain([until]).collect();
    let gap = beats.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    println!("RUN-OK changed {} times, the longest pause was {} ms", beats.len() - 2, gap / MS);
    assert!(gap <= RUN_OK_GAP, "RUN-OK stood still for {} ms", gap / MS);

    let figures = line.figures().unwrap();
    let journal = line.stop();
    check_verdicts(&figures, &journal, &expected, &line.log());
    for output in ["reject", "review"] {
        let wanted: Vec<&Pull> =
            pulls.iter().zip(&expected).filter(|(_, part)| part.verdict == output).map(|(pull, _)| pull).collect();
        check_pulses(&mut line, output, &wanted, since);
    }
    check_promise(&line, &expected);
    line.factory.power_off();
}

/// One verdict a part, the one that this computer gives it.
fn check_verdicts(figures: &Figures, journal: &Reader, expected: &[Expected], log: &str) {
    let told = told(journal);
    // While drift lasts, which so many strange parts bring about, reviews are signalled and counted, not told one by one.
    let drift = journal.events(&Filter { kinds: vec![EventKind::Drift], ..Filter::default() }).count() > 0;
    let (mut latencies, mut largest, mut wrong) = (Vec::new(), 0.0_f64, Vec::new());
    for (part, wanted) in (1..).zip(expected) {
        let Some((verdict, score, latency)) = told.get(&part) else {
            assert!(drift && wanted.verdict == "review", "part {part} is not in the journal");
            continue;
        };
        let differs = (score - wanted.score).abs() / wanted.score.abs().max(1.0);
        if differs.is_nan() || differs > TOLERANCE || *verdict != wanted.verdict {
            wrong.push(format!("part {part}: {verdict} {score} there, {} {} here", wanted.verdict, wanted.score));
        }
        largest = largest.max(differs);
        latencies.push(*latency);
    }
    assert!(wrong.is_empty(), "{wrong:#?}\n{log}");
    for verdict in ["pass", "review", "reject", "fault"] {
        let count = expected.iter().filter(|part| part.verdict == verdict).count() as u64;
        assert_eq!(figures.parts(verdict), count, "{verdict}: {figures:?}");
    }
    assert_eq!(figures.parts(""), expected.len() as u64);
    assert!(
        figures.sum("shelfwatch_late_results_total", "") + figures.sum("shelfwatch_frames_dropped_total", "") < 0.5
    );
    assert!(told.keys().all(|part| (1..=expected.len() as u64).contains(part)));
    println!("{} verdicts in the journal; trigger to verdict: {}", told.len(), middle_and_worst(latencies));
    println!("the largest relative difference of a score from this computer's is {largest:e}");
}

fn check_promise(line: &Line, expected: &[Expected]) {
    let bytes = std::fs::read(line.shelf()).unwrap();
    let reject = Shelf::parse(&bytes).unwrap().header().reject;
    let count = |strange: bool, verdict: &str| {
        expected.iter().filter(|part| part.strange == strange && part.verdict == verdict).count()
    };
    let (good, strange) =
        (expected.iter().filter(|p| !p.strange).count(), expected.iter().filter(|p| p.strange).count());
    let [alarms, caught] = [count(false, "reject"), count(true, "reject")];
    println!(
        "{alarms} of {good} good parts rejected, {caught} of {strange} strange ones; {} and {} for review",
        count(false, "review"),
        count(true, "review")
    );
    // A few parts say little of a share; one alarm too many is no broken promise.
    assert!(alarms as f64 <= reject.alpha * good as f64 + 1.0, "{alarms} alarms, promised {}", reject.alpha);
    assert!(caught * 10 >= strange * 9, "caught {caught} of {strange}");
}

#[test]
fn each_of_a_thousand_parts_has_its_verdict_and_each_strange_one_its_pulse() {
    parts_pass("MJPG", 1000);
}

#[test]
fn a_camera_that_sends_pixels_serves_as_well() {
    parts_pass("YUYV", 100);
}

#[test]
fn doctor_and_io_test_find_the_machine_in_order() {
    let Some(mut line) = Line::start() else { return };
    line.factory.camera("GREY", SIDE, SIDE);
    let luma: Vec<u8> = yuyv(&draw(subject(0), 7 << 40, SIDE).frame).into_iter().step_by(2).collect();
    line.factory.put("/tmp/grey", &luma);
    line.factory.play(5.0, &["/tmp/grey"]);
    line.factory.put("/root/station.toml", CONFIG.replace("format = \"mjpg\"\n", "").as_bytes());
    let (ended, said) = line.factory.sh("/root/shelfwatch doctor --config /root/station.toml");
    assert_eq!(ended, Ended::Exit(0), "{said}");
    println!("{said}");

    let since = line.factory.now();
    line.factory.run("io", "/root/shelfwatch io-test --config /root/station.toml --seconds 4");
    for output in ["reject", "review", "run_ok"] {
        assert!(line.factory.wait_edge(since, PATIENCE, output, true).is_some(), "{:?}", line.factory.output("io"));
    }
    line.factory.pull("trigger", true);
    assert_eq!(line.factory.wait("io", PATIENCE), Some(Ended::Exit(0)), "{:?}", line.factory.output("io"));
    for output in ["reject", "review", "run_ok"] {
        assert_eq!([true, false].map(|high| line.edges(since, output, high).len()), [1, 1], "{output} is pulsed once");
    }
    let said = line.factory.output("io").0;
    let of = |name: &str, level: &str| said.lines().filter(|l| l.contains(name) && l.contains(level)).count();
    assert_eq!(of("trigger", ": active"), 1, "{said}");
    assert_eq!(of("reject", ": active"), 1, "{said}");
    line.factory.power_off();
}
