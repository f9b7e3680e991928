//! What can go wrong with a line, each with a word that does not change and a remedy.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;

/// Why a line cannot be used, or a pulse or an edge is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GpioError {
    /// The device has no GPIO character device.
    #[error("this device has no GPIO chip; load the chip's driver, or take the lines out of the configuration")]
    NoChips,
    /// No chip has that label, name or path.
    #[error("no GPIO chip is called `{chip}`; take one of {known}")]
    NoSuchChip {
        /// As configured.
        chip: String,
        /// The chips there are, with their labels.
        known: String,
    },
    /// No line has that name.
    #[error("no GPIO line is called `{line}`{place}; {nearest}")]
    NoSuchLine {
        /// As configured.
        line: String,
        /// ` on <chip>`, or nothing.
        place: String,
        /// The nearest names, in words.
        nearest: String,
    },
    /// The number lies beyond the chip's lines.
    #[error("GPIO chip {chip} has no line {offset}; its lines are 0 to {last}")]
    NoSuchOffset {
        /// The chip.
        chip: String,
        /// As configured.
        offset: u32,
        /// The chip's last line.
        last: u32,
    },
    /// Several lines fit.
    #[error("GPIO line `{line}` is found several times: {found}; set `chip` and the line's number")]
    Ambiguous {
        /// As configured.
        line: String,
        /// Chips and lines that fit.
        found: String,
    },
    /// The chip may not be opened.
    #[error(
        "no permission to open {path}; add the user to the group of that file (often `gpio`): `usermod -aG gpio USER`"
    )]
    Permission {
        /// The chip's device file.
        path: String,
    },
    /// Another program, or a driver, holds the line.
    #[error("GPIO line {line} is in use by `{consumer}`; stop that program, or take another line")]
    Busy {
        /// The line.
        line: String,
        /// Who holds it.
        consumer: String,
    },
    /// The kernel refuses the line with these settings.
    #[error("GPIO line {line} is refused ({reason}); check whether the chip can do this bias, edge or direction")]
    Refused {
        /// The line.
        line: String,
        /// The kernel's words.
        reason: String,
    },
    /// The line was in use and fails now.
    #[error("GPIO line {line} is lost ({reason}); check the chip and its cable, it is opened again when it is back")]
    Lost {
        /// The line.
        line: String,
        /// The kernel's words.
        reason: String,
    },
    /// More pulses are asked for than can wait.
    #[error(
        "output {output} has no room for another pulse ({waiting} wait); check its delay against the rate of parts"
    )]
    Full {
        /// The output.
        output: String,
        /// Pulses that wait.
        waiting: usize,
    },
    /// The scheduler has no such output.
    #[error("there is no output {0}; use the numbers in the order of the outputs")]
    NoSuchOutput(usize),
    /// The scheduler does not run.
    #[error("the pulse thread has ended; restart the program")]
    Ended,
    /// A verdict came after its pulse was due.
    #[error("the verdict came {} ms after the pulse of output {output} was due, {}; lengthen the delay or speed up the inspection", by.as_millis(), if *fired { "it was pulsed late" } else { "it was not pulsed" })]
    Late {
        /// The output.
        output: String,
        /// How much too late.
        by: Duration,
        /// Whether the output was pulsed all the same.
        fired: bool,
    },
    /// The kernel dropped edges before they could be read: parts may have passed without a trigger.
    #[error("{count} edges of input {line} were lost; look for noise on the line, or lengthen its debounce time")]
    EdgesLost {
        /// The line.
        line: String,
        /// Edges missing since the last report.
        count: u64,
    },
    /// The system gives no thread.
    #[error("no thread for the GPIO lines ({0}); close other programs")]
    Thread(String),
}

impl GpioError {
    /// A word that does not change, for events and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoChips
            | Self::NoSuchChip { .. }
            | Self::NoSuchLine { .. }
            | Self::NoSuchOffset { .. }
            | Self::NoSuchOutput(_) => "gpio-unknown",
            Self::Ambiguous { .. } => "gpio-ambiguous",
            Self::Permission { .. } => "gpio-permission",
            Self::Busy { .. } => "gpio-busy",
            Self::Refused { .. } => "gpio-refused",
            Self::Lost { .. } => "gpio-lost",
            Self::Full { .. } => "pulses-full",
            Self::Ended | Self::Thread(_) => "gpio-thread",
            Self::Late { .. } => "late-result",
            Self::EdgesLost { .. } => "trigger-lost",
        }
    }
}

/// Where a thread leaves its errors until the station asks: the first one is kept, all are counted.
#[derive(Debug, Default)]
pub(super) struct ErrorSlot(Mutex<(Option<GpioError>, u64)>);

impl ErrorSlot {
    pub(super) fn put(&self, error: GpioError) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.1 += 1;
        slot.0.get_or_insert(error);
    }

    pub(super) fn take(&self) -> Option<GpioError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.take()
    }

    pub(super) fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}
