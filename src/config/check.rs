//! What keys, types and ranges cannot say: names, files and values that must fit each other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::check_lines::check_lines;
use super::key_path::{Findings, KeyPath, printable};
use super::lines::{LateResult, PulseLine};
use super::paths::plain;
use super::source::{After, Frames, Source};
use super::station::{Config, Mqtt, Station, Trigger};

/// Pixels from the edge beyond which no source goes.
const MOST_PIXELS: u32 = 16_384;

/// Reports all that does not fit.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    let top = KeyPath::default();
    name(&config.site, &top.key("site"), findings);
    name(&config.device, &top.key("device"), findings);
    given(&config.state, &top.key("state"), findings);
    if let Some(intent) = &config.journal.intent {
        given(intent, &top.keys(&["journal", "intent"]), findings);
    }
    for (index, key) in config.install.keys.iter().enumerate() {
        given(key, &top.keys(&["install", "keys"]).index(index), findings);
    }
    if config.install.usb && config.install.keys.is_empty() {
        let remedy = "name the public keys of those whose shelves it takes";
        findings.add(&top.keys(&["install", "usb"]), "needs keys: a stick's shelf must be signed", remedy);
    }
    if let Some(mqtt) = &config.mqtt {
        broker(mqtt, &top.key("mqtt"), findings);
    }
    let mut names = BTreeMap::new();
    let mut sources = BTreeMap::new();
    for (index, station) in config.station.iter().enumerate() {
        let path = top.key("station").index(index);
        if names.insert(station.name.as_str(), index).is_some() {
            findings.add(
                &path.key("name"),
                &format!("is \"{}\" a second time", printable(&station.name)),
                "give each station a name of its own",
            );
        }
        if let Some(own) = exclusive(&station.source)
            && let Some(other) = sources.insert(own, station.name.as_str())
        {
            findings.add(
                &path.key("source"),
                &format!("is that of station \"{}\" too", printable(other)),
                "give each station a source of its own",
            );
        }
        self::station(station, config, &path, findings);
    }
    check_lines(config, findings);
}

fn station(station: &Station, config: &Config, path: &KeyPath, findings: &mut Findings<'_>) {
    name(&station.name, &path.key("name"), findings);
    if station.name == "availability" {
        findings.add(&path.key("name"), "is a word of the device's own topics", "choose another name");
    }
    given(&station.shelf, &path.key("shelf"), findings);
    if let Some(backbone) = &station.backbone {
        given(backbone, &path.key("backbone"), findings);
    }
    source(&station.source, &path.key("source"), findings);
    if let Some(roi) = station.roi {
        region(roi, &station.source, &path.key("roi"), findings);
    }
    let trigger_delay = match &station.trigger {
        Trigger::Free { .. } => 0,
        Trigger::Gpio { delay_ms, .. } => *delay_ms,
        Trigger::Mqtt { delay_ms, .. } => {
            if config.mqtt.is_none() {
                findings.add(&path.keys(&["trigger", "mqtt"]), "has no broker to listen to", "add the table [mqtt]");
            }
            *delay_ms
        }
    };
    if station.deadline_ms <= trigger_delay {
        findings.add(
            &path.key("deadline_ms"),
            &format!("is {}, before the image is taken", station.deadline_ms),
            format!("it counts from the trigger; make it longer than the trigger's delay_ms of {trigger_delay}"),
        );
    }
    let decide = &station.decide;
    if decide.k > decide.n {
        findings.add(
            &path.keys(&["decide", "k"]),
            &format!("is {}, more than the n = {} readings looked at", decide.k, decide.n),
            "make k at most n",
        );
    }
    let health = &station.health;
    if health.black_below >= health.white_above {
        findings.add(
            &path.keys(&["health", "black_below"]),
            &format!("is {}, not below white_above = {}", health.black_below, health.white_above),
            "make black_below the lower one",
        );
    }
    for (key, output) in [("reject", &station.reject), ("review", &station.review)] {
        if let Some(output) = output {
            pulse(output, config, &path.key(key), findings);
        }
    }
}

fn pulse(output: &PulseLine, config: &Config, path: &KeyPath, findings: &mut Findings<'_>) {
    let can_be_cleared = config.clear.is_some() || config.mqtt.is_some();
    if output.width_ms == 0 && !can_be_cleared {
        findings.add(
            &path.key("width_ms"),
            "is 0, which holds the output until it is cleared, and nothing clears it",
            "add the table [clear] or [mqtt], or give the length of the pulse",
        );
    }
    if output.late == LateResult::Stop {
        let late = path.key("late");
        if output.delay_ms == 0 {
            findings.add(&late, "is \"stop\", and every verdict is late after delay_ms = 0", "give delay_ms");
        }
        if config.run_ok.is_none() {
            findings.add(&late, "is \"stop\", and there is no RUN-OK to stop", "add the table [run_ok]");
        }
        if !can_be_cleared {
            findings.add(&late, "is \"stop\", and nothing starts RUN-OK again", "add the table [clear] or [mqtt]");
        }
    }
}

fn source(source: &Source, path: &KeyPath, findings: &mut Findings<'_>) {
    match source {
        Source::V4l2 { device, width, height, .. } => {
            let path = path.key("v4l2");
            given(device, &path.key("device"), findings);
            if width.is_some() != height.is_some() {
                findings.add(&path, "has one of width and height", "give both or none");
            }
        }
        Source::Folder { path: folder, after, moved_to } => {
            let path = path.key("folder");
            given(folder, &path.key("path"), findings);
            match (after, moved_to) {
                (After::Move, None) => {
                    findings.add(&path.key("after"), "is \"move\" without a place to move to", "add moved_to");
                }
                (After::Move, Some(to)) => {
                    given(to, &path.key("moved_to"), findings);
                    if plain(to).starts_with(plain(folder)) {
                        findings.add(
                            &path.key("moved_to"),
                            "lies inside `path`, where its files would be judged again",
                            "choose a folder beside it",
                        );
                    }
                }
                (After::Delete, Some(_)) => findings.add(
                    &path.key("moved_to"),
                    "has no effect, since after = \"delete\"",
                    "write after = \"move\" or leave moved_to out",
                ),
                (After::Delete, None) => {}
            }
        }
        Source::Command { command, frames } => {
            let path = path.key("command");
            if command.first().is_some_and(String::is_empty) {
                findings.add(&path.key("command"), "names no program", "write the program first, then its arguments");
            }
            if let Frames::Raw { format, width, height } = frames {
                let odd = match format.as_str() {
                    "yuyv" => width % 2 != 0,
                    "nv12" => width % 2 != 0 || height % 2 != 0,
                    _ => false,
                };
                if odd {
                    findings.add(
                        &path.keys(&["frames", "raw"]),
                        &format!("is {width} × {height}, and {format} needs even sides"),
                        "give the size that the program writes",
                    );
                }
            }
        }
        Source::Http { url } => {
            let host = url.strip_prefix("http://").and_then(|rest| rest.split(['/', '?']).next());
            if host.is_none_or(|host| host.rsplit('@').next().is_none_or(str::is_empty)) {
                findings.add(
                    &path.keys(&["http", "url"]),
                    "is no http:// address",
                    "write http://host/path; for https or rtsp use [station.source.command] with ffmpeg",
                );
            }
        }
    }
}

/// What only one station can have.
fn exclusive(source: &Source) -> Option<PathBuf> {
    match source {
        Source::V4l2 { device: path, .. } | Source::Folder { path, .. } => Some(plain(path)),
        Source::Command { .. } | Source::Http { .. } => None,
    }
}

fn region(roi: [u32; 4], source: &Source, path: &KeyPath, findings: &mut Findings<'_>) {
    let [left, top, width, height] = roi;
    if width == 0 || height == 0 {
        findings.add(path, "is empty", "give left, top, width and height in pixels");
        return;
    }
    let (right, bottom) = (left.saturating_add(width), top.saturating_add(height));
    let (columns, rows) = match source {
        Source::Command { frames: Frames::Raw { width, height, .. }, .. } => (*width, *height),
        _ => (MOST_PIXELS, MOST_PIXELS),
    };
    if right > columns || bottom > rows {
        findings.add(
            path,
            &format!("goes to column {right} and row {bottom} of an image of {columns} × {rows}"),
            "give left, top, width and height inside the image",
        );
    }
}

fn broker(mqtt: &Mqtt, path: &KeyPath, findings: &mut Findings<'_>) {
    if mqtt.host.is_empty() || mqtt.host.contains("://") || mqtt.host.contains(char::is_whitespace) {
        findings.add(
            &path.key("host"),
            "is no name or address",
            "write it alone, as \"broker.local\"; TLS comes with ca_file",
        );
    }
    for part in mqtt.prefix.split('/') {
        name(part, &path.key("prefix"), findings);
    }
    if mqtt.user.as_ref().is_some_and(String::is_empty) {
        findings.add(&path.key("user"), "is empty", "leave it out where the broker needs none");
    }
    if mqtt.password_file.is_some() && mqtt.user.is_none() {
        findings.add(&path.key("password_file"), "has no user", "add user");
    }
    match (&mqtt.client_cert, &mqtt.client_key) {
        (Some(_), None) => findings.add(&path.key("client_cert"), "has no key", "add client_key"),
        (None, Some(_)) => findings.add(&path.key("client_key"), "has no certificate", "add client_cert"),
        (Some(_), Some(_)) if mqtt.ca_file.is_none() => {
            findings.add(&path.key("client_cert"), "has no effect without TLS", "add ca_file");
        }
        _ => {}
    }
    let files = [
        ("password_file", &mqtt.password_file),
        ("ca_file", &mqtt.ca_file),
        ("client_cert", &mqtt.client_cert),
        ("client_key", &mqtt.client_key),
    ];
    for (key, file) in files {
        if let Some(file) = file {
            given(file, &path.key(key), findings);
        }
    }
}

/// A name becomes a part of topics and of file names.
fn name(name: &str, path: &KeyPath, findings: &mut Findings<'_>) {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        findings.add(
            path,
            &format!("is \"{}\", which is no name for topics and files", printable(name)),
            "use 1 to 64 of the letters a-z and A-Z, digits, - and _",
        );
    }
}

fn given(file: &Path, path: &KeyPath, findings: &mut Findings<'_>) {
    if file.as_os_str().is_empty() {
        findings.add(path, "is empty", "give a path");
    }
}
