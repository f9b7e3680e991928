//! `kill -9` at random moments, in earnest: another process notes, signals and records until it is killed.

use std::collections::HashSet;
use std::env;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use shelfwatch::event::EventKind;
use shelfwatch::journal::{Filter, Opening};
use tempfile::tempdir;

use super::{Dice, event, image, open, quiet, stored};

const FOLDER: &str = "SHELFWATCH_TEST_KILLED";
const ROUNDS: u32 = 200;

/// Not a test but the process that is killed; run by the test below.
#[test]
fn records_until_killed() {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else { return };
    let (journal, _) = open(&folder);
    let intents = journal.intents();
    let start = u32::from_str_radix(&env::var("SHELFWATCH_TEST_START").unwrap(), 16).unwrap();
    let writer = journal.into_writer(quiet()).unwrap();
    let mut out = std::io::stdout();
    for n in 1.. {
        let event = event(start, n, EventKind::Reject);
        let slot = loop {
            match intents.note(&event) {
                Ok(slot) => break slot,
                Err(_) => thread::sleep(Duration::from_micros(200)),
            }
        };
        // The pulse.
        writeln!(out, "signalled {}", event.id).unwrap();
        let image = (n % 16 == 0).then(|| image(2000));
        while writer.waiting() > 5000 {
            thread::sleep(Duration::from_micros(200));
        }
        writer.alarm(event, image, Some(slot)).unwrap();
    }
}

/// The process that records into `folder` until it is killed.
fn recorder(folder: &Path, round: u32) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "killed::records_until_killed", "--nocapture"]);
    command.env(FOLDER, folder).env("SHELFWATCH_TEST_START", format!("{round:x}"));
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// How long it takes to its first alarm here; an emulated processor needs longer than any moment chosen beforehand.
fn start_up() -> Duration {
    let folder = tempdir().unwrap();
    let begin = Instant::now();
    let mut child = recorder(folder.path(), 1);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("signalled ")));
    let start_up = begin.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    start_up
}

#[test]
fn every_signalled_alarm_is_recorded_after_200_kills() {
    let latest = 100_000 + 2 * start_up().as_micros() as u64;
    let folder = tempdir().unwrap();
    let mut dice = Dice(4);
    let (mut signalled, mut recovered, mut slowest) = (HashSet::new(), 0, Duration::ZERO);
    let mut after = None;
    for round in 1..=ROUNDS {
        let mut child = recorder(folder.path(), round);
        let mut pipe = child.stdout.take().unwrap();
        let reader = thread::spawn(move || {
            let mut text = Vec::new();
            pipe.read_to_end(&mut text).unwrap();
            String::from_utf8_lossy(&text).into_owned()
        });
        thread::sleep(Duration::from_micros(2_000 + dice.below(latest)));
        child.kill().unwrap();
        child.wait().unwrap();
        let text = reader.join().unwrap();
        // A line cut off by the kill was not reported.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let now: HashSet<String> =
            whole.lines().filter_map(|line| line.strip_prefix("signalled ")).map(str::to_owned).collect();
        let begin = Instant::now();
        let (journal, opening) = open(folder.path());
        slowest = slowest.max(begin.elapsed());
        assert!(opening == Opening::Clean || opening == Opening::Created, "round {round}: {opening:?}");
        recovered += journal.recovered();
        drop(journal);
        let new = stored(folder.path(), &Filter { beyond: after, ..Filter::default() });
        after = new.last().map(|event| event.number).or(after);
        let ids: HashSet<String> = new.iter().map(|stored| stored.event.id.clone()).collect();
        assert_eq!(ids.len(), new.len(), "round {round}: an id twice");
        let mut missing = String::new();
        for id in now.difference(&ids) {
            write!(missing, " {id}").unwrap();
        }
        assert!(missing.is_empty(), "round {round}: signalled but not recorded:{missing}");
        signalled.extend(now);
    }
    let all = stored(folder.path(), &Filter::default());
    let ids: HashSet<&str> = all.iter().map(|stored| stored.event.id.as_str()).collect();
    assert_eq!(ids.len(), all.len());
    assert!(signalled.iter().all(|id| ids.contains(id.as_str())));
    assert!(recovered > 0 && signalled.len() > 1000, "the kills came too early: {recovered}, {}", signalled.len());
    let (signalled, recorded) = (signalled.len(), all.len());
    println!("{ROUNDS} kills: {signalled} alarms signalled, {recorded} recorded, {recovered} of them from intents");
    println!("slowest opening {slowest:?}");
}
