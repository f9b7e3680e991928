//! The power goes while a shelf is installed on an emulated device, at any moment and again and again: the device always
//! comes up with a whole shelf that it has proven, without a person. `SHELFWATCH_CUTS` is how often (4).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod factory;
mod line;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use binary::{argument, shelfwatch};
use factory::{Ended, Factory, Setup, alone};
use line::{PATIENCE, WEB, daemon, page};
use serde_json::Value;
use shelfwatch::digest::{hexadecimal, sha256};
use shelfwatch::seed::Seed;
use shelfwatch::shelf::{SecretKey, sign};

const CONFIG: &str = r#"
site = "factory"
device = "virtual"
state = "/data/state"
[[station]]
name = "cam1"
shelf = "/data/cam1.shelf"
source.folder = { path = "/data/in", after = "delete" }
[run_ok]
chip = "shelfwatch-sim"
line = "run_ok"
period_ms = 100
[install]
keys = ["/data/0.pub", "/data/1.pub"]
[web]
listen = "0.0.0.0:9464"
"#;
const RUN: &str = "/data/shelfwatch run --config /data/station.toml";

/// A disk with program, configuration, and the same shelf signed by two keys; gives the hashes of the two files.
fn disk(folder: &Path, program: &Path) -> Option<[String; 2]> {
    let demo = folder.join("demo");
    let answer = shelfwatch(["demo", "--seed", "1", "--parts", "1", "--out", argument(&demo)]);
    assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
    let (data, plain) = (folder.join("data"), fs::read(demo.join("line.shelf")).unwrap());
    for empty in ["state", "in"] {
        fs::create_dir_all(data.join(empty)).unwrap();
    }
    fs::copy(program, data.join("shelfwatch")).unwrap();
    fs::write(data.join("station.toml"), CONFIG).unwrap();
    let hashes = [0, 1].map(|number| {
        let key = SecretKey::generate().unwrap();
        key.public().write(&data.join(format!("{number}.pub"))).unwrap();
        let signed = sign(&plain, &key).unwrap();
        fs::write(data.join(format!("{number}.shelf")), &signed).unwrap();
        hexadecimal(&sha256(&signed))
    });
    fs::copy(data.join("0.shelf"), data.join("cam1.shelf")).unwrap();
    let made = Command::new("mke2fs")
        .args(["-q", "-t", "ext4", "-d", argument(&data), argument(&folder.join("disk")), "256M"])
        .env("PATH", "/usr/sbin:/sbin")
        .status();
    if !made.is_ok_and(|status| status.success()) {
        println!("skipped: power cuts during an installation; install e2fsprogs");
        return None;
    }
    Some(hashes)
}

/// The hash of the shelf with which the daemon vouches for its parts.
fn used(port: u16) -> Option<String> {
    let health: Value = serde_json::from_str(&page(port, "/healthz")?).ok()?;
    let ready = health["ready"] == true;
    health["stations"][0]["shelf"].as_str().filter(|_| ready).map(str::to_owned)
}

/// From power-on until the daemon vouches for its parts, and RUN-OK with it.
fn power_on(disk: &Path) -> Option<(Factory, String)> {
    let mut factory = Factory::start_with(&Setup { ports: &[WEB], disk: Some(disk), ..Setup::default() })?;
    factory.run("station", RUN);
    let (port, begun) = (factory.forwarded(WEB), Instant::now());
    let hash = loop {
        if let Some(hash) = used(port) {
            break hash;
        }
        assert!(begun.elapsed() < PATIENCE, "{}", factory.output("station").1);
        std::thread::sleep(Duration::from_millis(100));
    };
    let now = factory.now();
    assert!(factory.wait_edge(now, PATIENCE, "run_ok", true).is_some(), "{}", factory.output("station").1);
    Some((factory, hash))
}

#[test]
fn whenever_the_power_goes_the_device_comes_up_with_a_proven_shelf() {
    let _alone = alone();
    let Some(program) = daemon() else { return };
    let folder = tempfile::tempdir().unwrap();
    // First a machine: where it cannot be had, the disk is not needed.
    let Some(first) = Factory::start(&[]) else { return };
    drop(first);
    let Some(hashes) = disk(folder.path(), &program) else { return };
    let disk = folder.path().join("disk");
    let cuts: u32 = std::env::var("SHELFWATCH_CUTS").map_or(4, |cuts| cuts.parse().unwrap());

    // How long it takes, so that the cuts fall into it.
    let (mut factory, hash) = power_on(&disk).unwrap();
    assert_eq!(hash, hashes[0]);
    let begun = Instant::now();
    let (ended, said) = factory.sh("/data/shelfwatch install /data/1.shelf --config /data/station.toml");
    assert_eq!(ended, Ended::Exit(0), "{said}");
    assert!(said.contains("judges parts with it"), "{said}");
    let (whole, mut next) = (begun.elapsed(), 0);
    assert_eq!(used(factory.forwarded(WEB)), Some(hashes[1].clone()));
    drop(factory);
    println!("an installation takes {:.1} s", whole.as_secs_f64());

    let (mut random, mut switched, mut slowest) = (Seed::new(4), 0, Duration::ZERO);
    for cut in 0..=cuts {
        let begun = Instant::now();
        let (mut factory, hash) = power_on(&disk).unwrap();
        slowest = slowest.max(begun.elapsed());
        let place = hashes.iter().position(|known| *known == hash);
        let place = place.unwrap_or_else(|| panic!("after {cut} cuts it judges with something else"));
        switched += u32::from(place == next);
        let log = factory.output("station").1;
        assert!(log.contains("proven: golden images got their scores"), "{log}");
        next = 1 - place;
        factory.run("install", &format!("/data/shelfwatch install /data/{next}.shelf --config /data/station.toml"));
        // More often in the first half, where the files change; in the second it waits for the daemon.
        std::thread::sleep(whole.mul_f32(random.between(0.0, 1.0).powi(2)));
        drop(factory);
    }
    println!(
        "{cuts} cuts: the new shelf was in use after {switched} of them; from power-on to READY at most {slowest:?}"
    );
}
