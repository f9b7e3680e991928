//! `doctor` on made-up machines: each thing that may be wrong is found and has a remedy.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod drawn;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use shelfwatch::config::{Config, LineRef, Station};
use shelfwatch::device::doctor::{Finding, FoundLine, Probes, ProvenShelf, Report, SeenImage, State, examine};

/// A device made of files: a configuration with its folders, and a root for the kernel's.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(more: &str) -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        for folder in ["state", "in", "done", "root"] {
            fs::create_dir(bench.at(folder)).unwrap();
        }
        bench.write("root/proc/meminfo", "MemTotal: 4000000 kB\nMemFree: 1 kB\nMemAvailable: 2000000 kB\n");
        bench.write("root/proc/self/status", "Name:\tx\nUid:\t7\t7\t7\t7\nGid:\t7\t7\t7\t7\nGroups:\t44 997 \n");
        bench.write("root/proc/self/mountinfo", "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n");
        bench.write("root/etc/passwd", "root:x:0:0::/root:/bin/sh\nshelfwatch:x:7:7::/:/bin/false\n");
        bench.write("root/etc/group", "video:x:44:\ngpio:x:997:shelfwatch\n");
        bench.write("root/run/systemd/timesync/synchronized", "");
        bench.write("root/sys/class/thermal/thermal_zone0/temp", "48312\n");
        let head = "site = \"s\"\ndevice = \"d\"\nstate = \"state\"\n[[station]]\nname = \"a\"\nshelf = \"a.shelf\"\n";
        bench.write("station.toml", &format!("{head}{more}"));
        bench
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn examine(&self, probes: &Probes<'_>) -> Report {
        examine(&self.at("station.toml"), &self.at("root"), probes)
    }

    fn found(&self, check: &str) -> Finding {
        found(&self.examine(&Probes::default()), check)
    }
}

const FOLDER: &str = "source.folder = { path = \"in\", after = \"move\", moved_to = \"done\" }
[journal]
image_megabytes = 1
";

const CAMERA: &str = "source.v4l2.device = \"/dev/video0\"
reject = { chip = \"c\", line = 1 }
review = { chip = \"c\", line = 2 }
trigger.gpio.input = { chip = \"c\", line = 3 }
[run_ok]
line = \"ok\"
[clear]
line = \"clear\"
[journal]
image_megabytes = 1
";

fn found(report: &Report, check: &str) -> Finding {
    let one = report.findings.iter().find(|finding| finding.check == check);
    one.unwrap_or_else(|| panic!("no {check} in {report:#?}")).clone()
}

/// Whether the finding has that state and those words, and a remedy where something is to be done.
fn is(finding: &Finding, state: State, words: &str) {
    assert_eq!(finding.state, state, "{finding:?}");
    assert!(finding.text.contains(words), "{finding:?}");
    let to_do = matches!(state, State::Warning | State::Failed);
    assert_eq!(finding.remedy.is_some(), to_do, "{finding:?}");
}

#[test]
fn all_is_well() {
    let bench = Bench::new(CAMERA);
    let proven = |_: &Config, _: &Station| Ok(ProvenShelf { product: "bolts".to_owned(), golden: 3, size: [224, 224] });
    let image = |_: &Station, size: Option<[u32; 2]>| {
        assert_eq!(size, Some([224, 224]));
        Ok(SeenImage { width: 640, height: 480, fault: None })
    };
    let line = |line: &shelfwatch::config::Line| Ok(FoundLine { place: format!("{:?}", line.line), consumer: None });
    let report = bench.examine(&Probes { shelf: Some(&proven), image: Some(&image), line: Some(&line), broker: None });
    assert!(report.findings.iter().all(|finding| finding.state == State::Ok), "{report:#?}");
    assert!(!report.has_failed());
    let checks: Vec<&str> = report.findings.iter().map(|finding| finding.check.as_str()).collect();
    let wanted = "config, shelf a, camera a, output run_ok, input clear, output reject a, output review a, \
        input trigger a, state, space, user, clock, memory, heat";
    assert_eq!(checks.join(", "), wanted);
    assert!(found(&report, "shelf a").text.contains("of bolts reproduces its 3 golden images"));
}

#[test]
fn a_bad_configuration_is_shown_whole_and_the_machine_is_checked_all_the_same() {
    let bench = Bench::new("timeout_ms = 1\nsourc.folder = 3\n");
    let report = bench.examine(&Probes::default());
    let problems: Vec<_> = report.findings.iter().filter(|finding| finding.check == "config").collect();
    assert_eq!(problems.len(), 3, "{report:#?}");
    for problem in problems {
        is(problem, State::Failed, "");
    }
    is(&found(&report, "stations"), State::Skipped, "must be right first");
    is(&found(&report, "clock"), State::Ok, "");
    assert!(report.has_failed());
    fs::remove_file(bench.at("station.toml")).unwrap();
    is(&bench.found("config"), State::Failed, "cannot be read");
}

#[test]
fn shelf_and_camera_say_what_is_wrong() {
    let bench = Bench::new(CAMERA);
    is(&bench.found("shelf a"), State::Skipped, "");
    let shelf = |_: &Config, _: &Station| Err("a.shelf is short; copy it again".to_owned());
    let black = |_: &Station, _| {
        let fault = Some("image is black; check the light".to_owned());
        Ok(SeenImage { width: 1, height: 1, fault })
    };
    let report = bench.examine(&Probes { shelf: Some(&shelf), image: Some(&black), ..Probes::default() });
    is(&found(&report, "shelf a"), State::Failed, "a.shelf is short");
    is(&found(&report, "camera a"), State::Failed, "image is black");
    let lost = |_: &Station, _| Err("camera is lost; plug it in".to_owned());
    let report = bench.examine(&Probes { image: Some(&lost), ..Probes::default() });
    assert_eq!(found(&report, "camera a").remedy.unwrap(), "plug it in");
}

#[test]
fn lines_are_there_free_and_used_once() {
    let bench = Bench::new(CAMERA);
    let line = |line: &shelfwatch::config::Line| {
        let (place, consumer) = match &line.line {
            LineRef::Offset(1) => ("c:1", Some("spi0 CS0")),
            LineRef::Offset(2) => ("c:2", Some("shelfwatch review")),
            LineRef::Name(name) if name == "clear" => ("c:3", None),
            LineRef::Offset(3) => ("c:3", None),
            _ => return Err("there is no line ok; did you mean GPIO1?".to_owned()),
        };
        Ok(FoundLine { place: place.to_owned(), consumer: consumer.map(str::to_owned) })
    };
    let report = bench.examine(&Probes { line: Some(&line), ..Probes::default() });
    is(&found(&report, "output run_ok"), State::Failed, "no line ok");
    is(&found(&report, "output reject a"), State::Failed, "c:1 is held by spi0 CS0");
    is(&found(&report, "output review a"), State::Warning, "held by a running shelfwatch");
    is(&found(&report, "input clear"), State::Ok, "c:3 is free");
    is(&found(&report, "input trigger a"), State::Failed, "c:3 is used by another");
}

#[test]
fn folders_can_be_written_and_files_moved() {
    let bench = Bench::new(FOLDER);
    is(&bench.found("folder a"), State::Ok, "can be read and written");
    is(&bench.found("state"), State::Ok, "can be written on ext4");
    is(&bench.found("space"), State::Ok, "MB are free");
    assert_eq!(fs::read_dir(bench.at("in")).unwrap().count(), 0, "something was left behind");
    fs::remove_dir(bench.at("done")).unwrap();
    is(&bench.found("folder a"), State::Failed, "done is missing");
    fs::remove_dir(bench.at("state")).unwrap();
    is(&bench.found("state"), State::Failed, "state is missing");
    let bench = Bench::new(&FOLDER.replace("image_megabytes = 1", "image_megabytes = 100_000_000"));
    is(&bench.found("space"), State::Warning, "of 100000200 MB");
    let bench = Bench::new(&FOLDER.replace("[journal]\nimage_megabytes = 1", "[journal]\nintent = \"nowhere\""));
    is(&bench.found("intent"), State::Failed, "nowhere is missing");

    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
    let bench = Bench::new(&FOLDER.replace("\"done\"", &format!("{:?}", elsewhere.path())));
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    if device(elsewhere.path()) == device(bench.folder.path()) {
        println!("skipped: /dev/shm is no file system of its own");
        return;
    }
    is(&bench.found("folder a"), State::Failed, "different file systems");
}

#[test]
fn a_file_system_that_forgets_is_named() {
    let bench = Bench::new(FOLDER);
    let mounts = |kind: &str| {
        let state = bench.at("state").canonicalize().unwrap();
        let all = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\nbroken line\n";
        bench.write("root/proc/self/mountinfo", &format!("{all}23 22 0:4 / {} rw - {kind} x rw\n", state.display()));
        bench.found("state")
    };
    is(&mounts("tmpfs"), State::Warning, "forgets the journal");
    is(&mounts("overlay"), State::Warning, "forgets the journal");
    is(&mounts("vfat"), State::Warning, "can be damaged");
    is(&mounts("xfs"), State::Ok, "on xfs");
}

#[test]
fn the_broker_answers_and_its_files_are_closed() {
    let mqtt = "[mqtt]\nhost = \"broker.local\"\nuser = \"u\"\npassword_file = \"pw\"\n";
    let bench = Bench::new(&FOLDER.replace("[journal]\nimage_megabytes = 1\n", mqtt));
    let let_in = |_: &_, _: &_| Ok("broker.local let us in".to_owned());
    let broker = || found(&bench.examine(&Probes { broker: Some(&let_in), ..Probes::default() }), "broker");
    is(&broker(), State::Failed, "pw cannot be read");
    bench.write("pw", "hush");
    fs::set_permissions(bench.at("pw"), fs::Permissions::from_mode(0o644)).unwrap();
    is(&broker(), State::Warning, "all users may read");
    fs::set_permissions(bench.at("pw"), fs::Permissions::from_mode(0o640)).unwrap();
    is(&broker(), State::Ok, "let us in");
    let refused = |_: &_, _: &_| Err("the broker refuses the password; correct it".to_owned());
    let report = bench.examine(&Probes { broker: Some(&refused), ..Probes::default() });
    is(&found(&report, "broker"), State::Failed, "refuses the password");
    is(&bench.found("broker"), State::Skipped, "without a probe");
}

#[test]
fn the_machine_is_looked_at() {
    let bench = Bench::new(CAMERA);
    bench.write("root/proc/meminfo", "MemTotal: 500000 kB\nMemAvailable: 100000 kB\n");
    is(&bench.found("memory"), State::Warning, "102 MB of 512 MB");
    fs::remove_file(bench.at("root/proc/meminfo")).unwrap();
    is(&bench.found("memory"), State::Skipped, "");
    fs::remove_dir_all(bench.at("root/run")).unwrap();
    is(&bench.found("clock"), State::Warning, "set by no time server");
    bench.write("root/sys/class/thermal/thermal_zone1/temp", "85000\n");
    is(&bench.found("heat"), State::Warning, "85 °C, where boards begin to slow down");
    for (bits, state, words) in [
        ("0x50005", State::Failed, "supply voltage is too low"),
        ("0x4", State::Warning, "is slowed down"),
        ("0x50000", State::Warning, "was slowed down since"),
    ] {
        bench.write("root/sys/devices/platform/soc/soc:firmware/get_throttled", bits);
        is(&bench.found("heat"), state, words);
    }
    bench.write("root/etc/group", "video:x:44:\ngpio:x:998:shelfwatch\n");
    is(&bench.found("user"), State::Warning, "shelfwatch is not in the group gpio");
    bench.write("root/proc/self/status", "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t0\n");
    is(&bench.found("user"), State::Warning, "root may do everything");
}

#[test]
fn the_program_prints_and_exits() {
    let bench = Bench::new(FOLDER);
    let run = |options: &[&str]| {
        let program = env!("CARGO_BIN_EXE_shelfwatch");
        let mut command = Command::new(program);
        command.arg("doctor").arg("--config").arg(bench.at("station.toml")).args(options);
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (_, text) = run(&[]);
    assert!(text.lines().next().unwrap().starts_with("ok   config "), "{text}");
    assert!(text.lines().last().unwrap().contains(" failed, "), "{text}");
    let (code, text) = run(&["--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let states = json["findings"].as_array().unwrap().iter().map(|finding| finding["state"].as_str().unwrap());
    assert_eq!(code, if states.into_iter().any(|state| state == "failed") { 2 } else { 0 });
    bench.write("station.toml", "x");
    assert_eq!(run(&[]).0, 2);
}

/// The program itself on a fitted shelf and on garbage; what this machine lacks is not looked at.
#[test]
fn the_program_tries_shelf_and_camera() {
    let bench = Bench::new(FOLDER);
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shelfwatch"));
        let output =
            command.arg("doctor").arg("--json").arg("--config").arg(bench.at("station.toml")).output().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = json["findings"].as_array().unwrap().clone();
        let finding = move |check: &str| {
            let one = findings.iter().find(|finding| finding["check"] == check);
            let one = one.unwrap_or_else(|| panic!("no {check} in {findings:#?}"));
            ["state", "text", "remedy"].map(|key| one[key].as_str().unwrap_or_default().to_owned())
        };
        (output.status.code().unwrap(), finding)
    };
    let folder = bench.folder.path();
    drawn::good(&folder.join("good"), 12, 1);
    drawn::good(&folder.join("more"), 10, 2);
    let more = bench.at("more");
    let more = ["--calibrate", binary::argument(&more), "--alpha-reject", "0.05", "--alpha-review", "0.1"];
    let answer = drawn::fit(&bench.at("good"), &bench.at("a.shelf"), &more);
    assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
    let (_, finding) = run();
    let [state, text, _] = finding("shelf a");
    assert!(state == "ok" && text.contains("golden image"), "{state}: {text}");
    assert_eq!(finding("folder a")[0], "ok");

    // Two images of noise, a black one, and a source that gives nothing.
    let noise = (0..2 * 8 * 8 * 3).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>();
    fs::write(bench.at("noise"), noise).unwrap();
    fs::write(bench.at("black"), vec![3; 8 * 8 * 3]).unwrap();
    let head = fs::read_to_string(bench.at("station.toml")).unwrap().replace(FOLDER, "");
    let source = |file: &str| {
        let (file, frames) = (bench.at(file), "frames = { raw = { format = \"rgb24\", width = 8, height = 8 } }");
        let command =
            format!("[station.source.command]\ncommand = [\"sh\", \"-c\", \"cat {}; sleep 60\"]", file.display());
        bench.write("station.toml", &format!("{head}roi = [2, 1, 4, 5]\n{command}\n{frames}\n"));
        run().1("camera a")
    };
    let [state, text, _] = source("noise");
    assert!(state == "ok" && text.contains("4 × 5 pixels are judged"), "{state}: {text}");
    let [state, text, remedy] = source("black");
    assert!(state == "failed" && !remedy.is_empty(), "{state}: {text}");

    fs::write(bench.at("a.shelf"), "garbage").unwrap();
    let (code, finding) = run();
    let [state, text, remedy] = finding("shelf a");
    assert!(code == 2 && state == "failed" && text.contains("a.shelf"), "{state}: {text}");
    assert!(!remedy.is_empty(), "{text} has no remedy");
}

/// The settings of the broker are checked before anything is connected, by `doctor` and by `run`.
#[test]
fn the_brokers_settings_are_checked_first() {
    let mqtt = "[mqtt]\nhost = \"127.0.0.1\"\nport = 9\nuser = \"u\"\npassword_file = \"pw\"\n";
    let bench = Bench::new(&FOLDER.replace("[journal]\nimage_megabytes = 1\n", mqtt));
    bench.write("pw", "\nhush");
    let run = |verb: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shelfwatch"));
        let output = command.arg(verb).arg("--config").arg(bench.at("station.toml")).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout) + &text(output.stderr))
    };
    for verb in ["doctor", "run"] {
        let (code, text) = run(verb);
        assert!(code == 2 && text.contains("has an empty first line"), "{verb}: {text}");
    }
    assert!(fs::read_dir(bench.at("state")).unwrap().next().is_none(), "the journal was begun");
}
