//! What a service manager hears of the daemon, on a socket as systemd gives it.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::station::{Line, PATIENCE};

/// The limit that the manager sets; a sign of life is due three times in it.
const LIMIT: Duration = Duration::from_secs(3);

/// Messages until one has that line, with the time of each; panics where it does not come.
fn until(manager: &UnixDatagram, wanted: &str) -> Vec<(Instant, String)> {
    let (begun, mut heard) = (Instant::now(), Vec::new());
    let mut bytes = [0; 4096];
    while begun.elapsed() < PATIENCE {
        let Ok(count) = manager.recv(&mut bytes) else { continue };
        let text = String::from_utf8(bytes[..count].to_vec()).unwrap();
        let found = text.lines().any(|line| line == wanted);
        heard.push((Instant::now(), text));
        if found {
            return heard;
        }
    }
    panic!("never heard {wanted}, but {heard:?}");
}

fn is_life(text: &str) -> bool {
    text.lines().any(|line| line == "WATCHDOG=1")
}

#[test]
fn a_service_manager_hears_of_the_start_of_life_and_of_the_end() {
    let mut line = Line::new();
    let path = line.at("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    line.configure(&line.folder_station("cap"), "");
    let limit = LIMIT.as_micros().to_string();
    line.start_with(&[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", &limit)]);
    until(&manager, "READY=1");
    assert!(line.health().is_some(), "ready before anybody can ask");

    until(&manager, "STATUS=1 of 1 stations ready");
    until(&manager, "WATCHDOG=1");
    let times: Vec<Instant> = (0..4).map(|_| until(&manager, "WATCHDOG=1").pop().unwrap().0).collect();
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(longest < LIMIT, "{longest:?} between two signs of life");

    // A program that stands still says nothing.
    line.signal("STOP");
    std::thread::sleep(Duration::from_millis(200));
    manager.set_nonblocking(true).unwrap();
    while manager.recv(&mut [0; 4096]).is_ok() {}
    std::thread::sleep(LIMIT / 2);
    assert!(manager.recv(&mut [0; 4096]).is_err(), "a sign of life from a program that stands still");
    manager.set_nonblocking(false).unwrap();
    line.signal("CONT");
    until(&manager, "WATCHDOG=1");

    line.signal("TERM");
    until(&manager, "STOPPING=1");
    let last = until(&manager, "EXTEND_TIMEOUT_USEC=15000000");
    assert!(last.iter().any(|(_, text)| is_life(text)), "{last:?}");
    assert_eq!(line.stop(), 0);
}
