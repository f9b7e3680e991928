//! The board's first lamp as an output, in place of an ejector.

use core::convert::Infallible;
use core::ptr;

use embedded_hal::digital::{ErrorType, OutputPin, StatefulOutputPin};

/// The register of the lamps in the FPGA's block of inputs and outputs (Arm DAI 0386C, section 3.4).
const LAMPS: *mut u32 = 0x4002_8000 as *mut u32;
/// The first of them.
const FIRST: u32 = 1;

/// The first lamp.
pub(crate) struct Led(());

impl Led {
    /// The only user of the register is this one.
    pub(crate) fn take() -> Self {
        Self(())
    }

    fn read(&self) -> u32 {
        // SAFETY: the address is that of a register of this board, aligned, always there, and read without effect.
        unsafe { ptr::read_volatile(LAMPS) }
    }

    fn write(&mut self, lamps: u32) {
        // SAFETY: as above; writing it switches lamps and nothing else. Nobody interrupts between reading and writing.
        unsafe { ptr::write_volatile(LAMPS, lamps) }
    }
}

impl ErrorType for Led {
    type Error = Infallible;
}

impl OutputPin for Led {
    fn set_low(&mut self) -> Result<(), Infallible> {
        let lamps = self.read() & !FIRST;
        self.write(lamps);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        let lamps = self.read() | FIRST;
        self.write(lamps);
        Ok(())
    }
}

impl StatefulOutputPin for Led {
    fn is_set_high(&mut self) -> Result<bool, Infallible> {
        Ok(self.read() & FIRST != 0)
    }

    fn is_set_low(&mut self) -> Result<bool, Infallible> {
        Ok(self.read() & FIRST == 0)
    }
}
