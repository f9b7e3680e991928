//! The lines of a device, opened from its configuration: pulsed outputs, the heartbeat, the input that clears.

use std::sync::Arc;
use std::time::Duration;

use super::notice::Notice;
use crate::alert::gpio::{
    EdgeInput, EdgeOptions, GpioError, Heartbeat, Output, OutputId, OutputLine, PulseShape, Pulses,
};
use crate::config::{Config, PulseLine};

/// What is wired to the device.
pub(super) struct Outfit {
    /// The pulsed outputs, where there are any.
    pub(super) pulses: Option<Arc<Pulses>>,
    /// Of each station: its reject and review outputs.
    pub(super) outputs: Vec<[Option<OutputId>; 2]>,
    /// RUN-OK.
    pub(super) heartbeat: Option<Arc<Heartbeat>>,
    /// Kept so that the input is watched.
    _clear: Option<EdgeInput>,
}

impl Outfit {
    /// Requests every line. `clear` is called when somebody clears outputs and faults.
    ///
    /// # Errors
    /// [`GpioError`] for the first line that cannot be had.
    pub(super) fn open(config: &Config, clear: impl FnMut() + Send + 'static) -> Result<Self, GpioError> {
        let mut lines: Vec<(Output<OutputLine>, PulseShape)> = Vec::new();
        let mut open = |name: String, line: &Option<PulseLine>| -> Result<Option<OutputId>, GpioError> {
            let Some(line) = line else { return Ok(None) };
            lines.push((Output::<OutputLine>::open(&name, line)?, PulseShape::from(line)));
            Ok(Some(OutputId(lines.len() - 1)))
        };
        let outputs = config.station.iter().map(|station| {
            let reject = open(format!("reject of {}", station.name), &station.reject)?;
            Ok([reject, open(format!("review of {}", station.name), &station.review)?])
        });
        let outputs = outputs.collect::<Result<Vec<_>, GpioError>>()?;
        let pulses = if lines.is_empty() { None } else { Some(Arc::new(Pulses::new(lines)?)) };
        let heartbeat = config.run_ok.as_ref().map(Heartbeat::open).transpose()?.map(Arc::new);
        let held = pulses.clone();
        let mut clear = clear;
        let clear = config.clear.clone().map(|line| {
            EdgeInput::open(line, EdgeOptions::default(), move |_| {
                if let Some(pulses) = &held {
                    pulses.clear();
                }
                clear();
            })
        });
        Ok(Self { pulses, outputs, heartbeat, _clear: clear.transpose()? })
    }

    /// Nothing wired: for a device whose lines cannot be had now.
    pub(super) fn none(stations: usize) -> Self {
        Self { pulses: None, outputs: vec![[None; 2]; stations], heartbeat: None, _clear: None }
    }

    /// Waits for the pulses of parts already judged, and so much longer than the last of them should take.
    pub(super) fn drain(&self, grace: Duration) {
        if let Some(pulses) = &self.pulses
            && !Notice::while_busy(pulses.time_left() + grace, |most| pulses.drain(most))
        {
            tracing::error!("pulses were still due when the program ended; look at the last rejected parts");
        }
    }
}
