//! The simulated chip: its lines by name, their levels, and the pulls that stand for what is wired to an input.
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::kernel;

/// A line of the simulated chip.
pub(crate) struct Line {
    pub(crate) name: String,
    folder: PathBuf,
}

/// The simulated chip.
pub(crate) struct Chip {
    /// `/dev/gpiochip1`.
    node: String,
    /// The kernel's number of the first line, as its tracing counts them.
    pub(crate) base: u32,
    /// In the order of the chip.
    pub(crate) lines: Vec<Line>,
}

impl Chip {
    /// Errors when no simulated chip with this label is there.
    pub(crate) fn find(label: &str) -> Result<Self, String> {
        let base = base_of(label)?;
        let station = Path::new("/sys/kernel/config/gpio-sim/station");
        let device = read(&station.join("dev_name"))?;
        let node = read(&station.join("pins/chip_name"))?;
        let folder = Path::new("/sys/devices/platform").join(device).join(&node);
        let count: u32 = read(&station.join("pins/num_lines"))?.parse().map_err(|_| "the chip has no size")?;
        let lines = (0..count).map(|offset| {
            let name = read(&station.join(format!("pins/line{offset}/name")))?;
            Ok(Line { name, folder: folder.join(format!("sim_gpio{offset}")) })
        });
        let node = format!("/dev/{node}");
        Ok(Self { node, base, lines: lines.collect::<Result<_, String>>()? })
    }

    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    pub(crate) fn offset(&self, name: &str) -> Result<u32, String> {
        let offset = self.lines.iter().position(|line| line.name == name);
        offset.map(|i| i as u32).ok_or_else(|| format!("{} has no line `{name}`; ask for `lines`", self.node))
    }

    pub(crate) fn line(&self, name: &str) -> Result<&Line, String> {
        Ok(&self.lines[self.offset(name)? as usize])
    }

    /// The level on the wire, whoever sets it.
    pub(crate) fn level(&self, name: &str) -> Result<bool, String> {
        self.line(name)?.level()
    }

    /// Lets the outside pull a line; the monotonic time right before and right after, in nanoseconds.
    pub(crate) fn pull(&self, name: &str, up: bool) -> Result<(u64, u64), String> {
        let path = self.line(name)?.folder.join("pull");
        let file = fs::OpenOptions::new().write(true).open(&path);
        let mut file = file.map_err(|e| format!("cannot open {}: {e}", path.display()))?;
        let before = kernel::monotonic();
        let written = std::io::Write::write_all(&mut file, if up { b"pull-up" } else { b"pull-down" });
        let after = kernel::monotonic();
        written.map_err(|e| format!("cannot pull line {name}: {e}"))?;
        Ok((before, after))
    }

    /// A line of text for each line of the chip: node, offset, name, level.
    pub(crate) fn describe(&self) -> Result<String, String> {
        let mut text = String::new();
        for (offset, line) in self.lines.iter().enumerate() {
            let level = u8::from(line.level()?);
            writeln!(text, "{} {offset} {} {level}", self.node, line.name).map_err(|e| e.to_string())?;
        }
        Ok(text)
    }
}

impl Line {
    pub(crate) fn level(&self) -> Result<bool, String> {
        Ok(read(&self.folder.join("value"))? == "1")
    }

    /// What the line falls back to when no program holds it.
    pub(crate) fn fallback(&self) -> Result<bool, String> {
        Ok(read(&self.folder.join("pull"))? == "pull-up")
    }
}

fn base_of(label: &str) -> Result<u32, String> {
    let chips = fs::read_dir("/sys/class/gpio").map_err(|e| format!("cannot read /sys/class/gpio: {e}"))?;
    for chip in chips.filter_map(Result::ok).map(|entry| entry.path()) {
        if read(&chip.join("label")).is_ok_and(|found| found == label) {
            return read(&chip.join("base"))?.parse().map_err(|_| format!("{label} has no base"));
        }
    }
    Err(format!("no gpio chip is labelled {label}; did gpio-sim load?"))
}

fn read(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    Ok(text.trim().to_string())
}
