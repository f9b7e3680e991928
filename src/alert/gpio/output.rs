//! An output line: inactive from the first moment on, and requested again after its chip was gone.

use std::fmt::Display;
use std::time::Duration;

use embedded_hal::digital::{ErrorType, InputPin, OutputPin, PinState};
use gpiocdev::Request;
use gpiocdev::line::Value;
use thiserror::Error;

use super::CONSUMER;
use super::error::GpioError;
use super::lines::{FoundLine, Survey, words};
use crate::capture::monotonic;
use crate::config::{Line, PulseLine, RunOk};

/// How long a lost line is left alone before it is requested again.
const RETRY: Duration = Duration::from_millis(500);
/// So many failed writes in a row are more than a disturbance on the chip's bus.
const MOST_FAILURES: u32 = 2;

/// A pin with its name and polarity: what the pulse and heartbeat threads switch.
#[derive(Debug)]
pub struct Output<P> {
    /// For messages.
    pub name: String,
    /// The pin, with physical levels.
    pub pin: P,
    /// The line is active when low.
    pub active_low: bool,
}

impl<P: OutputPin<Error: Display>> Output<P> {
    /// Makes the line active or inactive.
    ///
    /// # Errors
    /// [`GpioError::Lost`] with the pin's words.
    pub fn set(&mut self, active: bool) -> Result<(), GpioError> {
        let state = PinState::from(active != self.active_low);
        self.pin
            .set_state(state)
            .map_err(|error| GpioError::Lost { line: self.name.clone(), reason: error.to_string() })
    }
}

impl Output<OutputLine> {
    /// Requests a line that is pulsed for parts; it is inactive from the request on.
    ///
    /// # Errors
    /// [`GpioError`] as of [`OutputLine::open`].
    pub fn open(name: &str, line: &PulseLine) -> Result<Self, GpioError> {
        Self::of(name, Line::from(line))
    }

    /// Requests the heartbeat's line; it is inactive from the request on.
    ///
    /// # Errors
    /// [`GpioError`] as of [`OutputLine::open`].
    pub fn open_run_ok(line: &RunOk) -> Result<Self, GpioError> {
        Self::of("run-ok", Line::from(line))
    }

    pub(super) fn of(name: &str, line: Line) -> Result<Self, GpioError> {
        let active_low = line.active_low;
        Ok(Self { name: name.to_owned(), pin: OutputLine::open(line)?, active_low })
    }
}

impl From<&PulseLine> for Line {
    fn from(line: &PulseLine) -> Self {
        let PulseLine { chip, line, active_low, .. } = line.clone();
        Self { chip, line, active_low, bias: None }
    }
}

impl From<&RunOk> for Line {
    fn from(line: &RunOk) -> Self {
        let RunOk { chip, line, active_low, .. } = line.clone();
        Self { chip, line, active_low, bias: None }
    }
}

/// A line of the kernel as an [`OutputPin`]. When writes fail twice in a row, the line is given back, and from half a
/// second later it is looked for and requested anew by the next write, at the level that is then wanted.
#[derive(Debug)]
pub struct OutputLine {
    line: Line,
    pin: Option<gpiocdev_embedded_hal::OutputPin>,
    level: PinState,
    failures: u32,
    failed: Duration,
}

impl OutputLine {
    /// Finds and requests the line, inactive.
    ///
    /// # Errors
    /// [`GpioError`] when it is not found, in use or refused.
    pub fn open(line: Line) -> Result<Self, GpioError> {
        let level = PinState::from(line.active_low);
        let pin = Some(request(&line, level)?);
        Ok(Self { line, pin, level, failures: 0, failed: Duration::ZERO })
    }

    fn write(&mut self, level: PinState) -> Result<(), LineFailure> {
        let Some(pin) = &mut self.pin else {
            self.pin = Some(request(&self.line, level).map_err(|error| LineFailure(error.to_string()))?);
            return Ok(());
        };
        // The pin spares itself writes of the level it has. Reading it tells whether the chip is still there.
        let done = if self.level == level { pin.is_high().map(drop) } else { pin.set_state(level) };
        done.map_err(|error| LineFailure(format!("{}: {error}", words(&self.line))))
    }
}

/// Why an [`OutputLine`] could not be written: the line as configured, and the kernel's words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct LineFailure(pub String);

impl ErrorType for OutputLine {
    type Error = LineFailure;
}

impl embedded_hal::digital::Error for LineFailure {
    fn kind(&self) -> embedded_hal::digital::ErrorKind {
        embedded_hal::digital::ErrorKind::Other
    }
}

impl OutputPin for OutputLine {
    fn set_low(&mut self) -> Result<(), LineFailure> {
        self.set_state(PinState::Low)
    }

    fn set_high(&mut self) -> Result<(), LineFailure> {
        self.set_state(PinState::High)
    }

    fn set_state(&mut self, level: PinState) -> Result<(), LineFailure> {
        if self.pin.is_none() && monotonic() < self.failed + RETRY {
            return Err(LineFailure(format!("{}: not back yet", words(&self.line))));
        }
        let written = self.write(level);
        if written.is_ok() {
            (self.level, self.failures) = (level, 0);
        } else {
            (self.failed, self.failures) = (monotonic(), self.failures + 1);
            if self.failures >= MOST_FAILURES {
                (self.pin, self.failures) = (None, 0);
            }
        }
        written
    }
}

/// The one line that fits, free to be requested.
pub(super) fn find_free(line: &Line) -> Result<FoundLine, GpioError> {
    let found = Survey::read()?.find(line)?;
    match &found.consumer {
        Some(consumer) => Err(GpioError::Busy { line: found.to_string(), consumer: consumer.clone() }),
        None => Ok(found),
    }
}

fn request(line: &Line, level: PinState) -> Result<gpiocdev_embedded_hal::OutputPin, GpioError> {
    let found = find_free(line)?;
    let refused = |reason: String| GpioError::Refused { line: found.to_string(), reason };
    let mut builder = Request::builder();
    builder.on_chip(&found.chip).with_line(found.offset).with_consumer(CONSUMER);
    // The kernel knows the polarity too, so that its own tools show active and inactive as the configuration means them.
    let value = if (level == PinState::High) == line.active_low { Value::Inactive } else { Value::Active };
    builder.as_output(value);
    if line.active_low {
        builder.as_active_low();
    }
    let request = builder.request().map_err(|error| refused(error.to_string()))?;
    gpiocdev_embedded_hal::OutputPin::try_from(request).map_err(|error| refused(error.to_string()))
}
