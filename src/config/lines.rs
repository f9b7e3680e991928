//! GPIO lines by chip and name or number.

use schemars::JsonSchema;
use serde::Deserialize;

/// A line by its name or its offset.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum LineRef {
    /// Offset in the chip.
    Offset(u32),
    /// Name, such as `GPIO17`.
    Name(String),
}

/// An input line.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The chip's label (`pinctrl-rp1`), name (`gpiochip0`) or path; left out, the line's name is looked for on all chips.
    #[serde(default)]
    pub chip: Option<String>,
    /// Name or number.
    pub line: LineRef,
    /// The line is active when low.
    #[serde(default)]
    pub active_low: bool,
    /// `pull-up`, `pull-down`, `disabled`, or left as it is.
    #[serde(default)]
    pub bias: Option<Bias>,
}

/// A pull resistor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bias {
    /// To the supply.
    PullUp,
    /// To ground.
    PullDown,
    /// None.
    Disabled,
}

/// An output that is pulsed for a part.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PulseLine {
    /// As [`Line::chip`].
    #[serde(default)]
    pub chip: Option<String>,
    /// Name or number.
    pub line: LineRef,
    /// The line is active when low.
    #[serde(default)]
    pub active_low: bool,
    /// From the trigger (or the capture, when free-running) to the pulse, in milliseconds; 0 pulses as soon as the
    /// verdict is there.
    #[serde(default)]
    #[schemars(range(max = 600_000))]
    pub delay_ms: u32,
    /// Length of the pulse in milliseconds; 0 holds the output until it is cleared.
    #[serde(default = "default_width")]
    #[schemars(range(max = 60_000))]
    pub width_ms: u32,
    /// What to do when the verdict comes after the pulse was due.
    #[serde(default)]
    pub late: LateResult,
}

fn default_width() -> u32 {
    100
}

/// What happens to a pulse whose time has passed when the verdict comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LateResult {
    /// Pulse at once and raise the fault `late-result`: the ejector may hit the next part, which is the safe side.
    #[default]
    Now,
    /// No pulse; the fault `late-result` is raised and RUN-OK stops until a person has cleared it: a bad part passed.
    Stop,
}
