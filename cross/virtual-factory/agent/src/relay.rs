//! The least that a station does with its pins: a pulse on an output for each rising edge of an input, through the
//! kernel's character device. Its time from edge to edge is what the machine itself costs; a station's own is the rest.
use std::fs::File;
use std::io::Read;
use std::thread;
use std::time::Duration;

use crate::gpio::Chip;
use crate::kernel;

const PULSE: Duration = Duration::from_millis(1);

/// Prints the kernel's time of each edge, after the pulse. Ends only by an error.
pub(crate) fn relay(input: &str, output: &str) -> Result<(), String> {
    let chip = Chip::find("shelfwatch-sim")?;
    let device = File::open(chip.node()).map_err(|e| format!("cannot open {}: {e}", chip.node()))?;
    let request = |name: &str, flags| {
        kernel::request_line(&device, chip.offset(name)?, flags).map_err(|e| format!("cannot have line {name}: {e}"))
    };
    let mut edges = request(input, kernel::GPIO_RISING)?;
    let line = request(output, kernel::GPIO_OUTPUT)?;
    println!("ready");
    loop {
        let mut event = [0; 48];
        edges.read_exact(&mut event).map_err(|e| format!("no more edges of {input}: {e}"))?;
        for high in [true, false] {
            kernel::set_line(&line, high).map_err(|e| format!("cannot set {output}: {e}"))?;
            thread::sleep(if high { PULSE } else { Duration::ZERO });
        }
        println!("{}", u64::from_ne_bytes(event.first_chunk().copied().unwrap_or_default()));
    }
}
