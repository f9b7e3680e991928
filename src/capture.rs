//! An image as a source delivered it: undecoded bytes, when it was taken and what asked for it.

use std::mem;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// How the bytes of a [`Capture`] are to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PixelFormat {
    /// A whole image file of any format that `image_file` reads; JPEG from cameras.
    #[default]
    File,
    /// Packed 4:2:2, `Y0 U Y1 V`, BT.601 limited range.
    Yuyv,
    /// 8-bit luminance.
    Grey,
    /// 8-bit red, green, blue.
    Rgb24,
    /// 4:2:0, a plane of Y and one of interleaved U and V, BT.601 limited range.
    Nv12,
}

impl PixelFormat {
    /// The word in configuration and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Yuyv => "yuyv",
            Self::Grey => "grey",
            Self::Rgb24 => "rgb24",
            Self::Nv12 => "nv12",
        }
    }
}

/// A point in time on both clocks: intervals come from the monotonic one, which no one can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// `CLOCK_MONOTONIC`, the clock of kernel timestamps of lines and cameras.
    pub monotonic: Duration,
    /// UTC, for records only.
    pub wall: Timestamp,
}

/// `CLOCK_MONOTONIC` now.
pub fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    // The monotonic clock counts from the start of the machine: neither part is ever negative.
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

impl Moment {
    /// This moment, on both clocks.
    pub fn now() -> Self {
        Self { monotonic: monotonic(), wall: Timestamp::now() }
    }

    /// The moment that a kernel timestamp of `CLOCK_MONOTONIC` means; the wall clock is reckoned back from now, and is
    /// never ahead of it.
    pub fn at(monotonic: Duration) -> Self {
        let now = Self::now();
        let age = now.monotonic.saturating_sub(monotonic);
        Self { monotonic, wall: now.wall.checked_sub(age).unwrap_or(now.wall) }
    }
}

/// What asked for an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// Counts the triggers of a station from 1.
    pub number: u64,
    /// When the part was there: the kernel's timestamp of the edge, or the arrival of the message.
    pub at: Moment,
}

/// An image with its circumstances. The buffer is handed back to the source and filled again.
#[derive(Clone, Debug)]
pub struct Capture {
    /// How to read `bytes`.
    pub format: PixelFormat,
    /// Pixels a row; 0 for [`PixelFormat::File`], whose bytes say it.
    pub width: u32,
    /// Rows; 0 for [`PixelFormat::File`].
    pub height: u32,
    /// Bytes from one row to the next; 0 for [`PixelFormat::File`].
    pub stride: u32,
    /// The original bytes, as they are kept in the archive.
    pub bytes: Vec<u8>,
    /// When it was taken.
    pub taken: Moment,
    /// What asked for it; `None` when free-running.
    pub trigger: Option<Trigger>,
    /// The file it came from, for the folder source.
    pub file: Option<PathBuf>,
}

impl Capture {
    /// Without bytes, taken now; for a source to fill.
    pub fn empty() -> Self {
        Self {
            format: PixelFormat::File,
            width: 0,
            height: 0,
            stride: 0,
            bytes: Vec::new(),
            taken: Moment::now(),
            trigger: None,
            file: None,
        }
    }

    /// Forgets what it held and keeps the memory.
    pub fn clear(&mut self) {
        let mut bytes = mem::take(&mut self.bytes);
        bytes.clear();
        *self = Self { bytes, ..Self::empty() };
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use jiff::Timestamp;

    use super::{Moment, monotonic};

    #[test]
    fn is_the_clock_of_instants() {
        let (before, start) = (monotonic(), Instant::now());
        std::thread::sleep(Duration::from_millis(20));
        let (after, passed) = (monotonic(), start.elapsed());
        assert!(after.checked_sub(before).unwrap() >= passed.saturating_sub(Duration::from_millis(1)));
    }

    #[test]
    fn an_age_turns_the_wall_clock_back() {
        let hour = Duration::from_hours(1);
        let then = Moment::at(monotonic().saturating_sub(hour));
        let age = Timestamp::now().duration_since(then.wall).unsigned_abs();
        // A machine that has run for less than an hour has no such past.
        assert!(monotonic() < hour || age >= hour && age < hour + Duration::from_secs(10), "{age:?}");
        let future = Moment::at(monotonic() + hour);
        assert!(future.wall <= Timestamp::now());
    }

    #[test]
    fn both_clocks_run_together() {
        let first = Moment::now();
        std::thread::sleep(Duration::from_millis(5));
        let second = Moment::now();
        assert!(second.monotonic >= first.monotonic + Duration::from_millis(5));
        let again = Moment::at(first.monotonic);
        assert_eq!(again.monotonic, first.monotonic);
        // The wall clock may be set while the test runs, but hardly by a second.
        assert!((again.wall.as_millisecond() - first.wall.as_millisecond()).abs() < 1000);
        for wild in [Duration::ZERO, Duration::MAX] {
            assert!(Moment::at(wild).wall <= Timestamp::MAX);
        }
    }
}
