//! A technician's way on a whole emulated device: the package, the shelf, the first alarm on the line and at the broker;
//! then a power cut, a USB stick, an upgrade and a purge. `docs/install.md` tells the same steps.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod factory;
mod line;
mod mosquitto;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use binary::argument;
use factory::{Ended, Factory, Setup, alone, prepared};
use line::{CONFIG, Figures, Line, PATIENCE, WEB, fresh, page};
use mosquitto::{Broker, Listener, until};
use serde_json::Value;
use shelfwatch::digest::{hexadecimal, sha256};
use shelfwatch::image_file::encode_jpeg;
use shelfwatch::parts::{Foreign, Product, SIDE, Stranger, Subject, draw};
use shelfwatch::shelf::{SecretKey, sign};

const EVENTS: &str = "shelfwatch/factory/virtual/cam1/event";

fn config(broker: u16) -> String {
    let text = CONFIG.replace("state = \"/run/state\"\n", "");
    let text = text.replace("/root/line.shelf", "/var/lib/shelfwatch/cam1.shelf");
    format!(
        "{text}[mqtt]\nhost = \"10.0.2.2\"\nport = {broker}\n\
         [install]\nkeys = [\"/etc/shelfwatch/plant.pub\", \"/etc/shelfwatch/other.pub\"]\nusb = true\n"
    )
}

/// Two revisions of the package for the machine, or how to get them.
fn packages() -> Option<[PathBuf; 2]> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/package");
    let version = env!("CARGO_PKG_VERSION");
    let packages = [1, 2].map(|revision| folder.join(format!("shelfwatch_{version}-{revision}_arm64.deb")));
    let made = packages.iter().all(|package| fresh(package, "cross/package.sh aarch64, also with --deb-revision 2"));
    made.then_some(packages)
}

/// A disk of its own with Debian on it.
fn disk(folder: &Path) -> Option<PathBuf> {
    let (image, disk) = (prepared().join("system.img"), folder.join("disk"));
    if !image.exists() {
        println!("skipped: a whole system in the virtual factory; run cross/virtual-factory/system.sh as root");
        return None;
    }
    let copied = Command::new("cp").arg("--sparse=always").args([&image, &disk]).status().unwrap();
    assert!(copied.success());
    Some(disk)
}

/// A stick that holds a shelf for the station.
fn stick(folder: &Path, shelf: &[u8]) -> PathBuf {
    let (image, file) = (folder.join("stick"), folder.join("stick.shelf"));
    let _ = fs::remove_file(&image);
    fs::write(&file, shelf).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let status = Command::new(program).args(arguments).env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").status();
        assert!(status.is_ok_and(|status| status.success()), "{program} {arguments:?}; install dosfstools and mtools");
    };
    let image_words = argument(&image);
    run("mkfs.vfat", &["-C", image_words, "16384"]);
    run("mmd", &["-i", image_words, "::shelfwatch", "::shelfwatch/virtual"]);
    run("mcopy", &["-i", image_words, argument(&file), "::shelfwatch/virtual/cam1.shelf"]);
    image
}

/// The line, and how long each step took.
struct Way {
    line: Line,
    begun: Instant,
}

impl Way {
    fn step(&mut self, what: &str) {
        println!("{:6.1} s  {what}", self.begun.elapsed().as_secs_f64());
        self.begun = Instant::now();
    }

    /// What a technician types, which must go well.
    #[track_caller]
    fn typed(&mut self, command: &str) -> String {
        let (ended, said) = self.line.factory.sh(command);
        assert_eq!(ended, Ended::Exit(0), "{command}\n{said}");
        self.step(command);
        said
    }

    /// The hash of the shelf that the station judges with.
    fn used(&self) -> Option<String> {
        let health: Value = serde_json::from_str(&page(self.line.factory.forwarded(WEB), "/healthz")?).ok()?;
        health["stations"][0]["shelf"].as_str().map(str::to_owned)
    }

    /// What the stick's service said when it had ended.
    fn plugged(&mut self, image: &Path) -> String {
        let said = "journalctl --no-pager -o cat -u 'shelfwatch-stick@*'";
        let ended = |said: &str| {
            said.matches("shelfwatch-stick@sda.service: Deactivated").count()
                + said.matches("shelfwatch-stick@sda.service: Failed").count()
        };
        let before = ended(&self.line.factory.sh(said).1);
        self.line.factory.plug_stick(image);
        let begun = Instant::now();
        loop {
            let log = self.line.factory.sh(said).1;
            if ended(&log) > before {
                self.step("a stick was plugged in and read");
                self.line.factory.unplug_stick();
                return log;
            }
            assert!(begun.elapsed() < PATIENCE, "{log}\n{}", self.line.factory.sh("journalctl --no-pager -n 50").1);
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }

    fn show_good_parts(&mut self) {
        let jpeg = |subject| encode_jpeg(&draw(subject, 900, SIDE).frame, 95).unwrap();
        self.line.factory.put("/run/good.jpg", &jpeg(Subject::Product(Product::ALL[0])));
        self.line.factory.put("/run/other.jpg", &jpeg(Subject::Product(Product::ALL[1])));
        self.line.factory.put("/run/strange.jpg", &jpeg(Subject::Stranger(Stranger::Foreign(Foreign::ALL[0]))));
        self.line.factory.camera("MJPG", SIDE, SIDE);
        self.line.factory.play(5.0, &["/run/good.jpg", "/run/other.jpg"]);
    }

    /// A strange part before the camera is one on the line and at the broker.
    fn alarm(&mut self, listener: &Listener) {
        let told = |listener: &Listener| {
            let events = listener.on(EVENTS);
            events.iter().filter(|text| text.contains("\"kind\":\"reject\"")).count()
        };
        let before = told(listener);
        let pull = self.line.pass("/run/strange.jpg");
        self.line.pulse(pull.before, "reject");
        until("the event at the broker", || told(listener) > before);
        self.step("a strange part: the reject line's pulse, the event at the broker");
        self.line.factory.play(5.0, &["/run/good.jpg", "/run/other.jpg"]);
    }
}

const FILES: &str = "find / -xdev \\( -path /root -o -path /tmp -o -path /var/log -o -path /var/tmp -o -path /var/lib/systemd \\) \
                     -prune -o -print | sort";

#[test]
fn from_an_empty_device_to_the_first_alarm_and_back() {
    let alone = alone();
    let Some([first, second]) = packages() else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = disk(folder.path()) else { return };
    let Some(broker) = Broker::start() else { return };
    let listener = Listener::new(broker.port, "shelfwatch/#");
    let setup = Setup { ports: &[WEB], system: Some(&disk), ..Setup::default() };
    let begun = Instant::now();
    let Some(factory) = Factory::start_with(&setup) else { return };
    println!("{:6.1} s  power-on to the agent", begun.elapsed().as_secs_f64());
    let line = Line::around(factory, alone);
    let mut way = Way { line, begun: Instant::now() };
    let files = way.line.factory.sh(FILES).1;

    // The same shelf by two keys is two files.
    let keys = [(); 2].map(|()| SecretKey::generate().unwrap());
    let plain = fs::read(way.line.shelf()).unwrap();
    let signed = sign(&plain, &keys[0]).unwrap();
    way.line.factory.put("/root/shelfwatch.deb", &fs::read(first).unwrap());
    way.line.factory.put("/root/newer.deb", &fs::read(second).unwrap());
    way.line.factory.put("/root/line.shelf", &signed);
    way.show_good_parts();
    way.begun = Instant::now();

    way.typed("dpkg -i /root/shelfwatch.deb");
    for (key, name) in keys.iter().zip(["plant.pub", "other.pub"]) {
        let file = folder.path().join(name);
        key.public().write(&file).unwrap();
        way.line.factory.put(&format!("/etc/shelfwatch/{name}"), &fs::read(file).unwrap());
    }
    way.line.factory.put("/etc/shelfwatch/station.toml", config(broker.port).as_bytes());
    let said = way.typed("shelfwatch install /root/line.shelf");
    assert!(said.contains("proven: 6 golden images score here as where it was fitted"), "{said}");
    println!("{}", way.typed("shelfwatch doctor --config /etc/shelfwatch/station.toml"));
    way.typed("systemctl enable --now shelfwatch");
    way.line.until("the station is ready", Figures::ready);
    way.step("READY");
    way.line.assert_run_ok();
    way.line.pass("/run/good.jpg");
    way.step("the first verdict");
    way.alarm(&listener);
    let rights = way.typed("stat -c '%U %G' /proc/$(systemctl show -P MainPID shelfwatch) /dev/gpiochip* /dev/video0");
    assert!(
        rights.starts_with("shelfwatch shelfwatch\n") && rights.contains("root gpio") && rights.contains("root video"),
        "{rights}"
    );

    // systemd's own opinion of the units, in tenths: the stick's must mount, and so be root.
    way.typed("systemd-analyze security --no-pager --threshold=20 shelfwatch.service");
    way.typed("systemd-analyze security --no-pager --threshold=45 shelfwatch-stick@sda.service");

    // The power goes, and comes back.
    way.typed("sync");
    way.line.factory.cut_power();
    let begun = Instant::now();
    way.line.factory = Factory::start_with(&setup).unwrap();
    way.show_good_parts();
    way.line.until("the station is ready again", Figures::ready);
    way.line.pass("/run/good.jpg");
    println!("{:6.1} s  power-on to the first verdict, without a hand", begun.elapsed().as_secs_f64());
    way.begun = Instant::now();
    way.alarm(&listener);

    // Sticks: a stranger's, a good one.
    let foreign = sign(&plain, &SecretKey::generate().unwrap()).unwrap();
    let said = way.plugged(&stick(folder.path(), &foreign));
    assert!(said.contains("a key that is not trusted here"), "{said}");
    assert_eq!(way.used(), Some(hexadecimal(&sha256(&signed))));
    way.line.pass("/run/good.jpg");
    let other = sign(&plain, &keys[1]).unwrap();
    let said = way.plugged(&stick(folder.path(), &other));
    assert!(said.contains("daemon: judges parts with it"), "{said}");
    assert_eq!(way.used(), Some(hexadecimal(&sha256(&other))));
    way.alarm(&listener);

    way.typed("dpkg -i --force-confold /root/newer.deb");
    way.line.until("the station is ready after the upgrade", Figures::ready);
    way.step("READY with the newer package");
    let said = way.typed("dpkg-query -W -f '${Version} ${Status}' shelfwatch");
    assert!(said.ends_with("-2 install ok installed"), "{said}");
    assert_eq!(way.used(), Some(hexadecimal(&sha256(&other))));

    way.typed("dpkg --purge shelfwatch");
    let left = way.line.factory.sh(FILES).1;
    let before: Vec<&str> = files.lines().collect();
    let left: Vec<&str> = left.lines().filter(|path| !before.contains(path)).collect();
    // The user stays, so that its number is given to nobody else.
    let known = |path: &&str| path.starts_with("/var/lib/dpkg") || path.starts_with("/etc/") && path.ends_with('-');
    let left: Vec<&str> = left.into_iter().filter(|path| !known(path)).collect();
    assert!(left.is_empty(), "left behind: {left:#?}");
    way.line.factory.power_off();
}
