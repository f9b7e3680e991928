//! The configuration through its public door: what is taken, and that each mistake is named with its line and remedy.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use proptest::prelude::{any, prop, prop_assert_eq, proptest};
use shelfwatch::config::{Config, ConfigError, Frames, LineRef, Source, Trigger};

/// The least that is a configuration; 8 lines.
const LEAST: &str = "site = \"plant\"
device = \"line3\"
[[station]]
name = \"cam1\"
shelf = \"cam1.shelf\"
[station.source.v4l2]
device = \"/dev/video0\"
";

/// One that uses most of what there is.
const FULL: &str = r#"site = "plant"
device = "line3"
[[station]]
name = "cam1"
shelf = "cam1.shelf"
roi = [0, 0, 640, 480]
[station.source.command]
command = ["./grab", "rtsp://user:hush@10.0.0.2/1"]
frames = { raw = { format = "yuyv", width = 640, height = 480 } }
[station.trigger.gpio]
input = { chip = "gpiochip0", line = 23, bias = "pull-up" }
falling = true
[station.decide]
k = 2
n = 3
[station.reject]
chip = "gpiochip0"
line = 17
delay_ms = 400
late = "stop"
[station.review]
line = "GPIO27"
width_ms = 0
[[station]]
name = "cam2"
shelf = "/etc/cam2.shelf"
source = { folder = { path = "in", after = "move", moved_to = "done" } }
trigger = { mqtt = { delay_ms = 20 } }
[run_ok]
line = "GPIO22"
[clear]
line = "GPIO24"
[mqtt]
host = "broker.local"
user = "u"
password_file = "mqtt.password"
ca_file = "ca.pem"
client_cert = "c.pem"
client_key = "c.key"
[journal]
intent = "/run/shelfwatch"
[web]
listen = ""
"#;

/// All that is wrong with the text, a line each.
fn wrong(text: &str) -> Vec<String> {
    let error = Config::parse(text).unwrap_err();
    assert!(!error.problems().is_empty());
    error.problems().iter().map(ToString::to_string).collect()
}

/// The only thing that is wrong with the text.
fn mistake(text: &str) -> String {
    let all = wrong(text);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.into_iter().next().unwrap()
}

/// What is wrong after one replacement in [`FULL`].
fn changed(from: &str, to: &str) -> String {
    assert_eq!(FULL.matches(from).count(), 1, "{from}");
    mistake(&FULL.replace(from, to))
}

#[test]
fn the_least_has_all_defaults() {
    let config = Config::parse(LEAST).unwrap();
    let station = &config.station[0];
    assert_eq!(config.state, Path::new("/var/lib/shelfwatch"));
    assert_eq!((station.timeout_ms, station.deadline_ms, station.threads), (2000, 1000, 1));
    assert_eq!(station.trigger, Trigger::Free { rate: None });
    assert_eq!((station.decide.k, station.decide.n), (1, 1));
    assert_eq!(config.web.listen.unwrap().to_string(), "127.0.0.1:9464");
    assert_eq!(config.sha256().len(), 64);
    assert_ne!(config.sha256(), Config::parse(&format!("{LEAST}# a word")).unwrap().sha256());
}

#[test]
fn the_full_one_is_read() {
    let config = Config::parse(FULL).unwrap();
    let Source::Command { frames, .. } = &config.station[0].source else { panic!("{:?}", config.station[0]) };
    assert_eq!(frames, &Frames::Raw { format: "yuyv".to_owned(), width: 640, height: 480 });
    assert_eq!(config.station[0].reject.as_ref().unwrap().line, LineRef::Offset(17));
    assert_eq!(config.run_ok.as_ref().unwrap().line, LineRef::Name("GPIO22".to_owned()));
    assert_eq!(config.web.listen, None);
    assert_eq!(config.station("cam2").unwrap().trigger, Trigger::Mqtt { delay_ms: 20, window_ms: 500 });
}

#[test]
fn relative_paths_start_at_the_files_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("station.toml");
    fs::write(&file, FULL.replace("path = \"in\"", "path = \"../in/./x\"")).unwrap();
    let config = Config::load(&file).unwrap();
    let at = |name: &str| folder.path().join(name);
    assert_eq!(config.station[0].shelf, at("cam1.shelf"));
    assert_eq!(config.station[1].shelf, Path::new("/etc/cam2.shelf"));
    let Source::Command { command, .. } = &config.station[0].source else { panic!() };
    assert_eq!(command[0], at("./grab").to_str().unwrap());
    let Source::Folder { path, moved_to, .. } = &config.station[1].source else { panic!() };
    assert_eq!(path, &folder.path().parent().unwrap().join("in/x"));
    assert_eq!(moved_to.as_deref(), Some(at("done").as_path()));
    let mqtt = config.mqtt.unwrap();
    assert_eq!(mqtt.password_file, Some(at("mqtt.password")));
    assert_eq!(mqtt.client_key, Some(at("c.key")));
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("station.toml");
    let words = Config::load(&file).unwrap_err().to_string();
    assert!(words.contains("station.toml cannot be read") && words.contains("; check the path"), "{words}");
    fs::write(&file, [b'#', 0xff]).unwrap();
    assert!(matches!(Config::load(&file), Err(ConfigError::Read { .. })));
    fs::write(&file, vec![b'#'; 2 << 20]).unwrap();
    assert!(Config::load(&file).unwrap_err().to_string().contains("longer than 1 MiB"));
    fs::write(&file, LEAST.replace("name", "nam")).unwrap();
    let words = Config::load(&file).unwrap_err().to_string();
    assert!(words.starts_with(&format!("configuration {} has 2 errors\n  ", file.display())), "{words}");
}

#[test]
fn unknown_keys_are_named_with_the_nearest() {
    let source = |key: &str| mistake(&format!("{LEAST}{key} = 1\n"));
    assert_eq!(source("widht"), "unknown key `widht` in [station.source.v4l2] at line 8; did you mean `width`?");
    assert_eq!(source("HEIGHT"), "unknown key `HEIGHT` in [station.source.v4l2] at line 8; did you mean `height`?");
    assert_eq!(
        source("retry_delay"),
        "unknown key `retry_delay` in [station.source.v4l2] at line 8; the keys here are device, format, fps, height, width"
    );
    assert_eq!(
        source("black_below"),
        "unknown key `black_below` in [station.source.v4l2] at line 8; that key belongs in [station.health]"
    );
    assert!(changed("[web]", "[wep]").ends_with("did you mean `web`?"));
    assert!(changed("late = \"stop\"", "late = \"stop\"\nwidth-ms = 3").ends_with("did you mean `width_ms`?"));
    let words = mistake(&LEAST.replace("v4l2", "v4l"));
    assert_eq!(words, "unknown key `v4l` in [station.source] at line 6; did you mean `v4l2`?");
    let words = mistake(&format!("{LEAST}\"a\\nb\\u0000{}\" = 1\n", "x".repeat(1000)));
    assert!(words.len() < 250 && !words.contains('\n'), "{words}");
}

#[test]
fn wrong_types_are_named_with_what_is_expected() {
    for (from, to, words) in [
        ("k = 2", "k = \"2\"", "`k` in [station.decide] at line 14 is a text; write a whole number"),
        ("k = 2", "k = 2.5", "is a number with a point; write a whole number"),
        ("k = 2", "k = 2026-01-01", "is a date; write a whole number"),
        ("falling = true", "falling = 1", "is a whole number; write true or false"),
        ("line = 17", "line = true", "is true or false; write a whole number or a text in quotes"),
        ("roi = [0, 0, 640, 480]", "roi = 4", "is a whole number; write a list"),
        ("roi = [0, 0, 640, 480]", "roi = [0, 0, 640]", "has 3 values; give 4"),
        ("roi = [0, 0, 640, 480]", "roi = [0, 0, 640, \"a\"]", "is a text; write a whole number"),
        ("late = \"stop\"", "late = \"stopp\"", "is \"stopp\"; write \"now\" or \"stop\""),
        ("bias = \"pull-up\"", "bias = 1", "write \"pull-up\", \"pull-down\" or \"disabled\""),
        ("format = \"yuyv\"", "format = \"yuy2\"", "is \"yuy2\"; write \"yuyv\", \"grey\", \"nv12\" or \"rgb24\""),
        (
            "frames = { raw = { format = \"yuyv\", width = 640, height = 480 } }",
            "frames = \"png\"",
            "is \"png\"; write \"mjpeg\" or [station.source.command.frames.raw]",
        ),
        ("host = \"broker.local\"", "host = [1]", "is a list; write a text in quotes"),
        (
            "listen = \"\"",
            "listen = \"localhost\"",
            "is \"localhost\", no address with a port; write it as \"127.0.0.1:9464\"",
        ),
        (
            "trigger = { mqtt = { delay_ms = 20 } }",
            "trigger = \"mqtt\"",
            "`trigger` in [station] at line 28 is a text; write [station.trigger.free], [station.trigger.gpio] or [station.trigger.mqtt]",
        ),
        ("trigger = { mqtt = { delay_ms = 20 } }", "trigger = {}", "is empty; write [station.trigger.free]"),
        (
            "trigger = { mqtt = { delay_ms = 20 } }",
            "trigger = { free = {}, mqtt = {} }",
            "holds `free` and `mqtt`; keep one of them",
        ),
    ] {
        let found = changed(from, to);
        assert!(found.contains(words), "{to}: {found}");
    }
    assert!(mistake("site = \"a\"\ndevice = \"b\"\nstation = 3\n").contains("is a whole number; write a list"));
}

#[test]
fn missing_keys_are_named_with_their_table() {
    let all = wrong("[mqtt]\nport = 1\n");
    assert_eq!(all.len(), 4, "{all:#?}");
    assert!(
        all.iter().any(|one| one == "`host` in [mqtt] at line 1 is missing; add a text in quotes: name or address")
    );
    assert!(all.iter().any(|one| one.starts_with("`site` is missing; add a text in quotes")), "{all:#?}");
    let words = mistake("site = \"a\"\ndevice = \"b\"\n[[station]]\nname = \"c\"\nshelf = \"s\"\n");
    assert_eq!(
        words,
        "`source` in [station] at line 3 is missing; add [station.source.v4l2], [station.source.folder], \
         [station.source.command] or [station.source.http]"
    );
}

#[test]
fn values_out_of_range_are_named_with_the_range() {
    for (from, to, words) in [
        ("k = 2", "k = 0", "is 0; allowed is 1 to 32"),
        ("n = 3", "n = 33", "is 33; allowed is 1 to 32"),
        ("n = 3", "n = 3\nrearm = 256", "is 256; allowed is 0 to 255"),
        ("n = 3", "n = 3\nhold_ms = -1", "is -1; allowed is 0 to 3600000"),
        ("delay_ms = 400", "delay_ms = 4294967296", "allowed is 0 to 600000"),
        ("width_ms = 0", "width_ms = 60001", "allowed is 0 to 60000"),
        ("host = \"broker.local\"", "host = \"b\"\nport = 0", "is 0; allowed is 1 to 65535"),
        ("host = \"broker.local\"", "host = \"b\"\nport = 65536", "is 65536; allowed is 1 to 65535"),
        ("intent = \"/run/shelfwatch\"", "image_megabytes = 0", "is 0; allowed is 1 to"),
        ("intent = \"/run/shelfwatch\"", "image_days = 0", "is 0; allowed is 1 to"),
        ("line = \"GPIO22\"", "line = \"GPIO22\"\nperiod_ms = 9", "is 9; allowed is 10 to 10000"),
        ("falling = true", "debounce_us = 1000001", "allowed is 0 to 1000000"),
        ("line = 17", "line = -1", "is -1; allowed is 0 to"),
        ("shelf = \"cam1.shelf\"", "shelf = \"a\"\ntimeout_ms = 0", "is 0; allowed is 10 to"),
        ("shelf = \"cam1.shelf\"", "shelf = \"a\"\nthreads = 0", "is 0; allowed is 1 to 16"),
        ("shelf = \"cam1.shelf\"", "shelf = \"a\"\ndrift.run_length = 1.0", "is 1; allowed is above 1 to"),
        ("shelf = \"cam1.shelf\"", "shelf = \"a\"\ndrift.run_length = nan", "is NaN; allowed is above 1 to"),
        ("shelf = \"cam1.shelf\"", "shelf = \"a\"\ndrift.run_length = inf", "is inf; allowed is above 1 to"),
        (
            "trigger = { mqtt = { delay_ms = 20 } }",
            "trigger = { free = { rate = 0 } }",
            "is 0; allowed is above 0 to 1000",
        ),
        (
            "trigger = { mqtt = { delay_ms = 20 } }",
            "trigger = { free = { rate = -0.0 } }",
            "allowed is above 0 to 1000",
        ),
    ] {
        let found = changed(from, to);
        assert!(found.contains(words), "{to}: {found}");
    }
    assert!(mistake("site = \"a\"\ndevice = \"b\"\nstation = []\n").contains("has 0 values; give at least 1"));
}

#[test]
fn what_does_not_fit_together_is_named() {
    for (from, to, words) in [
        ("site = \"plant\"", "site = \"pl/ant\"", "is \"pl/ant\", which is no name for topics and files; use 1 to 64"),
        ("device = \"line3\"", "device = \"\"", "no name"),
        ("name = \"cam2\"", "name = \"..\"", "no name"),
        ("name = \"cam2\"", "name = \"availability\"", "is a word of the device's own topics"),
        ("name = \"cam2\"", "name = \"cam1\"", "`name` in [station] at line 25 is \"cam1\" a second time"),
        ("shelf = \"cam1.shelf\"", "shelf = \"\"", "is empty; give a path"),
        ("k = 2", "k = 4", "is 4, more than the n = 3 readings looked at; make k at most n"),
        ("moved_to = \"done\"", "moved_to = \"in/done\"", "lies inside `path`"),
        ("moved_to = \"done\"", "moved_to = \"./in\"", "lies inside `path`"),
        (", moved_to = \"done\"", "", "is \"move\" without a place to move to; add moved_to"),
        ("after = \"move\"", "after = \"delete\"", "has no effect, since after = \"delete\""),
        ("client_key = \"c.key\"", "", "`client_cert` in [mqtt] at line 38 has no key; add client_key"),
        ("client_cert = \"c.pem\"", "", "has no certificate; add client_cert"),
        ("ca_file = \"ca.pem\"", "", "has no effect without TLS; add ca_file"),
        ("user = \"u\"", "", "`password_file` in [mqtt] at line 36 has no user; add user"),
        ("host = \"broker.local\"", "host = \"mqtt://broker\"", "is no name or address"),
        ("host = \"broker.local\"", "host = \"b\"\nprefix = \"a/#\"", "is \"#\", which is no name"),
        ("roi = [0, 0, 640, 480]", "roi = [0, 0, 0, 480]", "is empty; give left, top, width and height"),
        ("roi = [0, 0, 640, 480]", "roi = [1, 0, 640, 480]", "goes to column 641 and row 480 of an image of 640 × 480"),
        ("roi = [0, 0, 640, 480]", "roi = [4294967295, 0, 1, 4294967295]", "goes to column"),
        ("width = 640, height", "width = 641, height", "needs even sides"),
        ("command = [\"./grab\", \"rtsp://user:hush@10.0.0.2/1\"]", "command = [\"\"]", "names no program"),
        ("line = \"GPIO27\"", "line = \"GPIO22\"", "is \"GPIO22\", which [run_ok] uses too"),
        ("line = 17", "line = 23", "is 23, which [station.reject] uses too"),
        ("chip = \"gpiochip0\"\nline = 17", "chip = \"/dev/gpiochip0\"\nline = 23", "uses too"),
        ("chip = \"gpiochip0\"\nline = 17", "line = 17", "is the number 17 of no chip; add chip"),
        ("chip = \"gpiochip0\"\nline = 17", "chip = \"\"\nline = 17", "is empty; give the chip's label"),
        ("line = \"GPIO27\"", "line = \"\"", "is empty; give the line's name"),
        ("delay_ms = 400", "delay_ms = 0", "every verdict is late"),
        ("[run_ok]\nline = \"GPIO22\"", "", "there is no RUN-OK to stop; add the table [run_ok]"),
        (
            "shelf = \"/etc/cam2.shelf\"",
            "shelf = \"s\"\ndeadline_ms = 20",
            "`deadline_ms` in [station] at line 27 is 20, before",
        ),
        ("n = 3\n", "n = 3\n[station.health]\nblack_below = 250\n", "is 250, not below white_above = 250"),
    ] {
        let found = changed(from, to);
        assert!(found.contains(words), "{to}: {found}");
    }
    assert!(Config::parse(&FULL.replace("[clear]\nline = \"GPIO24\"", "")).is_ok());
    let all = wrong(&FULL[..FULL.find("[clear]").unwrap()]);
    assert!(all.iter().any(|one| one.contains("nothing clears it; add the table [clear] or [mqtt]")), "{all:#?}");
    assert!(all.iter().any(|one| one.contains("nothing starts RUN-OK again; add the table [clear]")), "{all:#?}");
    let first = FULL.find("[mqtt]\n").unwrap();
    let words = mistake(&format!("{}[web]\nlisten = \"\"\n", &FULL[..first]));
    assert!(words.contains("`mqtt` in [station.trigger] at line 28 has no broker to listen to; add the table [mqtt]"));
    let words = mistake(&format!("{LEAST}[install]\nusb = true\n"));
    assert!(words.contains("`usb` in [install]") && words.contains("needs keys"), "{words}");
    let http = |url: &str| {
        LEAST.replace("[station.source.v4l2]\ndevice = \"/dev/video0\"", &format!("source.http.url = \"{url}\""))
    };
    assert!(Config::parse(&http("http://u:p@h/x")).is_ok());
    for url in ["https://h", "http://", "http://u:hush@/x", "h/x"] {
        let words = mistake(&http(url));
        assert!(words.contains("is no http:// address") && !words.contains("hush"), "{words}");
    }
    let twice =
        format!("{LEAST}{}", LEAST.replace("cam1", "cam2").replace("site = \"plant\"\ndevice = \"line3\"\n", ""));
    assert!(mistake(&twice).contains("is that of station \"cam1\" too"));
    assert!(mistake(&format!("{LEAST}width = 640\n")).contains("has one of width and height"));
}

#[test]
fn all_mistakes_come_at_once_in_the_files_order() {
    let text = FULL.replace("site =", "sitee =").replace("k = 2", "k = 4").replace("late = \"stop\"", "late = 1");
    let all = wrong(&text);
    assert_eq!(all.len(), 3, "{all:#?}");
    let text = FULL.replace("[web]", "webb = 1\n[web]").replace("k = 2", "k = 4").replace("line = 17", "line = 23");
    let lines: Vec<_> = Config::parse(&text).unwrap_err().problems().iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [Some(11), Some(14), Some(42)].to_vec(), "{:#?}", wrong(&text));
}

#[test]
fn broken_toml_is_named_with_its_line() {
    let words = mistake("site = \"a\"\ndevice = \n");
    assert!(words.starts_with("not TOML at line 2: "), "{words}");
    let words = mistake("site = \"a\"\nsite = \"b\"\n");
    assert!(words.starts_with("not TOML at line 2: duplicate key"), "{words}");
    assert!(mistake("a = 99999999999999999999\n").contains("line 1"));
    assert!(wrong(&"= =\n".repeat(1000)).len() <= 5);
    let deep = format!("a = {}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(!wrong(&deep).is_empty());
}

#[test]
fn secrets_are_not_shown() {
    let config = Config::parse(FULL).unwrap();
    let shown = format!("{config:?} {config:#?} {}", config.station[0].source);
    assert!(!shown.contains("hush") && shown.contains("rtsp://***@10.0.0.2/1"), "{shown}");
    let source = Source::Http { url: "http://user:hush@host/x".to_owned() };
    assert!(!format!("{source:?} {source}").contains("hush"));
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = Config::parse(&text);
    }

    #[test]
    fn no_edit_panics_and_lines_are_in_the_file(
        edits in prop::collection::vec((0usize..FULL.len(), "[ -~\n]{0,6}", 0usize..12), 1..6)
    ) {
        let mut text = FULL.to_owned();
        for (at, new, cut) in edits {
            let at = at.min(text.len());
            let end = (at + cut).min(text.len());
            text.replace_range(at..end, &new);
        }
        if let Err(error) = Config::parse(&text) {
            prop_assert_eq!(error.problems().is_empty(), false);
            for problem in error.problems() {
                prop_assert_eq!(problem.to_string().contains('\n'), false);
                prop_assert_eq!(problem.line.unwrap_or(1) <= text.lines().count() + 1, true);
            }
        }
    }
}
