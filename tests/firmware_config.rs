//! The files that are copied onto a device: they are complete, and what they say holds for the program as it is.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use shelfwatch::config::{Config, schema};

fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "firmware-config", name].iter().collect()
}

fn text(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap()
}

/// A line of the annotated file that sets something, in use or commented out, and the table it stands in.
struct Setting {
    /// Index of the line.
    line: usize,
    /// Index of the line with the table's head; `None` at the top.
    head: Option<usize>,
    table: String,
    /// `None` for the head of a table.
    key: Option<String>,
    commented: bool,
}

fn settings(text: &str) -> Vec<Setting> {
    let mut settings = Vec::new();
    let (mut head, mut table) = (None, String::new());
    for (line, written) in text.lines().enumerate().skip(1) {
        let commented = written.starts_with('#');
        let bare = written.trim_start_matches('#');
        if bare.is_empty() || bare.starts_with(' ') {
            continue;
        }
        let mut key = None;
        if bare.starts_with('[') {
            bare.trim_matches(['[', ']']).clone_into(&mut table);
            head = Some(line);
        } else {
            key = Some(bare.split_once(" = ").unwrap_or_else(|| panic!("line {}: {bare}", line + 1)).0.to_owned());
        }
        settings.push(Setting { line, head, table: table.clone(), key, commented });
    }
    settings
}

/// The annotated file with those lines put into use.
fn with(text: &str, lines: &[usize]) -> String {
    let line = |(index, line): (usize, &str)| {
        let used = if lines.contains(&index) { line.trim_start_matches('#') } else { line };
        format!("{used}\n")
    };
    text.lines().enumerate().map(line).collect()
}

/// Every key of the schema that holds a value, by table and name.
fn keys(schema: &Value) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    gather(schema, schema, "", &mut found);
    found
}

fn gather(root: &Value, at: &Value, table: &str, found: &mut BTreeSet<(String, String)>) {
    for (name, property) in at["properties"].as_object().unwrap() {
        let here = if table.is_empty() { name.clone() } else { format!("{table}.{name}") };
        let (mut tables, mut values) = (Vec::new(), false);
        sort(root, property, &mut tables, &mut values);
        if values {
            found.insert((table.to_owned(), name.clone()));
        }
        for inner in tables {
            gather(root, inner, &here, found);
        }
    }
}

/// What a property may be: tables, values, or both.
fn sort<'v>(root: &'v Value, property: &'v Value, tables: &mut Vec<&'v Value>, values: &mut bool) {
    if let Some(name) = property["$ref"].as_str() {
        sort(root, root.pointer(name.trim_start_matches('#')).unwrap(), tables, values);
    } else if let Some(several) = property["anyOf"].as_array().or(property["oneOf"].as_array()) {
        for one in several {
            sort(root, one, tables, values);
        }
    } else if property["type"] == "object" {
        tables.push(property);
    } else if property["type"] == "array" && property["items"]["$ref"].is_string() {
        sort(root, &property["items"], tables, values);
    } else {
        *values |= property["type"] != "null";
    }
}

/// All that a configuration sets, whatever text it came from.
fn meaning(text: &str) -> String {
    let config = Config::parse(text).unwrap();
    format!("{config:#?}").replace(config.sha256(), "")
}

#[test]
fn the_annotated_configuration_is_one() {
    let least = "site = \"plant1\"\ndevice = \"line3\"\n[[station]]\nname = \"cam1\"\n\
        shelf = \"/var/lib/shelfwatch/cam1.shelf\"\nsource.v4l2.device = \"/dev/video0\"\n";
    assert_eq!(meaning(&text("station.toml")), meaning(least), "the file sets more than it must");
}

#[test]
fn every_key_appears_and_is_known() {
    let text = text("station.toml");
    let settings = settings(&text);
    let written = settings.iter().filter_map(|one| Some((one.table.clone(), one.key.clone()?)));
    assert_eq!(written.collect::<BTreeSet<_>>(), keys(schema()));
    for setting in &settings {
        if !setting.commented {
            continue;
        }
        let lines: Vec<usize> = setting.head.into_iter().chain([setting.line]).collect();
        if let Err(error) = Config::parse(&with(&text, &lines)) {
            for problem in error.problems() {
                let words = problem.to_string();
                assert!(!words.contains("unknown key") && !words.contains("not TOML"), "{words}");
                // One of several tables, a partner in another line, or a table with more that it must have.
                let alone = [
                    "holds `",
                    "is missing",
                    "has no ",
                    "without",
                    "to stop",
                    "is late",
                    "starts RUN-OK",
                    "one of width",
                ];
                assert!(alone.iter().any(|reason| words.contains(reason)), "line {}: {words}", setting.line + 1);
            }
        }
    }
}

#[test]
fn defaults_in_the_annotated_configuration_are_the_programs() {
    let text = text("station.toml");
    for table in ["", "journal", "web", "station.decide", "station.health", "station.drift"] {
        let settings = settings(&text);
        let all =
            settings.iter().filter(|one| one.table == table && one.commented && one.key.as_deref() != Some("intent"));
        let lines: Vec<usize> = all.map(|one| one.line).collect();
        assert!(!lines.is_empty(), "[{table}]");
        assert_eq!(meaning(&text), meaning(&with(&text, &lines)), "[{table}]");
    }
}

#[test]
fn the_schema_beside_it_is_that_of_the_types() {
    let made = serde_json::to_string_pretty(schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        fs::write(file("station.schema.json"), &made).unwrap();
    }
    assert!(
        text("station.schema.json") == made,
        "firmware-config/station.schema.json is not up to date; run UPDATE_SCHEMAS=1 cargo test --release --test firmware_config"
    );
    assert!(text("station.toml").starts_with("#:schema ./station.schema.json\n"));
}

#[test]
fn the_unit_is_hardened_and_agrees_with_the_configuration() {
    let unit = text("shelfwatch.service");
    let values = |key: &str| -> Vec<&str> {
        unit.lines()
            .filter_map(|line| line.split_once('='))
            .filter(|(name, _)| *name == key)
            .map(|(_, value)| value)
            .collect()
    };
    for line in unit.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', '['])) {
        assert!(line.contains('='), "{line}");
    }
    for (key, value) in [
        ("Type", "notify"),
        ("User", "shelfwatch"),
        ("SupplementaryGroups", "video gpio"),
        ("StateDirectory", "shelfwatch"),
        ("RuntimeDirectory", "shelfwatch"),
        ("RuntimeDirectoryPreserve", "yes"),
        ("Restart", "always"),
        ("CapabilityBoundingSet", ""),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("MemoryDenyWriteExecute", "yes"),
        ("DevicePolicy", "closed"),
    ] {
        assert_eq!(values(key), [value], "{key}");
    }
    assert!(values("ExecStart")[0].ends_with(" run --config /etc/shelfwatch/station.toml"));
    assert_eq!(Config::load(&file("station.toml")).unwrap().state.to_str(), Some("/var/lib/shelfwatch"));
}

/// systemd's own opinion, where it is installed.
#[test]
fn systemd_accepts_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("skipped: systemd-analyze is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // The stick's must mount, and so be root.
    for (name, exposure) in [("shelfwatch.service", "20"), ("shelfwatch-stick@.service", "45")] {
        let unit = folder.path().join(name.replace('@', "@sda1"));
        // The program need not be installed here.
        fs::write(&unit, text(name).replace("/usr/bin/shelfwatch", "/bin/true")).unwrap();
        let verify = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output().unwrap();
        let words = String::from_utf8_lossy(&verify.stderr);
        assert!(verify.status.success() && !words.contains(".service:"), "{words}");
        let security = ["security", "--offline=yes", "--threshold", exposure, "--no-pager"];
        let security = Command::new("systemd-analyze").args(security).arg(&unit).output().unwrap();
        let words = String::from_utf8_lossy(&security.stdout);
        assert!(security.status.success(), "the exposure of {name} is above {exposure} tenths\n{words}");
    }
}

#[test]
fn the_page_on_the_station_names_every_key() {
    let page =
        fs::read_to_string([env!("CARGO_MANIFEST_DIR"), "docs", "station.md"].iter().collect::<PathBuf>()).unwrap();
    for (table, key) in keys(schema()) {
        assert!(page.contains(&format!("`{key}`")), "docs/station.md says nothing of `{key}` in [{table}]");
    }
}
