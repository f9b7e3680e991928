//! Reads pictures from a camera as a station does, by mapped buffers, and says what came.
use std::fmt::Write;
use std::fs::File;
use std::time::Duration;

use crate::camera::fourcc;
use crate::kernel::{Direction, Stream, set_format};

/// How long a picture may take to come.
const LIMIT: Duration = Duration::from_secs(5);

/// A line each: sequence, monotonic time in nanoseconds, bytes, CRC-32.
pub(crate) fn grab(node: &str, format: &str, width: u32, height: u32, count: u32) -> Result<String, String> {
    let device = File::options().read(true).write(true).open(node).map_err(|e| format!("cannot open {node}: {e}"))?;
    let at = |e: std::io::Error| format!("{node}, {width} × {height} {format}: {e}");
    set_format(&device, Direction::Capture, fourcc(format)?, width, height).map_err(at)?;
    let stream = Stream::start(&device, 4).map_err(at)?;
    let mut text = String::new();
    for _ in 0..count {
        let (buffer, bytes, sum) =
            stream.next(LIMIT, |buffer, picture| (*buffer, picture.len(), crc32(picture))).map_err(at)?;
        let time = buffer.seconds as u64 * 1_000_000_000 + buffer.microseconds as u64 * 1000;
        writeln!(text, "{} {time} {bytes} {sum:08x}", buffer.sequence).map_err(|e| e.to_string())?;
    }
    Ok(text)
}

/// The checksum of zip and PNG, bit by bit.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xEDB8_8320 & (sum & 1).wrapping_neg()))
    })
}
