//! A program that writes images to its standard output: JPEG after JPEG, or raw frames of one size. It is how RTSP, CSI
//! and GigE cameras come in. No shell is involved. The program ends with the source, its children too.

mod process;

use std::mem;
use std::time::{Duration, Instant};

use self::process::{Process, Read};
use crate::camera::jpeg_stream::JpegStream;
use crate::camera::{Camera, CameraError, MAX_IMAGE, lost, pixels, raw_format, refused};
use crate::capture::{Capture, Moment, PixelFormat};
use crate::config::Frames;
use crate::image_file::MAX_SIDE;

/// Bytes read at once: what a pipe holds.
const CHUNK: usize = 64 * 1024;

/// From one look whether the program has ended to the next: its children may keep the pipe open.
const LOOK: Duration = Duration::from_millis(200);

/// A running program and what it has written so far.
pub(super) struct Command {
    name: String,
    process: Process,
    stream: Stream,
    chunk: Box<[u8]>,
}

/// How the output is cut into images.
enum Stream {
    Jpeg(JpegStream),
    Raw(RawStream),
}

impl Command {
    /// Starts the program.
    pub(super) fn open(command: &[String], frames: &Frames) -> Result<Self, CameraError> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(refused("command", "it names no program; give program and arguments as a list"));
        };
        let name = format!("command {program}");
        let stream = match frames {
            Frames::Mjpeg => Stream::Jpeg(JpegStream::new()),
            Frames::Raw { format, width, height } => {
                Stream::Raw(RawStream::new(format, *width, *height).map_err(|reason| refused(&name, reason))?)
            }
        };
        let process = Process::start(program, arguments)
            .map_err(|error| lost(&name, format!("it does not start ({error}); install it, or give its full path")))?;
        Ok(Self { name, process, stream, chunk: vec![0; CHUNK].into_boxed_slice() })
    }
}

impl Camera for Command {
    fn next(&mut self, timeout: Duration, into: &mut Capture) -> Result<(), CameraError> {
        let begun = Instant::now();
        loop {
            let found = match &mut self.stream {
                Stream::Jpeg(stream) => match stream.next(&mut into.bytes) {
                    None => false,
                    Some(Ok(taken)) => {
                        let bytes = mem::take(&mut into.bytes);
                        into.clear();
                        (into.bytes, into.taken) = (bytes, taken);
                        true
                    }
                    Some(Err(reason)) => {
                        let reason = format!("{reason}; let the program write JPEG only");
                        return Err(CameraError::Damaged { camera: self.name.clone(), reason });
                    }
                },
                Stream::Raw(stream) => stream.next(into),
            };
            if found {
                return Ok(());
            }
            let left = timeout.saturating_sub(begun.elapsed()).min(LOOK);
            let wanted = match &self.stream {
                Stream::Jpeg(_) => CHUNK,
                // Not beyond the present frame, so that each frame's time is its own.
                Stream::Raw(stream) => stream.missing().min(CHUNK),
            };
            match self.process.read(&mut self.chunk[..wanted], left) {
                Read::Bytes(count) => match &mut self.stream {
                    Stream::Jpeg(stream) => stream.push(&self.chunk[..count]),
                    Stream::Raw(stream) => stream.push(&self.chunk[..count]),
                },
                Read::Nothing if timeout <= begun.elapsed() => return Err(CameraError::NoImage { waited: timeout }),
                Read::Nothing => {}
                Read::End(reason) => return Err(lost(&self.name, reason)),
            }
        }
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

/// Raw frames, one after the other, without anything between them.
struct RawStream {
    format: PixelFormat,
    width: u32,
    height: u32,
    stride: u32,
    length: usize,
    frame: Vec<u8>,
    began: Moment,
}

impl RawStream {
    fn new(word: &str, width: u32, height: u32) -> Result<Self, String> {
        let format =
            raw_format(word).ok_or_else(|| format!("format `{word}` is unknown; use yuyv, grey, nv12 or rgb24"))?;
        if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
            return Err(format!("{width}×{height} is no size of an image; sides are 1 to {MAX_SIDE} pixels"));
        }
        let stride = pixels::row_bytes(format, width) as u32;
        let length = pixels::image_bytes(format, width, height, stride) as usize;
        if length > MAX_IMAGE {
            return Err(format!("an image of {width}×{height} has {length} bytes, more than 64 MB; use a smaller one"));
        }
        Ok(Self { format, width, height, stride, length, frame: Vec::new(), began: Moment::now() })
    }

    fn missing(&self) -> usize {
        self.length - self.frame.len()
    }

    /// Appends what was read, at most [`Self::missing`].
    fn push(&mut self, bytes: &[u8]) {
        if self.frame.is_empty() {
            self.began = Moment::now();
        }
        self.frame.extend_from_slice(bytes);
    }

    /// Hands a whole frame over and takes the memory of the capture for the next.
    fn next(&mut self, into: &mut Capture) -> bool {
        if self.missing() > 0 {
            return false;
        }
        into.clear();
        mem::swap(&mut into.bytes, &mut self.frame);
        (into.format, into.taken) = (self.format, self.began);
        (into.width, into.height, into.stride) = (self.width, self.height, self.stride);
        true
    }
}
