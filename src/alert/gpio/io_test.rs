//! For wiring: pulses each configured output in turn and tells every change of the inputs meanwhile.

use std::fmt::Display;
use std::time::Duration;

use embedded_hal::digital::OutputPin;
use gpiocdev::line::EdgeDetection;
use serde::Serialize;

use super::error::GpioError;
use super::input::Watched;
use super::output::{Output, OutputLine};
use crate::capture::monotonic;
use crate::config::{Config, Line, Trigger};

/// How long an output is active that has no width of its own.
const LENGTH: Duration = Duration::from_millis(500);
/// No output is active for longer than this.
const LONGEST: Duration = Duration::from_secs(2);
/// Between two outputs, so that one sees them apart.
const PAUSE: Duration = Duration::from_millis(300);
/// How often the inputs are looked at.
const LOOK: Duration = Duration::from_millis(5);

/// The lines of a configuration, with names a technician knows them by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IoLines {
    /// Name, line, and how long it is made active.
    pub outputs: Vec<(String, Line, Duration)>,
    /// Name and line.
    pub inputs: Vec<(String, Line)>,
}

impl From<&Config> for IoLines {
    fn from(config: &Config) -> Self {
        let mut lines = Self::default();
        for station in &config.station {
            let pulsed = [("reject", &station.reject), ("review", &station.review)];
            for (what, line) in pulsed.into_iter().filter_map(|(what, line)| Some((what, line.as_ref()?))) {
                let width = Duration::from_millis(line.width_ms.into());
                let width = if width.is_zero() { LENGTH } else { width.min(LONGEST) };
                lines.outputs.push((format!("{} {what}", station.name), line.into(), width));
            }
            if let Trigger::Gpio { input, .. } = &station.trigger {
                lines.inputs.push((format!("{} trigger", station.name), input.clone()));
            }
        }
        lines.outputs.extend(config.run_ok.iter().map(|line| ("run-ok".to_owned(), line.into(), LENGTH)));
        lines.inputs.extend(config.clear.iter().map(|line| ("clear".to_owned(), line.clone())));
        lines
    }
}

/// What is seen of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Seen {
    /// An output was made active or inactive.
    Output {
        /// The output.
        name: String,
        /// Whether it is active now.
        active: bool,
    },
    /// An input's level at the beginning, or after a change.
    Input {
        /// The input.
        name: String,
        /// Whether it is active now.
        active: bool,
        /// Milliseconds since the test began, by the kernel's timestamp.
        at_ms: u64,
    },
    /// A line does not work.
    Failed {
        /// The line's name.
        name: String,
        /// A word that does not change.
        code: &'static str,
        /// What is wrong, with the remedy.
        error: String,
    },
}

/// Tells the level of an input at first and then each change with its time; polled every few milliseconds.
pub type Probe = Box<dyn FnMut(&mut dyn FnMut(bool, Duration)) -> Result<(), GpioError>>;

/// Tests the lines: each output is active once, then the inputs are watched until `watch` has passed. A line that fails
/// does not hinder the others. Gives the number of lines that failed.
pub fn run(lines: &IoLines, watch: Duration, tell: &mut dyn FnMut(&Seen)) -> usize {
    let mut failed = 0;
    let mut fails = |name: &str, error: &GpioError| {
        failed += 1;
        tell(&Seen::Failed { name: name.to_owned(), code: error.code(), error: error.to_string() });
    };
    let mut inputs: Vec<(String, Probe)> = Vec::new();
    for (name, line) in &lines.inputs {
        match probe(line) {
            Ok(probe) => inputs.push((name.clone(), probe)),
            Err(error) => fails(name, &error),
        }
    }
    let mut outputs: Vec<(Output<OutputLine>, Duration)> = Vec::new();
    for (name, line, width) in &lines.outputs {
        match Output::of(name, line.clone()) {
            Ok(output) => outputs.push((output, *width)),
            Err(error) => fails(name, &error),
        }
    }
    failed + run_on(&mut outputs, &mut inputs, watch, tell)
}

/// The same over lines that are open already. A line that fails is told once and left alone from then on.
pub fn run_on<P: OutputPin<Error: Display>>(
    outputs: &mut [(Output<P>, Duration)],
    inputs: &mut Vec<(String, Probe)>,
    watch: Duration,
    tell: &mut dyn FnMut(&Seen),
) -> usize {
    let start = monotonic();
    let mut failed = 0;
    for (output, width) in outputs {
        let switched = switch(output, true, tell).and_then(|()| {
            failed += look(inputs, start, *width, tell);
            switch(output, false, tell)
        });
        if let Err(error) = switched {
            failed += 1;
            tell(&Seen::Failed { name: output.name.clone(), code: error.code(), error: error.to_string() });
            // The error is told; making it inactive is one more try.
            let _ = output.set(false);
        }
        failed += look(inputs, start, PAUSE, tell);
    }
    failed + look(inputs, start, (start + watch).saturating_sub(monotonic()), tell)
}

fn switch<P>(output: &mut Output<P>, active: bool, tell: &mut dyn FnMut(&Seen)) -> Result<(), GpioError>
where
    P: OutputPin<Error: Display>,
{
    output.set(active)?;
    tell(&Seen::Output { name: output.name.clone(), active });
    Ok(())
}

/// Watches the inputs for so long and gives the number of those that failed.
fn look(inputs: &mut Vec<(String, Probe)>, start: Duration, long: Duration, tell: &mut dyn FnMut(&Seen)) -> usize {
    let (until, before) = (monotonic() + long, inputs.len());
    loop {
        inputs.retain_mut(|(name, probe)| {
            let probed = probe(&mut |active, at: Duration| {
                let at_ms = at.saturating_sub(start).as_millis() as u64;
                tell(&Seen::Input { name: name.clone(), active, at_ms });
            });
            if let Err(error) = &probed {
                tell(&Seen::Failed { name: name.clone(), code: error.code(), error: error.to_string() });
            }
            probed.is_ok()
        });
        let left = until.saturating_sub(monotonic());
        if left.is_zero() {
            return before - inputs.len();
        }
        std::thread::sleep(left.min(LOOK));
    }
}

/// The probe of a line of the kernel.
fn probe(line: &Line) -> Result<Probe, GpioError> {
    let mut input = Watched::open(line, EdgeDetection::BothEdges)?;
    let mut first = Some((input.level()?, monotonic()));
    Ok(Box::new(move |tell| {
        first.take().into_iter().for_each(|(active, at)| tell(active, at));
        input.edges(Duration::ZERO, &mut |edge| tell(edge.active, edge.at)).map(drop)
    }))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use embedded_hal::digital::{ErrorType, OutputPin};

    use super::{IoLines, Probe, Seen, run_on};
    use crate::alert::gpio::{GpioError, Output};
    use crate::capture::monotonic;
    use crate::config::Config;

    #[derive(Default)]
    struct Levels(Vec<bool>);

    impl ErrorType for Levels {
        type Error = Infallible;
    }

    impl OutputPin for Levels {
        fn set_low(&mut self) -> Result<(), Infallible> {
            self.0.push(false);
            Ok(())
        }

        fn set_high(&mut self) -> Result<(), Infallible> {
            self.0.push(true);
            Ok(())
        }
    }

    #[test]
    fn the_lines_of_a_configuration_have_names() {
        let config: Config = serde_json::from_value(serde_json::json!({
            "site": "s",
            "device": "d",
            "run_ok": { "line": "GPIO5" },
            "clear": { "line": 6, "active_low": true, "bias": "pull-up" },
            "station": [{
                "name": "left",
                "shelf": "a.shelf",
                "source": { "http": { "url": "http://camera/" } },
                "trigger": { "gpio": { "input": { "chip": "c", "line": 7 } } },
                "reject": { "line": "GPIO17", "active_low": true, "width_ms": 60000 },
                "review": { "line": "GPIO18", "width_ms": 0 },
            }],
        }))
        .unwrap();
        let lines = IoLines::from(&config);
        let outputs: Vec<_> = lines.outputs.iter().map(|(name, _, width)| (name.as_str(), width.as_millis())).collect();
        assert_eq!(outputs, [("left reject", 2000), ("left review", 500), ("run-ok", 500)]);
        assert!(lines.outputs[0].1.active_low && lines.inputs[1].1.active_low);
        assert_eq!(lines.inputs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["left trigger", "clear"]);
    }

    #[test]
    fn outputs_are_pulsed_in_turn_and_inputs_told() {
        let output = |name: &str, active_low| Output { name: name.to_owned(), pin: Levels::default(), active_low };
        let long = Duration::from_millis(20);
        let mut outputs = [(output("reject", false), long), (output("run-ok", true), long)];
        let mut looks = 0;
        let button: Probe = Box::new(move |tell| {
            looks += 1;
            if looks == 1 {
                tell(true, monotonic());
            }
            Ok(())
        });
        let broken: Probe = Box::new(|_| Err(GpioError::Lost { line: "7".to_owned(), reason: "gone".to_owned() }));
        let mut inputs = vec![("clear".to_owned(), button), ("trigger".to_owned(), broken)];
        let mut seen = Vec::new();
        let failed = run_on(&mut outputs, &mut inputs, Duration::ZERO, &mut |what| {
            seen.push(serde_json::to_value(what).unwrap());
        });
        assert_eq!((failed, inputs.len()), (1, 1));
        assert_eq!(outputs[0].0.pin.0, [true, false]);
        assert_eq!(outputs[1].0.pin.0, [false, true], "active low");
        let words: Vec<_> =
            seen.iter().map(|seen| (seen["what"].as_str().unwrap(), seen["name"].as_str().unwrap())).collect();
        let (out, run_ok) = (("output", "reject"), ("output", "run-ok"));
        assert_eq!(words, [out, ("input", "clear"), ("failed", "trigger"), out, run_ok, run_ok]);
        assert_eq!(seen[2]["code"], "gpio-lost");
        let all = serde_json::to_value(Seen::Input { name: "clear".to_owned(), active: true, at_ms: 3 }).unwrap();
        assert_eq!(all, serde_json::json!({ "what": "input", "name": "clear", "active": true, "at_ms": 3 }));
    }
}
