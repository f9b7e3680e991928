//! The virtual factory itself: what a test does to its pins and its camera arrives, and is measured rightly.
//! Prints what it measures. Skipped where `cross/virtual-factory/prepare.sh` was not run.

mod factory;

use std::time::{Duration, Instant};

use factory::{Ended, Factory, Passing, Setup};

/// The checksum that `grab` gives, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xEDB8_8320 & (sum & 1).wrapping_neg()))
    })
}

/// Bytes that tell pictures apart.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let step = |state: &mut u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((*state >> 24) as u8)
    };
    std::iter::repeat(()).scan(seed, |state, ()| step(state)).take(length).collect()
}

/// What the camera passes on as MJPG without looking inside.
fn jpeg(seed: u32, length: usize) -> Vec<u8> {
    [vec![0xFF, 0xD8], noise(seed, length)].concat()
}

/// Makes an output of a line by way of the kernel; the kernel's number of the line. As root, by sysfs: no program of
/// ours has a part in it.
fn output(factory: &mut Factory, line: &str) -> u32 {
    let (_, names) = factory.lines();
    let offset = names.iter().position(|name| name == line).expect("the chip has that line");
    let script = format!(
        "cd /sys/class/gpio; for chip in gpiochip*; do \
         if grep -q shelfwatch-sim $chip/label; then base=$(cat $chip/base); fi; done; \
         number=$((base + {offset})); echo $number >export && echo out >gpio$number/direction && echo $number"
    );
    let (end, said) = factory.sh(&script);
    assert_eq!(end, Ended::Exit(0), "{said}");
    said.trim().parse().expect("the number of the line")
}

#[test]
fn pins_and_camera_do_what_the_test_says() {
    let Some(mut factory) = Factory::start(&[]) else { return };
    println!("from the emulator's start to the agent's call: {:.1} s", factory.boot.as_secs_f64());

    pins(&mut factory);
    edges(&mut factory);
    relay(&mut factory);
    pictures(&mut factory);
    absence(&mut factory);
    parts(&mut factory);
    programs(&mut factory);
    factory.power_off();
}

fn pins(factory: &mut Factory) {
    let (node, names) = factory.lines();
    assert_eq!(factory.sh(&format!("test -c {node}")).0, Ended::Exit(0));
    for name in ["trigger", "clear", "reject", "review", "run_ok"] {
        assert!(names.iter().any(|line| line == name), "{names:?}");
    }
    for high in [true, false] {
        let pull = factory.pull("trigger", high);
        assert!(pull.after >= pull.before);
        assert_eq!(factory.value("trigger"), high);
    }
    assert!(factory.ask("pull nothing 1", &[]).is_err());

    let began = Instant::now();
    for i in 0..200 {
        factory.pull("trigger", i % 2 == 0);
    }
    println!("one command there and back: {:.2} ms", began.elapsed().as_secs_f64() * 1000.0 / 200.0);
}

fn edges(factory: &mut Factory) {
    let number = output(factory, "reject");
    let pin = format!("/sys/class/gpio/gpio{number}");
    let since = factory.now();
    let toggles = 500;
    let (end, said) = factory
        .sh(&format!("i=0; while [ $i -lt {toggles} ]; do echo 1 >{pin}/value; echo 0 >{pin}/value; i=$((i+1)); done"));
    assert_eq!(end, Ended::Exit(0), "{said}");
    let edges = factory.edges(since);
    assert_eq!(edges.len(), 2 * toggles, "every edge is recorded");
    assert!(edges.iter().enumerate().all(|(i, edge)| edge.line == "reject" && edge.high == (i % 2 == 0)));
    let mut widths: Vec<u64> = edges.windows(2).map(|pair| pair[1].time - pair[0].time).collect();
    widths.sort_unstable();
    println!(
        "{} edges recorded, the closest {} µs apart, the middle {} µs; recorded to 1 µs",
        edges.len(),
        widths[0] / 1000,
        widths[widths.len() / 2] / 1000
    );

    // Waiting ends with the edge, not with the limit; and a wait in vain is one.
    let since = factory.now();
    factory.run("later", &format!("sh -c 'sleep 0.3; echo 1 >{pin}/value'"));
    let began = Instant::now();
    let edge = factory.wait_edge(since, Duration::from_secs(20), "reject", true).expect("it comes");
    assert!(edge.time - since >= 300_000_000 && began.elapsed() < Duration::from_secs(10));
    assert_eq!(factory.wait_edge(edge.time, Duration::from_millis(100), "reject", false), None);

    // A line that its program lets go falls, and that is seen.
    let since = factory.now();
    assert!(factory.value("reject"));
    let (end, said) = factory.sh(&format!("echo {number} >/sys/class/gpio/unexport"));
    assert_eq!(end, Ended::Exit(0), "{said}");
    let edge = factory.wait_edge(since, Duration::from_secs(5), "reject", false).expect("it falls");
    assert!(edge.released && !factory.value("reject"));
}

/// A program that answers each trigger with a pulse: the edge that the kernel tells it of is the one that the test made.
fn relay(factory: &mut Factory) {
    start_relay(factory);
    let mut delays = Vec::new();
    let mut pulls = Vec::new();
    for _ in 0..100 {
        let pull = factory.pull("trigger", true);
        let answer = factory.wait_edge(pull.before, Duration::from_secs(5), "reject", true).expect("a pulse begins");
        let end = factory.wait_edge(answer.time, Duration::from_secs(5), "reject", false).expect("it ends");
        assert!(
            answer.time + 999_000 >= pull.before && end.time - answer.time >= 999_000,
            "{pull:?} {answer:?} {end:?}"
        );
        factory.pull("trigger", false);
        delays.push((answer.time + 999).saturating_sub(pull.before) / 1000);
        pulls.push(pull);
    }
    factory.kill("relay", "KILL");
    let said = factory.output("relay").0;
    let told: Vec<u64> = said.lines().skip(1).map(|line| line.parse().expect("a time")).collect();
    assert_eq!(told.len(), pulls.len());
    let late: Vec<u64> =
        told.iter().zip(&pulls).map(|(time, pull)| time.checked_sub(pull.before).expect("after")).collect();
    delays.sort_unstable();
    println!(
        "trigger to output through the kernel: middle {} µs, 99 of 100 within {} µs; the kernel's time of a trigger is \
         at most {} µs after the pull",
        delays[50],
        delays[98],
        late.iter().max().expect("there are some") / 1000
    );
}

fn start_relay(factory: &mut Factory) {
    factory.sh("rm -f /run/relay.out");
    factory.run("relay", "factory-agent relay trigger reject");
    while factory.output("relay").0 != "ready\n" {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn pictures(factory: &mut Factory) {
    let (width, height) = (320, 240);
    let files: Vec<Vec<u8>> = (0..3).map(|seed| jpeg(seed, 20_000 + 1000 * seed as usize)).collect();
    let paths = ["/tmp/0.jpg", "/tmp/1.jpg", "/tmp/2.jpg"];
    for (path, file) in paths.iter().zip(&files) {
        factory.put(path, file);
    }
    assert_eq!(factory.get(paths[2]), files[2]);
    factory.camera("MJPG", width, height);
    factory.play(25.0, &paths);
    let seen = factory.grab("/dev/video0", "MJPG", width, height, 25);
    for pair in seen.windows(2) {
        let at = files.iter().position(|file| crc32(file) == pair[0].crc32).expect("a picture that was shown");
        assert_eq!(files[at].len(), pair[0].bytes);
        let steps = (pair[1].sequence - pair[0].sequence) as usize;
        assert_eq!(crc32(&files[(at + steps) % 3]), pair[1].crc32, "in turn");
    }
    let rate = 24.0e9 / (seen[24].time - seen[0].time) as f64;
    println!("asked for 25 pictures a second, {rate:.1} came");

    let raw = noise(7, (width * height * 2) as usize);
    factory.put("/tmp/raw", &raw);
    factory.camera("YUYV", width, height);
    factory.play(10.0, &["/tmp/raw"]);
    for picture in factory.grab("/dev/video0", "YUYV", width, height, 3) {
        assert_eq!((picture.bytes, picture.crc32), (raw.len(), crc32(&raw)));
    }
    let error = factory.ask("show /tmp/0.jpg", &[]).expect_err("too short for this format");
    assert!(error.contains("does not fit"), "{error}");
    factory.freeze();
    let error = factory.ask(&format!("grab /dev/video0 YUYV {width} {height} 1"), &[]).expect_err("no picture comes");
    assert!(error.contains("no picture came"), "{error}");
}

/// Unplugging while a program reads, as by the cable: the program gets the kernel's error, and the node is gone.
fn absence(factory: &mut Factory) {
    let (width, height) = (320, 240);
    factory.put("/tmp/part.jpg", &jpeg(9, 30_000));
    factory.camera("MJPG", width, height);
    factory.play(20.0, &["/tmp/part.jpg"]);
    // A reader of its own, through the agent's second door inside the machine.
    factory.run(
        "reader",
        &format!("sh -c '(echo grab /dev/video0 MJPG {width} {height} 10000; sleep 60) | nc 127.0.0.1 7001'"),
    );
    std::thread::sleep(Duration::from_millis(500));
    let before = Instant::now();
    factory.unplug();
    let mut said = String::new();
    while !said.contains('\n') && before.elapsed() < Duration::from_secs(10) {
        said = factory.output("reader").0;
    }
    assert!(said.contains("No such device"), "{said}");
    println!("an open reader knows of the unplugged camera {:.0} ms later", before.elapsed().as_secs_f64() * 1000.0);
    factory.kill("reader", "KILL");
    assert_ne!(factory.sh("test -e /dev/video0").0, Ended::Exit(0));
    assert!(factory.ask("camera MJPG 320 240", &[]).is_err());

    factory.plug().expect("nobody holds on to it");
    let picture = factory.grab("/dev/video0", "MJPG", width, height, 2);
    assert_eq!(picture[1].bytes, 30_002, "it plays on");
}

/// A thousand parts, each with pictures and a trigger, and an answer to each: what they cost without a station.
fn parts(factory: &mut Factory) {
    factory.freeze();
    start_relay(factory);
    let passing = Passing { before: 1, after: 1, gap: Duration::ZERO, high: Duration::from_millis(1) };
    let count = 1000;
    let began = Instant::now();
    let mut last = 0;
    for i in 0..count {
        let trigger = factory.part("trigger", "/tmp/part.jpg", passing);
        assert!(trigger.before > last && trigger.after >= trigger.before);
        last = trigger.after;
        let answer = factory.wait_edge(trigger.before, Duration::from_secs(5), "reject", true);
        assert!(answer.is_some(), "part {i}: {:?}", factory.edges(trigger.before));
    }
    factory.kill("relay", "KILL");
    println!("{count} parts of two pictures, a trigger and its answer: {:.1} s", began.elapsed().as_secs_f64());
    assert!(!factory.value("trigger"), "the trigger falls after each part");
}

fn programs(factory: &mut Factory) {
    factory.put("/root/greet", b"#!/bin/sh\necho out; echo err >&2; sleep 0.2; exit 3\n");
    factory.run("greet", "/root/greet");
    assert_eq!(factory.wait("greet", Duration::from_secs(20)), Some(Ended::Exit(3)));
    assert_eq!(factory.output("greet"), ("out\n".to_string(), "err\n".to_string()));
    factory.run("sleeper", "sleep 100");
    assert_eq!(factory.wait("sleeper", Duration::from_millis(10)), None);
    factory.kill("sleeper", "TERM");
    assert_eq!(factory.wait("sleeper", Duration::from_secs(20)), Some(Ended::Signal(15)));
    factory.set_date(1_700_000_000);
    assert!(factory.sh("date -u").1.contains("2023"));
}

#[test]
fn a_disk_outlives_a_power_cut_and_a_port_leads_inside() {
    let disk = std::env::temp_dir().join(format!("shelfwatch-factory-{}.ext4", std::process::id()));
    let made = std::fs::File::create(&disk).and_then(|file| file.set_len(32 << 20));
    made.expect("the folder for temporary files can be written to");
    let setup = Setup { ports: &[8080], disk: Some(&disk), ..Setup::default() };
    let format =
        |disk| std::process::Command::new("mkfs.ext4").arg("-q").arg(disk).env("PATH", "/usr/sbin:/sbin").status();
    if !format(&disk).is_ok_and(|status| status.success()) {
        println!("skipped: a disk in the virtual factory; install e2fsprogs");
        return;
    }
    if let Some(mut factory) = Factory::start_with(&setup) {
        let (end, said) = factory.sh("echo kept >/data/synced && sync && echo lost >/data/loose && ls /data");
        assert_eq!(end, Ended::Exit(0), "{said}");
        factory.run("web", "nc -l -p 8080 -e echo inside");
        std::thread::sleep(Duration::from_millis(300));
        let mut said = String::new();
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", factory.forwarded(8080))).expect("it is forwarded");
        std::io::Read::read_to_string(&mut stream, &mut said).expect("it answers");
        assert_eq!(said, "inside\n");
        factory.cut_power();

        let mut factory = Factory::start_with(&setup).expect("it started before");
        let (_, said) = factory.sh("cat /data/synced; ls /data");
        assert!(said.contains("kept") && !said.contains("loose"), "{said}");
        factory.power_off();
    }
    let _ = std::fs::remove_file(&disk);
}
