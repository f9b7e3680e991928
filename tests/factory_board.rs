//! The daemon on an emulated Raspberry Pi 3: its lines are found by the names that are printed on the board, and its real pin
//! controller drives them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod factory;
mod line;

use std::time::{Duration, Instant};

use factory::{Ended, Factory, Setup, alone};
use line::{Figures, Line, PATIENCE, WEB, daemon};
use shelfwatch::image_file::encode_jpeg;
use shelfwatch::parts::{Foreign, Product, SIDE, Stranger, Subject, draw};

const CONFIG: &str = r#"
site = "factory"
device = "board"
state = "/run/state"
[[station]]
name = "cam1"
shelf = "/root/line.shelf"
deadline_ms = 60000
source.folder = { path = "/tmp/in", after = "delete" }
[station.reject]
line = "GPIO17"
delay_ms = 0
width_ms = 3000
late = "now"
[run_ok]
line = "GPIO27"
period_ms = 1000
[web]
listen = "0.0.0.0:9464"
"#;

/// Whether the kernel drives a line of the board's own chip high; `None` while nobody has requested it.
fn driven(factory: &mut Factory, name: &str) -> Option<bool> {
    let (_, text) = factory.sh("cat /sys/kernel/debug/gpio");
    let line =
        text.lines().find(|line| line.contains(&format!("({name} "))).unwrap_or_else(|| panic!("{name}:\n{text}"));
    line.contains("|shelfwatch").then(|| {
        assert!(line.contains(" out "), "{line}");
        line.contains(" hi ")
    })
}

fn until_driven(line: &mut Line, name: &str, high: bool) {
    let begun = Instant::now();
    while driven(&mut line.factory, name) != Some(high) {
        assert!(begun.elapsed() < PATIENCE, "{name} never becomes {high}\n{}", line.log());
    }
}

#[test]
fn the_boards_own_pins_show_verdicts() {
    let alone = alone();
    let Some(program) = daemon() else { return };
    let files = [(program.as_path(), "/root/shelfwatch")];
    let setup = Setup { files: &files, ports: &[WEB], board: true, ..Setup::default() };
    let Some(factory) = Factory::start_with(&setup) else { return };
    println!("a Raspberry Pi 3: {:.1} s from power-on to the agent", factory.boot.as_secs_f64());
    let mut line = Line::around(factory, alone);
    let shelf = std::fs::read(line.shelf()).unwrap();
    line.factory.put("/root/line.shelf", &shelf);
    assert_eq!(line.factory.sh("mkdir -p /run/state /tmp/in").0, Ended::Exit(0));
    assert_eq!(driven(&mut line.factory, "GPIO17"), None);
    line.run(CONFIG);
    for high in [true, false, true] {
        until_driven(&mut line, "GPIO27", high);
    }

    let jpeg = |subject| encode_jpeg(&draw(subject, 900, SIDE).frame, 95).unwrap();
    let pass = |line: &mut Line, name: &str, picture: &[u8]| {
        line.factory.put(&format!("/tmp/{name}"), picture);
        // Complete at once, as the source asks for.
        assert_eq!(line.factory.sh(&format!("mv /tmp/{name} /tmp/in/{name}")).0, Ended::Exit(0));
    };
    pass(&mut line, "good.jpg", &jpeg(Subject::Product(Product::ALL[0])));
    line.until("the good part has passed", |figures: &Figures| figures.parts("pass") == 1);
    assert_eq!(driven(&mut line.factory, "GPIO17"), Some(false));
    pass(&mut line, "strange.jpg", &jpeg(Subject::Stranger(Stranger::Foreign(Foreign::ALL[0]))));
    until_driven(&mut line, "GPIO17", true);
    until_driven(&mut line, "GPIO17", false);
    line.until("the strange part is counted", |figures: &Figures| figures.parts("reject") == 1);

    // Whoever dies lets go.
    line.factory.kill("station", "KILL");
    assert_eq!(line.factory.wait("station", Duration::from_secs(10)), Some(Ended::Signal(9)));
    assert_eq!(driven(&mut line.factory, "GPIO17"), None);
}
