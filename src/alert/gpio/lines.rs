//! Finds a line by chip and by name or number. Refuses to guess: what fits twice is an error that names both.

use std::fmt;
use std::path::{Path, PathBuf};

use gpiocdev::Chip;

use super::error::GpioError;
use crate::config::{Line, LineRef};

/// `EPERM` and `EACCES`, the same on every Linux.
const NO_PERMISSION: [i32; 2] = [1, 13];
/// Names that resemble the wanted one less than this are no help.
const LIKENESS: f64 = 0.5;
const MOST_NAMES: usize = 3;

/// A chip as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChipFacts {
    /// Its device file, such as `/dev/gpiochip0`.
    pub path: PathBuf,
    /// Its name, such as `gpiochip0`; may change from start to start.
    pub name: String,
    /// Its label, such as `pinctrl-bcm2711`.
    pub label: String,
    /// Its lines, by number.
    pub lines: Vec<ChipLine>,
}

/// A line of a chip.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChipLine {
    /// Empty where the board gives none.
    pub name: String,
    /// Who holds it, `None` when it is free.
    pub consumer: Option<String>,
}

/// All chips that can be read, and those that cannot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// In the order of their numbers.
    pub chips: Vec<ChipFacts>,
    /// Device files that we have no permission to open.
    pub denied: Vec<PathBuf>,
}

/// A line that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLine {
    /// The chip's device file.
    pub chip: PathBuf,
    /// The line's number in the chip.
    pub offset: u32,
    /// The line's name; empty where the board gives none.
    pub name: String,
    /// Who holds it, `None` when it is free.
    pub consumer: Option<String>,
}

impl fmt::Display for FoundLine {
    /// `gpiochip0:17 (GPIO17)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chip = self.chip.file_name().unwrap_or(self.chip.as_os_str()).to_string_lossy();
        write!(f, "{chip}:{}", self.offset)?;
        if self.name.is_empty() { Ok(()) } else { write!(f, " ({})", self.name) }
    }
}

impl Survey {
    /// Asks the kernel for all chips and lines.
    ///
    /// # Errors
    /// [`GpioError::NoChips`] where there are none.
    pub fn read() -> Result<Self, GpioError> {
        let paths = gpiocdev::chip::chips().map_err(|_| GpioError::NoChips)?;
        let mut survey = Self::default();
        for path in paths {
            match Chip::from_path(&path) {
                Ok(chip) => survey.chips.extend(facts(&chip)),
                Err(gpiocdev::Error::Os(errno)) if NO_PERMISSION.contains(&errno.0) => survey.denied.push(path),
                // A chip that goes while we look is one that is not there.
                Err(_) => {}
            }
        }
        if survey.chips.is_empty() && survey.denied.is_empty() { Err(GpioError::NoChips) } else { Ok(survey) }
    }

    /// The one line that fits.
    ///
    /// # Errors
    /// [`GpioError`] when none fits, several do, or a chip that may hold it cannot be opened.
    pub fn find(&self, line: &Line) -> Result<FoundLine, GpioError> {
        let chips: Vec<&ChipFacts> = match &line.chip {
            Some(wanted) => self.chips.iter().filter(|chip| chip.is_called(wanted)).collect(),
            None => self.chips.iter().collect(),
        };
        let mut fitting = chips.iter().flat_map(|chip| chip.fitting(&line.line));
        match (fitting.next(), fitting.next()) {
            (Some(found), None) => Ok(found),
            (Some(first), Some(second)) => {
                let found: Vec<String> = [first, second].into_iter().chain(fitting).map(|f| f.to_string()).collect();
                Err(GpioError::Ambiguous { line: words(line), found: found.join(", ") })
            }
            (None, _) => Err(self.missing(line, &chips)),
        }
    }

    fn missing(&self, line: &Line, chips: &[&ChipFacts]) -> GpioError {
        let opens_elsewhere = chips.is_empty() || line.chip.is_none();
        match (&line.chip, &line.line) {
            _ if opens_elsewhere && !self.denied.is_empty() => {
                GpioError::Permission { path: self.denied[0].display().to_string() }
            }
            (Some(chip), _) if chips.is_empty() => GpioError::NoSuchChip {
                chip: chip.clone(),
                known: join(self.chips.iter().map(|chip| format!("{} ({})", chip.name, chip.label))),
            },
            (_, LineRef::Offset(offset)) => {
                let longest = chips.iter().max_by_key(|chip| chip.lines.len());
                GpioError::NoSuchOffset {
                    chip: longest.map_or_else(String::new, |chip| chip.name.clone()),
                    offset: *offset,
                    last: longest.map_or(0, |chip| (chip.lines.len() as u32).saturating_sub(1)),
                }
            }
            (chip, LineRef::Name(name)) => GpioError::NoSuchLine {
                line: name.clone(),
                place: chip.as_ref().map_or_else(String::new, |chip| format!(" on {chip}")),
                nearest: nearest(name, chips),
            },
        }
    }
}

impl ChipFacts {
    fn is_called(&self, wanted: &str) -> bool {
        let is_path = || Path::new(wanted).canonicalize().is_ok_and(|path| path == self.path);
        self.label == wanted || self.name == wanted || Path::new(wanted) == self.path || is_path()
    }

    fn fitting<'a>(&'a self, line: &'a LineRef) -> impl Iterator<Item = FoundLine> + use<'a> {
        let fits = move |(offset, facts): &(usize, &ChipLine)| match line {
            LineRef::Offset(wanted) => *offset as u32 == *wanted,
            LineRef::Name(wanted) => !wanted.is_empty() && facts.name == *wanted,
        };
        self.lines.iter().enumerate().filter(fits).map(|(offset, facts)| FoundLine {
            chip: self.path.clone(),
            offset: offset as u32,
            name: facts.name.clone(),
            consumer: facts.consumer.clone(),
        })
    }
}

fn facts(chip: &Chip) -> Option<ChipFacts> {
    let info = chip.info().ok()?;
    let line = |offset| {
        // A line that cannot be described keeps its number.
        let Ok(info) = chip.line_info(offset) else { return ChipLine::default() };
        let consumer =
            info.used.then(|| if info.consumer.is_empty() { "the kernel".to_owned() } else { info.consumer });
        ChipLine { name: info.name, consumer }
    };
    Some(ChipFacts {
        path: chip.path().to_path_buf(),
        lines: (0..info.num_lines).map(line).collect(),
        name: info.name,
        label: info.label,
    })
}

/// The line as it is configured.
pub(super) fn words(line: &Line) -> String {
    let own = match &line.line {
        LineRef::Offset(offset) => offset.to_string(),
        LineRef::Name(name) => name.clone(),
    };
    line.chip.as_ref().map_or(own.clone(), |chip| format!("{chip}:{own}"))
}

fn join(names: impl Iterator<Item = String>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// What to write instead of a name that no line has.
fn nearest(wanted: &str, chips: &[&ChipFacts]) -> String {
    let lower = wanted.to_lowercase();
    let likeness = |name: &str| strsim::normalized_damerau_levenshtein(&lower, &name.to_lowercase());
    let names =
        chips.iter().flat_map(|chip| &chip.lines).map(|line| line.name.as_str()).filter(|name| !name.is_empty());
    let mut near: Vec<(f64, &str)> = names.map(|name| (likeness(name), name)).filter(|&(l, _)| l >= LIKENESS).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    near.dedup();
    if near.is_empty() {
        return "give the line's number, or a name that `gpioinfo` shows".to_owned();
    }
    format!("did you mean {}?", join(near.iter().take(MOST_NAMES).map(|(_, name)| format!("`{name}`"))))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{ChipFacts, ChipLine, Survey};
    use crate::config::{Line, LineRef};

    fn chip(name: &str, label: &str, lines: &[&str]) -> ChipFacts {
        let line = |name: &&str| ChipLine { name: (*name).to_owned(), consumer: None };
        ChipFacts {
            path: PathBuf::from(format!("/dev/{name}")),
            name: name.to_owned(),
            label: label.to_owned(),
            lines: lines.iter().map(line).collect(),
        }
    }

    fn board() -> Survey {
        let chips = vec![
            chip("gpiochip0", "pinctrl-rp1", &["ID_SDA", "ID_SCL", "GPIO2", "GPIO3", "", "GPIO17"]),
            chip("gpiochip1", "expander", &["OUT0", "OUT1", "GPIO3", ""]),
            chip("gpiochip2", "expander", &["OUT2"]),
        ];
        Survey { chips, denied: Vec::new() }
    }

    fn find(survey: &Survey, chip: Option<&str>, line: LineRef) -> Result<String, (String, &'static str)> {
        let line = Line { chip: chip.map(str::to_owned), line, active_low: false, bias: None };
        survey.find(&line).map(|found| found.to_string()).map_err(|error| (error.to_string(), error.code()))
    }

    fn named(name: &str) -> LineRef {
        LineRef::Name(name.to_owned())
    }

    #[test]
    fn one_line_is_found() {
        let board = board();
        for (chip, line, found) in [
            (None, named("GPIO17"), "gpiochip0:5 (GPIO17)"),
            (None, named("OUT2"), "gpiochip2:0 (OUT2)"),
            (Some("pinctrl-rp1"), named("GPIO3"), "gpiochip0:3 (GPIO3)"),
            (Some("gpiochip1"), named("GPIO3"), "gpiochip1:2 (GPIO3)"),
            (Some("/dev/gpiochip1"), LineRef::Offset(3), "gpiochip1:3"),
            (Some("expander"), named("OUT2"), "gpiochip2:0 (OUT2)"),
            (None, LineRef::Offset(5), "gpiochip0:5 (GPIO17)"),
        ] {
            assert_eq!(find(&board, chip, line).as_deref(), Ok(found));
        }
    }

    #[test]
    fn what_fits_twice_names_both() {
        let board = board();
        for (chip, line) in [(None, named("GPIO3")), (None, LineRef::Offset(3))] {
            let (text, code) = find(&board, chip, line).unwrap_err();
            assert!(text.contains("gpiochip0:3") && text.contains("gpiochip1:"), "{text}");
            assert_eq!(code, "gpio-ambiguous");
        }
        let (text, _) = find(&board, Some("expander"), LineRef::Offset(0)).unwrap_err();
        assert!(
            text.contains("gpiochip1:0") && text.contains("gpiochip2:0") && text.contains("; set `chip`"),
            "{text}"
        );
    }

    #[test]
    fn what_is_missing_names_the_nearest() {
        let board = board();
        let told = |chip, line| find(&board, chip, line).unwrap_err().0;
        assert!(told(None, named("gpio_17")).contains("did you mean `GPIO17`"));
        assert!(told(Some("expander"), named("GPIO17")).contains("on expander"));
        assert!(told(None, named("reject")).contains("gpioinfo"));
        assert!(told(None, named("")).contains("gpioinfo"), "lines without a name are not called by the empty name");
        assert!(told(Some("rp1"), named("GPIO2")).contains("gpiochip0 (pinctrl-rp1)"));
        assert!(told(Some("gpiochip1"), LineRef::Offset(4)).contains("lines are 0 to 3"));
    }

    #[test]
    fn a_chip_that_may_not_be_opened_is_named_with_the_remedy() {
        let mut board = board();
        board.denied.push(PathBuf::from("/dev/gpiochip3"));
        let (text, code) = find(&board, None, named("OUT9")).unwrap_err();
        assert!(text.contains("/dev/gpiochip3") && text.contains("usermod -aG gpio"), "{text}");
        assert_eq!(code, "gpio-permission");
        assert_eq!(find(&board, Some("gpiochip3"), LineRef::Offset(1)).unwrap_err().1, "gpio-permission");
        assert_eq!(find(&board, Some("gpiochip0"), named("GPIO4")).unwrap_err().1, "gpio-unknown");
        assert!(find(&board, None, named("GPIO2")).is_ok());
    }
}
