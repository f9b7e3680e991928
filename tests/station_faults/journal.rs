//! The journal damaged between two runs and under a running daemon: it is repaired, and the line goes on.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use shelfwatch::event::EventKind;
use shelfwatch::journal::{Reader, journal_file};

use crate::station::{Line, strange};

const REPAIRED: Option<&str> = Some("journal-repaired");

fn write(file: &Path, bytes: &[u8], at: u64) {
    fs::File::options().write(true).open(file).unwrap().write_all_at(bytes, at).unwrap();
}

#[test]
fn damage_between_two_runs_is_repaired_at_the_start() {
    let strange = strange(8);
    let mut line = Line::new();
    line.configure(&line.folder_station("cap"), "");
    let mut rejects = 0;
    // The head, all of the first page, a page in the middle, the end.
    for (round, place) in [0, 1, 2, 3].into_iter().enumerate() {
        line.start_ready();
        for (i, part) in strange.iter().enumerate() {
            line.put("cap", &format!("{round}-{i}.png"), &part.png);
        }
        line.until("all are moved", |line| line.done("cap").len() == 8 * (round + 1));
        assert_eq!(line.parts("cap"), [0, 0, 8, 0]);
        assert_eq!(line.stop(), 0);
        let now = line.count(EventKind::Reject, None);
        println!("round {round}: {now} of {} rejects are in the journal", 8 * (round + 1));
        assert!(now >= 8 && now <= rejects + 8, "{now} after {rejects}");
        assert_eq!(line.count(EventKind::Fault, REPAIRED).min(1), round.min(1), "said since the first damage");
        rejects = now;
        let file = journal_file(line.state());
        let length = fs::metadata(&file).unwrap().len();
        let garbage: Vec<u8> = (0..4096_u32).map(|i| (i * 7 + 3) as u8).collect();
        match place {
            0 => write(&file, &[0xa5; 64], 0),
            1 => write(&file, &garbage, 0),
            2 => write(&file, &garbage, length / 2 / 4096 * 4096),
            _ => fs::File::options().write(true).open(&file).unwrap().set_len(length - 5000).unwrap(),
        }
    }
    line.start_ready();
    assert_eq!(line.stop(), 0);
    // Of 32 rejects at most those on two damaged pages and the end are lost.
    assert!(line.count(EventKind::Reject, None) >= 8);
    assert!(line.log().contains("the journal was damaged"));
}

#[test]
fn damage_under_a_running_daemon_is_repaired_and_the_line_goes_on() {
    let strange = strange(8);
    let mut line = Line::new();
    line.configure(&line.folder_station("cap"), "");
    line.start_ready();
    let mut put = 0;
    let mut work = |line: &mut Line| {
        let before = line.parts("cap")[2];
        for part in &strange {
            line.put("cap", &format!("{put}.png"), &part.png);
            put += 1;
        }
        line.until("all are judged", |line| line.parts("cap") == [0, 0, before + 8, 0]);
        line.until("all are moved", |line| line.done("cap").len() as u64 == put);
    };
    work(&mut line);
    // Every page of the file and of its log.
    let file = journal_file(line.state());
    for file in [file.clone(), file.with_extension("sqlite-wal")] {
        let length = fs::metadata(&file).unwrap().len();
        write(&file, &vec![0x5a; length as usize], 0);
    }
    for _ in 0..4 {
        work(&mut line);
    }
    assert_eq!(line.stop(), 0);
    // Where SQLite's own memory of the pages carried it to the end, the next start repairs.
    line.start_ready();
    work(&mut line);
    assert_eq!(line.stop(), 0);
    let rejects = line.count(EventKind::Reject, None);
    println!("{rejects} of {put} rejects are in the journal");
    assert!(Reader::open(line.state()).is_ok());
    assert!(line.count(EventKind::Fault, REPAIRED) >= 1);
    // What was written after the damage was noticed is there: at the least what the last start judged.
    assert!(rejects >= 8, "{rejects}");
}
