//! A GPIO line is used once, and named so that it can be found.

use super::key_path::{Findings, KeyPath, printable};
use super::lines::LineRef;
use super::station::{Config, Trigger};

/// A line that the configuration uses.
struct Use<'c> {
    path: KeyPath,
    chip: Option<&'c str>,
    line: &'c LineRef,
}

/// Reports lines that are used twice or cannot be found.
pub(super) fn check_lines(config: &Config, findings: &mut Findings<'_>) {
    let uses = uses(config);
    for (index, used) in uses.iter().enumerate() {
        match (used.chip, used.line) {
            (Some(""), _) => findings.add(&used.path.key("chip"), "is empty", "give the chip's label, name or path"),
            (None, LineRef::Offset(offset)) => findings.add(
                &used.path.key("line"),
                &format!("is the number {offset} of no chip"),
                "add chip, or write the line's name",
            ),
            (_, LineRef::Name(name)) if name.is_empty() => {
                findings.add(&used.path.key("line"), "is empty", "give the line's name or number");
            }
            _ => {}
        }
        if let Some(other) = uses[..index].iter().find(|other| same(other, used)) {
            let line = match used.line {
                LineRef::Offset(offset) => offset.to_string(),
                LineRef::Name(name) => format!("\"{}\"", printable(name)),
            };
            findings.add(
                &used.path.key("line"),
                &format!("is {line}, which [{}] uses too", other.path.dotted()),
                "give each input and output a line of its own",
            );
        }
    }
}

/// Whether both surely are the same line. A chip by its label and by its name, or a line by name and by number, cannot
/// be told here: opening it then fails.
fn same(one: &Use<'_>, other: &Use<'_>) -> bool {
    let chip = |used: &Use<'_>| used.chip.map(|chip| chip.strip_prefix("/dev/").unwrap_or(chip).to_owned());
    one.line == other.line && (chip(one) == chip(other) || one.chip.is_none() || other.chip.is_none())
}

fn uses(config: &Config) -> Vec<Use<'_>> {
    let top = KeyPath::default();
    let mut uses = Vec::new();
    if let Some(run_ok) = &config.run_ok {
        uses.push(Use { path: top.key("run_ok"), chip: run_ok.chip.as_deref(), line: &run_ok.line });
    }
    if let Some(clear) = &config.clear {
        uses.push(Use { path: top.key("clear"), chip: clear.chip.as_deref(), line: &clear.line });
    }
    for (index, station) in config.station.iter().enumerate() {
        let path = top.key("station").index(index);
        for (key, output) in [("reject", &station.reject), ("review", &station.review)] {
            if let Some(output) = output {
                uses.push(Use { path: path.key(key), chip: output.chip.as_deref(), line: &output.line });
            }
        }
        if let Trigger::Gpio { input, .. } = &station.trigger {
            let path = path.keys(&["trigger", "gpio", "input"]);
            uses.push(Use { path, chip: input.chip.as_deref(), line: &input.line });
        }
    }
    uses
}
