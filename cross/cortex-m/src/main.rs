//! Judges features on a Cortex-M4 with a shelf in flash, without a heap: score, verdict, and a pin for each rejected part.
//! A line a part on the semihosting console: number, bits of the score, verdict, level of the pin.
#![no_std]
#![no_main]

mod board;
mod stack;

use cortex_m_rt::entry;
use cortex_m_semihosting::debug::{EXIT_FAILURE, EXIT_SUCCESS, exit};
use cortex_m_semihosting::hprintln;
use embedded_hal::digital::{OutputPin, StatefulOutputPin};
use shelfwatch_core::{Decider, DeciderOptions, Error, Shelf};

use board::Led;

/// The shelf, detached: the backbone runs elsewhere.
static SHELF: &[u8] = include_bytes!(env!("SHELFWATCH_SHELF"));
/// For each part D values of the feature and C logits, f32, little-endian.
static FEATURES: &[u8] = include_bytes!(env!("SHELFWATCH_FEATURES"));

/// Room for D and C, and for twice D: 4 kB each.
const ROOM: usize = 1024;
/// Between two parts, in milliseconds.
const PITCH: u64 = 100;

#[entry]
fn main() -> ! {
    stack::paint();
    match judge() {
        Ok(()) => {
            hprintln!("stack {}", stack::used());
            exit(EXIT_SUCCESS);
        }
        Err(error) => {
            hprintln!("error: {}", error);
            exit(EXIT_FAILURE);
        }
    }
    loop {
        cortex_m::asm::wfi();
    }
}

fn judge() -> Result<(), Error> {
    let shelf = Shelf::parse(SHELF)?;
    let dims = shelf.header().dims;
    let (d, c) = (dims.feature as usize, dims.classes as usize);
    let (mut values, mut scratch) = ([0.0_f32; ROOM], [0.0_f32; ROOM]);
    let expected = ROOM / 2;
    if d + c > ROOM || d > expected {
        return Err(Error::Dimension { name: "feature", expected, found: d });
    }
    let mut decider = Decider::new(DeciderOptions::default()).map_err(|_| Error::NotFinite("options"))?;
    let mut reject = Led::take();
    for (number, part) in FEATURES.chunks_exact(4 * (d + c)).enumerate() {
        for (value, bytes) in values.iter_mut().zip(part.chunks_exact(4)) {
            *value = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        let (feature, rest) = values.split_at(d);
        let score = shelf.score(feature, &rest[..c], &mut scratch)?;
        let decision = decider.decide(Some(shelf.judge(score)), number as u64 * PITCH);
        let Ok(()) = reject.set_state(decision.signal.into());
        let Ok(high) = reject.is_set_high();
        hprintln!("{} {:08x} {} {}", number, score.to_bits(), decision.verdict.name(), u8::from(high));
    }
    Ok(())
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    hprintln!("panic: {}", info);
    exit(EXIT_FAILURE);
    loop {
        cortex_m::asm::wfi();
    }
}
