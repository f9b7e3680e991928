//! The layers of the house: imports go down only, files stay short and are named by what they are, and a heavy
//! dependency lives in one place. The checks are themselves checked on made-up sources that break each rule.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines a source file may have.
const MOST_LINES: usize = 400;

/// Names that say nothing of what is inside.
const EMPTY_NAMES: [&str; 8] = ["utils", "util", "common", "helpers", "helper", "manager", "managers", "misc"];

/// A package: where its sources are, how its own modules are named in paths, and on which level each stands.
struct House {
    folder: &'static str,
    names: &'static [&'static str],
    levels: &'static [(&'static str, u8)],
    /// Importing module, imported module of the same level or above, allowed all the same.
    sideways: &'static [(&'static str, &'static str)],
}

const ROOT: House = House {
    folder: "src",
    names: &["crate", "shelfwatch"],
    levels: &[
        ("capture", 1),
        ("digest", 0),
        ("config", 1),
        ("event", 1),
        ("frame", 1),
        ("seed", 1),
        ("status", 1),
        ("watch", 1),
        ("workers", 1),
        ("heat_map", 2),
        ("image_file", 2),
        ("preprocess", 2),
        ("backbone", 2),
        ("method", 2),
        ("shelf", 2),
        ("parts", 2),
        ("camera", 2),
        ("alert", 2),
        ("journal", 2),
        ("web", 2),
        ("detector", 3),
        ("intake", 3),
        ("image_folder", 3),
        ("fit", 4),
        ("quantise", 4),
        ("evaluate", 4),
        ("device", 4),
        ("cli", 5),
        ("main", 6),
        ("lib", 6),
    ],
    // The tensor type, the classifier's head, the JPEG decoder, and the fault in a state.
    sideways: &[("backbone", "preprocess"), ("method", "backbone"), ("camera", "image_file"), ("status", "event")],
};

const CORE: House = House {
    folder: "core/src",
    names: &["crate"],
    levels: &[
        ("kind", 0),
        ("error", 0),
        ("layout", 1),
        ("header", 1),
        ("matrix", 2),
        ("calibration", 2),
        ("golden", 2),
        ("drift", 2),
        ("shelf", 3),
        ("score", 4),
        ("heat", 5),
        ("decide", 5),
        ("lib", 6),
    ],
    // The name of a section is part of an error, and the format's numbers are its module's.
    sideways: &[("error", "layout"), ("header", "kind")],
};

const NETWORK: House = House {
    folder: "network/src",
    names: &["crate"],
    levels: &[
        ("error", 0),
        ("curve", 0),
        ("window", 0),
        ("program", 1),
        ("arena", 2),
        ("check", 2),
        ("fusion", 2),
        ("schedule", 2),
        ("gather", 2),
        ("lines", 2),
        ("packing", 3),
        ("kernel", 2),
        ("paired", 3),
        ("pool", 3),
        ("lanes", 6),
        ("columns", 4),
        ("product", 5),
        ("sliding", 6),
        ("winograd", 6),
        ("depthwise", 4),
        ("plain_step", 5),
        ("prepared", 7),
        ("machine", 8),
        ("lib", 9),
    ],
    sideways: &[],
};

/// Where a dependency may be named: a file, or a folder with the slash.
const HOMES: [(&str, &[&str]); 27] = [
    ("tract_onnx", &["src/backbone/"]),
    ("prost", &["src/backbone/"]),
    ("shelfwatch_network", &["src/backbone/"]),
    ("image", &["src/image_file.rs", "src/image_file/"]),
    ("libjpeg_turbo_rs", &["src/image_file/"]),
    ("fast_image_resize", &["src/preprocess/"]),
    ("toml", &["src/preprocess/", "src/config/"]),
    ("strsim", &["src/config/", "src/alert/gpio/"]),
    ("libc", &["src/camera/"]),
    ("ed25519_dalek", &["src/shelf/key.rs"]),
    ("getrandom", &["src/shelf/key.rs"]),
    ("ureq", &["src/camera/", "src/cli/adoption.rs"]),
    ("rustix", &["src/capture.rs", "src/camera/", "src/alert/gpio/"]),
    ("gpiocdev", &["src/alert/gpio/"]),
    ("gpiocdev_embedded_hal", &["src/alert/gpio/"]),
    ("rumqttc", &["src/alert/mqtt/"]),
    ("rusqlite", &["src/journal/"]),
    ("axum", &["src/web/"]),
    ("nalgebra", &["src/method/"]),
    ("statrs", &["src/method/"]),
    ("tiny_skia", &["src/parts/"]),
    ("font8x8", &["src/evaluate/lettering.rs"]),
    ("indicatif", &["src/cli/progress.rs"]),
    ("clap", &["src/cli/"]),
    ("clap_mangen", &["src/cli/office/manual.rs"]),
    ("csv", &["src/cli/"]),
    ("anyhow", &["src/cli/", "src/main.rs"]),
];

/// A source file: its path from the checkout with `/`, and its text.
struct Source {
    path: String,
    text: String,
}

#[test]
fn imports_go_down_only() {
    for house in [ROOT, CORE, NETWORK] {
        report(&imports_upward(&house, &sources(house.folder)));
    }
}

#[test]
fn files_are_short_and_named_by_what_they_are() {
    let all: Vec<Source> = ["src", "core/src", "network/src"].iter().flat_map(|folder| sources(folder)).collect();
    report(&too_long(&all));
    report(&empty_names(&all));
}

#[test]
fn a_heavy_dependency_is_named_in_one_place() {
    let all: Vec<Source> = ["src", "core/src", "network/src"].iter().flat_map(|folder| sources(folder)).collect();
    report(&strays(&all));
}

#[test]
fn every_broken_rule_is_found() {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let upward = |path: &str, text: &str| imports_upward(&ROOT, &[source(path, text)]);
    // Up, to a neighbour, in a group, without a use, from a nested folder, from the program by the library's name.
    for (path, text) in [
        ("src/frame.rs", "use crate::fit::Fit;"),
        ("src/fit/images.rs", "\n\nuse crate::evaluate::Call;"),
        ("src/shelf/mod.rs", "use crate::{\n    frame::Frame,\n    cli::{self, frame},\n};"),
        ("src/parts/unknown.rs", "fn f() -> crate::detector::Reading { todo!() }"),
        ("src/method/deep/er.rs", "use crate :: shelf :: file;"),
        ("src/detector.rs", "use shelfwatch::cli::run;"),
    ] {
        assert_eq!(upward(path, text).len(), 1, "{path}: {text}");
    }
    let found = upward("src/fit/images.rs", "\n\nuse crate::evaluate::Call;");
    assert!(found[0].starts_with("src/fit/images.rs:3: `fit` (level 4) imports `evaluate` (level 4)"), "{}", found[0]);
    // Down, itself, an allowed neighbour; comments, strings and other crates' paths say nothing.
    for (path, text) in [
        ("src/fit/images.rs", "use crate::{detector::Detector, fit::Fit, frame::Frame};"),
        ("src/method/head.rs", "use crate::backbone::Head;"),
        ("src/frame.rs", "/// See crate::fit::Fit.\n/* crate::cli /* nested */ crate::cli */ fn f<'a>(x: &'a str) {}"),
        (
            "src/frame.rs",
            "const A: &str = \"crate::fit \\\" crate::fit\"; const B: &str = r#\"crate::fit\" \"#; const C: char = '\"';",
        ),
        ("src/frame.rs", "use other_crate::fit::Fit; macro_rules! m { () => { $crate::fit::Fit } }"),
        ("src/cli/fit.rs", "use shelfwatch::fit::fit; use super::inputs;"),
    ] {
        assert_eq!(upward(path, text), Vec::<String>::new(), "{path}: {text}");
    }
    assert_eq!(upward("src/attic.rs", "").len(), 1, "a module without a level");
    assert_eq!(upward("src/fit/mod.rs", "use crate::attic::Box;").len(), 1, "an import without a level");
    let core =
        [source("core/src/lib.rs", "pub use heat::{Heat, Map};"), source("core/src/score.rs", "use crate::{Map};")];
    assert_eq!(imports_upward(&CORE, &core).len(), 1, "through a name that the library hands on");

    assert_eq!(too_long(&[source("src/a.rs", &"\n".repeat(401)), source("src/b.rs", &"\n".repeat(400))]).len(), 1);
    assert_eq!(
        empty_names(&[source("src/fit/utils.rs", ""), source("src/helpers/a.rs", ""), source("src/a.rs", "")]).len(),
        2
    );
    let astray = [
        source("src/fit/mod.rs", "use tract_onnx::prelude::Graph;"),
        source("src/fit/mod.rs", "fn f() { nalgebra::zero::<f64>(); }"),
        source("src/cli/table.rs", "use {indicatif::Bar};"),
        source("src/method/pca.rs", "use nalgebra::DMatrix; use crate::image::X; use my_image::Y; use a::image::Z;"),
    ];
    assert_eq!(strays(&astray).len(), 3, "{:?}", strays(&astray));
}

fn report(broken: &[String]) {
    assert!(broken.is_empty(), "{} broken:\n{}\n", broken.len(), broken.join("\n"));
}

/// Every Rust file under the folder, by path.
fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open = vec![root.join(folder)];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(files.len() > 3, "no sources under {folder}");
    let source = |path: PathBuf| Source {
        text: fs::read_to_string(&path).unwrap(),
        path: path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/"),
    };
    files.into_iter().map(source).collect()
}

fn too_long(sources: &[Source]) -> Vec<String> {
    let lines = |source: &Source| source.text.lines().count();
    let long = sources.iter().filter(|source| lines(source) > MOST_LINES);
    long.map(|source| {
        format!("{} has {} lines, more than {MOST_LINES}; split it by concept", source.path, lines(source))
    })
    .collect()
}

fn empty_names(sources: &[Source]) -> Vec<String> {
    let empty = |path: &str| path.split('/').any(|part| EMPTY_NAMES.contains(&part.trim_end_matches(".rs")));
    let found = sources.iter().filter(|source| empty(&source.path));
    found.map(|source| format!("{} is named by no concept; name it by a noun of the field", source.path)).collect()
}

fn strays(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let code = bare(&source.text);
        for (name, homes) in HOMES {
            let home =
                homes.iter().any(|home| source.path == *home || home.ends_with('/') && source.path.starts_with(home));
            if let Some(at) = paths_from(&code, name).first().filter(|_| !home) {
                let line = line_of(&code, *at);
                found.push(format!("{}:{line}: names `{name}`, whose place is {}", source.path, homes.join(" or ")));
            }
        }
    }
    found
}

fn imports_upward(house: &House, sources: &[Source]) -> Vec<String> {
    let levels: BTreeMap<&str, u8> = house.levels.iter().copied().collect();
    let handed_on = sources.iter().find(|source| source.path == format!("{}/lib.rs", house.folder));
    let handed_on = handed_on.map_or_else(BTreeMap::new, |lib| re_exports(&bare(&lib.text)));
    let mut found = Vec::new();
    for source in sources {
        let inside = source.path.trim_start_matches(house.folder).trim_start_matches('/');
        let module = inside.split('/').next().unwrap_or_default().trim_end_matches(".rs");
        let Some(&own) = levels.get(module) else {
            found.push(format!("{}: `{module}` has no level; give it one in tests/floors.rs", source.path));
            continue;
        };
        let code = bare(&source.text);
        let starts = house.names.iter().flat_map(|name| paths_from(&code, name).into_iter().map(|at| at + name.len()));
        for (at, name) in starts.flat_map(|at| first_names(&code, at)) {
            let target = handed_on.get(&name).unwrap_or(&name);
            let line = line_of(&code, at);
            match levels.get(target.as_str()) {
                Some(_) if target == module || house.sideways.contains(&(module, target)) => {}
                Some(&level) if level < own => {}
                Some(&level) => found.push(format!(
                    "{}:{line}: `{module}` (level {own}) imports `{target}` (level {level}); imports go down only",
                    source.path
                )),
                None => found.push(format!("{}:{line}: imports `{target}`, which has no level", source.path)),
            }
        }
    }
    found
}

/// Names that the library hands on, with the module each comes from.
fn re_exports(code: &str) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for item in code.split(';').filter_map(|item| item.trim().strip_prefix("pub use ")) {
        let Some((module, rest)) = item.split_once("::") else { continue };
        for name in rest.split(|c: char| !is_word(c)).filter(|name| !name.is_empty()) {
            names.insert(name.to_owned(), module.trim().to_owned());
        }
    }
    names
}

/// The text with comments, strings and characters blanked out, line breaks kept.
fn bare(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        let end = match (at(i), at(i + 1)) {
            ('/', '/') => (i..chars.len()).find(|&j| at(j) == '\n').unwrap_or(chars.len()),
            ('/', '*') => comment_end(&chars, i),
            ('"', _) => string_end(&chars, i),
            ('r', '"' | '#') if i == 0 || !is_word(at(i - 1)) || at(i - 1) == 'b' => raw_end(&chars, i).unwrap_or(i),
            ('\'', '\\') => (i + 3..chars.len()).find(|&j| at(j) == '\'').map_or(chars.len(), |j| j + 1),
            ('\'', _) if at(i + 2) == '\'' => i + 3,
            _ => i,
        };
        if end == i {
            out.push(chars[i]);
            i += 1;
        } else {
            out.extend(chars[i..end.min(chars.len())].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            i = end;
        }
    }
    out
}

fn comment_end(chars: &[char], start: usize) -> usize {
    let (mut depth, mut i) = (0, start);
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

fn string_end(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// `None` where the `r` begins no raw string (`r#type`).
fn raw_end(chars: &[char], start: usize) -> Option<usize> {
    let hashes = chars[start + 1..].iter().take_while(|&&c| c == '#').count();
    let open = start + 1 + hashes;
    let closes = |j: usize| chars[j] == '"' && (1..=hashes).all(|k| chars.get(j + k) == Some(&'#'));
    (chars.get(open) == Some(&'"'))
        .then(|| (open + 1..chars.len()).find(|&j| closes(j)).map_or(chars.len(), |j| j + 1 + hashes))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// Where paths begin with that name: a whole word before `::`, and no step of a longer path or `$crate`.
fn paths_from(code: &str, name: &str) -> Vec<usize> {
    let begins = |at: usize| {
        let before = code[..at].trim_end_matches(' ');
        let joined = before.ends_with("::") || code[..at].ends_with(|c| is_word(c) || c == '$');
        !joined && code[at + name.len()..].trim_start().starts_with("::")
    };
    code.match_indices(name).map(|(at, _)| at).filter(|&at| begins(at)).collect()
}

/// The names right after the `::` at `from`: one, or all those of a group's first floor; each with its place.
fn first_names(code: &str, from: usize) -> Vec<(usize, String)> {
    let rest = &code[from..];
    let start = from + rest.find("::").map_or(0, |at| at + 2);
    let word = |at: usize| code[at..].chars().take_while(|&c| is_word(c)).collect::<String>();
    let skipped = |at: usize| at + code[at..].len() - code[at..].trim_start().len();
    let first = skipped(start);
    if !code[first..].starts_with('{') {
        return vec![(first, word(first))];
    }
    let (mut names, mut depth, mut expected) = (Vec::new(), 0, false);
    for (offset, c) in code[first..].char_indices() {
        match c {
            '{' => (depth, expected) = (depth + 1, depth == 0),
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' => expected = depth == 1,
            c if expected && is_word(c) => {
                names.push((first + offset, word(first + offset)));
                expected = false;
            }
            _ => {}
        }
    }
    names
}
