//! A full disk under the state folder: alarms wait, the line goes on, and all is written when there is room again.

use shelfwatch::event::EventKind;

use crate::small_disk::Small;
use crate::station::{Line, strange};

const FULL: Option<&str> = Some("disk-full");
const SHOWN: &str = "shelfwatch_fault{station=\"cap\",code=\"disk-full\"}";

#[test]
fn a_full_disk_stops_neither_the_line_nor_the_record() {
    let Some(disk) = Small::mount(8) else { return };
    let strange = strange(10);
    let mut line = Line::with_state(tempfile::tempdir().unwrap(), disk.path().join("state"));
    // Drift would be the fault that is shown.
    let station = line.folder_station("cap") + "[station.drift]\nrun_length = 1e9\n";
    line.configure(&station, "[journal]\nimage_megabytes = 2\n");
    line.start_ready();
    let mut put = 0;
    let mut work = |line: &mut Line| {
        let before = line.parts("cap")[2];
        for (i, part) in strange.iter().enumerate() {
            line.put("cap", &format!("{}.png", put + i), &part.png);
        }
        put += strange.len();
        line.until("all are judged", |line| line.parts("cap") == [0, 0, before + strange.len() as u64, 0]);
        line.until("all are moved", |line| line.done("cap").len() == put);
        put
    };
    work(&mut line);
    for round in 1..=2 {
        line.until("all is written", |line| line.count(EventKind::Reject, None) == line.done("cap").len());
        // The journal makes room by old images, so that it takes some rounds until nothing is left to give.
        let mut rounds = 0;
        while line.metric("shelfwatch_journal_trouble") == 0 || rounds < 3 {
            disk.fill();
            work(&mut line);
            rounds += 1;
            assert!(rounds < 60, "the disk is never full");
        }
        println!("round {round}: full after {rounds} times ten rejects; {} are judged", line.done("cap").len());
        disk.fill();
        let judged = work(&mut line);
        assert!(line.is_green(), "alarms wait in memory, and every part is judged");
        line.until("it is said", |line| line.metric("shelfwatch_journal_trouble") == 1);
        let written = line.count(EventKind::Reject, None);
        println!("round {round}: {written} of {judged} rejects are written while it is full");
        if round == 2 {
            // Killed now, only the notes are left, and the next start finds them on a full disk.
            line.kill();
            line.start_ready();
        }
        disk.free();
        line.until("all is written", |line| line.count(EventKind::Reject, None) == judged);
        line.until("the trouble is over", |line| {
            line.metric("shelfwatch_journal_trouble") == 0 && line.metric(SHOWN) == 0 && line.is_green()
        });
        if round == 1 {
            line.until("its begin and its end are told", |line| {
                let begun = line.count(EventKind::Fault, FULL);
                begun >= 1 && line.count(EventKind::Recovered, FULL) == begun
            });
        }
    }
    assert_eq!(line.stop(), 0);
    let recovered = line.events().iter().filter(|stored| stored.event.recovered).count();
    println!("{recovered} events were made from the notes of the killed daemon");
    assert!(recovered > 0);
}
