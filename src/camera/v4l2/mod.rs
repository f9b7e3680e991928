//! Cameras of the Linux kernel, by memory-mapped buffers. Refuses multi-planar devices, interlaced halves, and formats
//! other than YUYV, NV12, RGB24, GREY and JPEG; each of those comes in through a command.

mod choice;
mod sys;
mod uapi;

use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use self::choice::{KNOWN, Known, Offer, Sizes, choose};
use self::sys::{Mapping, Node};
use self::uapi::{Buffer, Format, Pixels, StreamParameters};
use crate::camera::poll::readable;
use crate::camera::{Camera, CameraError, jpeg_walk, lost, pixels, refused};
use crate::capture::{Capture, Moment, PixelFormat, monotonic};
use crate::image_file::MAX_SIDE;

/// Buffers asked for: one is filled while others wait for a busy moment of ours to pass.
const BUFFERS: u32 = 4;
/// A stamp of a clock without a name counts as monotonic up to this age; images never wait so long.
const RECENT: Duration = Duration::from_secs(10);
/// Most entries of a driver's list that are read; real ones have dozens.
const MOST_LISTED: u32 = 256;

/// What is asked of the camera.
pub(super) struct Wish<'a> {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) fps: Option<u32>,
    pub(super) format: Option<&'a str>,
}

/// A streaming camera.
pub(super) struct Video {
    name: String,
    // Mappings go before the node, and both after the stream was stopped.
    mappings: Vec<Mapping>,
    node: Node,
    format: PixelFormat,
    width: u32,
    height: u32,
    stride: u32,
}

impl Video {
    /// Opens the node, sets the nearest format and starts the stream.
    pub(super) fn open(path: &Path, wish: &Wish) -> Result<Self, CameraError> {
        let name = format!("camera {}", path.display());
        let gone = |deed: &str, error: &io::Error| lost(&name, format!("{deed} failed ({error}); {}", remedy(error)));
        let node = Node::open(path).map_err(|error| gone("opening it", &error))?;
        check_abilities(&node, &name)?;
        let offers = offers(&node);
        let chosen = choose(&offers, [wish.width, wish.height], wish.format);
        let Some((known, size)) = chosen else {
            let reason = format!(
                "it offers {}; set `format` to one that it has, or use a command such as ffmpeg",
                offered(&offers, &node)
            );
            return Err(refused(name, reason));
        };
        let pixels = set_format(&node, &KNOWN[known], size).map_err(|reason| refused(&name, reason))?;
        if let Some(fps) = wish.fps.filter(|&fps| fps > 0) {
            // Many drivers have one rate only and refuse; the images' own timestamps tell what it is.
            _ = node.set_parameters(&mut StreamParameters::new([1, fps]));
        }
        let count = node.request_buffers(BUFFERS).map_err(|error| gone("asking for buffers", &error))?;
        let mappings: io::Result<Vec<Mapping>> = (0..count).map(|index| node.map(index)).collect();
        let mappings = mappings.map_err(|error| gone("mapping its buffers", &error))?;
        if mappings.is_empty() {
            return Err(lost(name, "the driver gave no buffers; free memory, or raise the kernel's `cma=`"));
        }
        let format = KNOWN[known].format;
        let stride = match format {
            PixelFormat::File => 0,
            _ => pixels.bytes_per_line.max(pixels::row_bytes(format, pixels.width) as u32),
        };
        let video = Self { name, mappings, node, format, width: pixels.width, height: pixels.height, stride };
        let start = || -> io::Result<()> {
            (0..count).try_for_each(|index| video.node.queue(index))?;
            video.node.stream_on()
        };
        match start() {
            Ok(()) => Ok(video),
            Err(error) => Err(lost(&video.name, format!("starting the stream failed ({error}); {}", remedy(&error)))),
        }
    }

    /// Copies a filled buffer out.
    fn take(&self, buffer: &Buffer, into: &mut Capture) -> Result<(), CameraError> {
        let damaged = |reason: &str| CameraError::Damaged {
            camera: self.name.clone(),
            reason: format!("{reason}; check cable, hub and bandwidth"),
        };
        if buffer.flags & uapi::FLAG_ERROR != 0 {
            return Err(damaged("the driver marked it as damaged"));
        }
        let Some(mapping) = self.mappings.get(buffer.index as usize) else {
            return Err(damaged("the driver named a buffer that does not exist"));
        };
        let used = buffer.bytes_used as usize;
        if used == 0 || used > mapping.len() {
            return Err(damaged("it is empty or larger than its buffer"));
        }
        into.clear();
        mapping.copy_to(used, &mut into.bytes);
        if self.format == PixelFormat::File {
            jpeg_walk::is_whole(&into.bytes).map_err(damaged)?;
        } else {
            (into.width, into.height, into.stride) = (self.width, self.height, self.stride);
            let need = pixels::image_bytes(self.format, self.width, self.height, self.stride);
            if (used as u64) < need {
                return Err(damaged(&format!("it has {used} of {need} bytes")));
            }
        }
        into.format = self.format;
        into.taken = taken(buffer);
        Ok(())
    }
}

impl Camera for Video {
    fn next(&mut self, timeout: Duration, into: &mut Capture) -> Result<(), CameraError> {
        let begun = Instant::now();
        let mut woken = false;
        loop {
            match self.node.dequeue() {
                Ok(buffer) => {
                    let outcome = self.take(&buffer, into);
                    // The buffer goes back even after a damaged image, else the stream would run dry.
                    self.node.queue(buffer.index).map_err(|error| {
                        lost(&self.name, format!("giving a buffer back failed ({error}); {}", remedy(&error)))
                    })?;
                    return outcome;
                }
                // A driver that wakes us for nothing must not cost a core.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && woken => {
                    thread::sleep(Duration::from_millis(2));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    return Err(lost(&self.name, format!("reading failed ({error}); {}", remedy(&error))));
                }
            }
            let left = timeout.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(CameraError::NoImage { waited: timeout });
            }
            // Errors of the device wake the wait as images do, and then come out of the next dequeue.
            [woken] = readable([self.node.fd()], left)
                .map_err(|error| lost(&self.name, format!("waiting failed ({error}); {}", remedy(&error))))?;
        }
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Drop for Video {
    fn drop(&mut self) {
        // A device that has gone cannot be stopped, and closing stops it in any case.
        _ = self.node.stream_off();
    }
}

fn check_abilities(node: &Node, name: &str) -> Result<(), CameraError> {
    let capability = node
        .capability()
        .map_err(|error| refused(name, format!("it is no video device ({error}); name a node such as /dev/video0")))?;
    let abilities =
        if capability.capabilities & uapi::CAP_DEVICE != 0 { capability.device_caps } else { capability.capabilities };
    if abilities & uapi::CAP_CAPTURE == 0 {
        return Err(refused(
            name,
            if abilities & uapi::CAP_CAPTURE_MPLANE != 0 {
                "it has multi-planar formats only; use a command such as rpicam-vid, ffmpeg or gst-launch-1.0"
            } else {
                "it captures no images; name another node of the camera (`v4l2-ctl --list-devices` shows them)"
            },
        ));
    }
    if abilities & uapi::CAP_STREAMING == 0 {
        return Err(refused(name, "it has no streaming; use a command such as ffmpeg"));
    }
    Ok(())
}

/// What the camera has of the formats read here.
fn offers(node: &Node) -> Vec<Offer> {
    let mut offers = Vec::new();
    for description in (0..MOST_LISTED).map_while(|index| node.format(index).ok()) {
        let Some(known) = KNOWN.iter().position(|known| known.fourcc == description.fourcc) else { continue };
        let listed = offers.len();
        for size in (0..MOST_LISTED).map_while(|index| node.frame_size(description.fourcc, index).ok()) {
            let [a, b, c, d, e, f] = size.size;
            if size.kind != uapi::SIZE_DISCRETE {
                offers.push(Offer { known, sizes: Sizes::Range([[a, b, c], [d, e, f]]) });
                break;
            }
            offers.push(Offer { known, sizes: Sizes::One([a, b]) });
        }
        if offers.len() == listed {
            offers.push(Offer { known, sizes: Sizes::Any });
        }
    }
    offers
}

/// The formats of the camera by their names, for a message.
fn offered(offers: &[Offer], node: &Node) -> String {
    let mut words: Vec<String> = offers.iter().map(|offer| KNOWN[offer.known].word.to_owned()).collect();
    if words.is_empty() {
        let codes = (0..MOST_LISTED).map_while(|index| node.format(index).ok());
        words = codes.map(|format| String::from_utf8_lossy(&format.fourcc.to_le_bytes()).into_owned()).collect();
    }
    words.dedup();
    if words.is_empty() { "no format".to_owned() } else { words.join(", ") }
}

/// Sets format and size; the driver may change the size, and everything else is refused.
fn set_format(node: &Node, known: &Known, size: [u32; 2]) -> Result<Pixels, String> {
    let [width, height] = size;
    let wanted = Pixels { width, height, fourcc: known.fourcc, field: uapi::FIELD_NONE, ..Pixels::default() };
    let mut format = Format::new(wanted);
    node.set_format(&mut format)
        .map_err(|error| format!("it takes no {} of {width}×{height} ({error}); {}", known.word, remedy(&error)))?;
    let got = format.pixels;
    if got.fourcc != known.fourcc {
        return Err(format!("it does not keep to {}; set another `format`", known.word));
    }
    if !matches!(got.field, uapi::FIELD_ANY | uapi::FIELD_NONE | uapi::FIELD_INTERLACED) {
        return Err("it sends half pictures (fields); use a command that deinterlaces, such as ffmpeg".to_owned());
    }
    if got.width == 0 || got.height == 0 || got.width > MAX_SIDE || got.height > MAX_SIDE {
        return Err(format!("its size of {}×{} cannot be used; set `width` and `height`", got.width, got.height));
    }
    Ok(got)
}

/// When the image was taken, by the kernel's timestamp where that is of the monotonic clock, else now.
fn taken(buffer: &Buffer) -> Moment {
    let is_monotonic = buffer.flags & uapi::FLAG_CLOCK == uapi::FLAG_MONOTONIC;
    trusted(buffer.time, is_monotonic, monotonic()).map_or_else(Moment::now, Moment::at)
}

/// The time of a stamp on the monotonic clock. Drivers such as v4l2loopback do not name the clock that they use; a stamp
/// shortly before now is of the monotonic one, for the wall clock is decades ahead. Where an image waited for us, "now"
/// would lie after a trigger that it was taken before, and a part would be judged by the image of another.
fn trusted([seconds, micros]: [isize; 2], is_named: bool, now: Duration) -> Option<Duration> {
    let micros = u32::try_from(micros).ok().filter(|micros| *micros < 1_000_000)?;
    let stamp = Duration::new(u64::try_from(seconds).ok()?, micros * 1000);
    // One that lies ahead is none, whatever its clock: the image is here already.
    let age = now.checked_sub(stamp)?;
    (is_named || age <= RECENT).then_some(stamp)
}

fn remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENOENT) => "plug the camera in, or name its node under /dev/v4l/by-path",
        Some(libc::EACCES | libc::EPERM) => "add the service's user to the group `video`",
        Some(libc::EBUSY) => "stop the other program that uses the camera",
        Some(libc::ENODEV | libc::ENXIO | libc::EIO) => "the camera was unplugged or failed: check cable and power",
        Some(libc::ENOSPC) => "the USB bus has no bandwidth left: use another port, a smaller size or `mjpg`",
        Some(libc::ENOMEM) => "free memory, or raise the kernel's `cma=`",
        _ => "check the camera with `v4l2-ctl --all`",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::trusted;

    #[test]
    fn a_stamp_is_believed_where_its_clock_is_named_or_plain() {
        let now = Duration::from_secs(500);
        let stamp = Some(Duration::from_millis(499_250));
        assert_eq!(trusted([499, 250_000], true, now), stamp);
        assert_eq!(
            trusted([500, 1], true, now),
            None,
            "the kernel's vivid stamps the end of an exposure that is yet to come"
        );
        assert_eq!(trusted([499, 250_000], false, now), stamp);
        // A wall clock, one that is not set, one ahead of ours, and nonsense.
        for time in [[1_800_000_000, 0], [0, 0], [501, 0], [-1, 0], [499, 1_000_000], [499, -1]] {
            assert_eq!(trusted(time, false, now), None, "{time:?}");
        }
    }
}
