//! Everything that is asked of the kernel by number: clocks, signals, the structures of V4L2 and GPIO. All unsafe code is here.
#![expect(unsafe_code, reason = "system calls that the standard library does not have")]

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// V4L2's name of a direction: pictures come out of the device, or go into it.
#[derive(Clone, Copy)]
pub(crate) enum Direction {
    Capture = 1,
    Output = 2,
}

const VIDIOC_S_FMT: libc::c_ulong = 0xC0D0_5605;
const VIDIOC_REQBUFS: libc::c_ulong = 0xC014_5608;
const VIDIOC_QUERYBUF: libc::c_ulong = 0xC058_5609;
const VIDIOC_QBUF: libc::c_ulong = 0xC058_560F;
const VIDIOC_DQBUF: libc::c_ulong = 0xC058_5611;
const VIDIOC_STREAMON: libc::c_ulong = 0x4004_5612;
const MEMORY_MMAP: u32 = 1;
const FIELD_NONE: u32 = 1;

/// `struct v4l2_format` with its picture part, on 64-bit machines.
#[repr(C)]
struct Format {
    direction: u32,
    _gap: u32,
    width: u32,
    height: u32,
    fourcc: u32,
    field: u32,
    line_bytes: u32,
    picture_bytes: u32,
    _rest: [u32; 44],
}

/// `struct v4l2_requestbuffers`.
#[repr(C)]
struct Request {
    count: u32,
    direction: u32,
    memory: u32,
    _rest: [u32; 2],
}

/// `struct v4l2_buffer` on 64-bit machines.
#[repr(C)]
#[derive(Default, Clone, Copy)]
pub(crate) struct Buffer {
    index: u32,
    direction: u32,
    pub(crate) bytes_used: u32,
    _flags: u32,
    _field: u32,
    _gap: u32,
    pub(crate) seconds: i64,
    pub(crate) microseconds: i64,
    _timecode: [u32; 4],
    pub(crate) sequence: u32,
    memory: u32,
    offset: u64,
    length: u32,
    _rest: [u32; 3],
}

const _: () = assert!(size_of::<Format>() == 208 && size_of::<Request>() == 20 && size_of::<Buffer>() == 88);

fn ioctl<T>(device: &File, request: libc::c_ulong, argument: &mut T) -> io::Result<()> {
    // SAFETY: each request above is only used with the structure whose size is part of its number.
    let answer = unsafe { libc::ioctl(device.as_raw_fd(), request as _, std::ptr::from_mut(argument)) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sets the format; the bytes of a picture that the driver settled on. Errors when it settled on another format.
pub(crate) fn set_format(
    device: &File,
    direction: Direction,
    fourcc: [u8; 4],
    width: u32,
    height: u32,
) -> io::Result<usize> {
    let asked = u32::from_le_bytes(fourcc);
    let mut format = Format {
        direction: direction as u32,
        _gap: 0,
        width,
        height,
        fourcc: asked,
        field: FIELD_NONE,
        line_bytes: 0,
        picture_bytes: 0,
        _rest: [0; 44],
    };
    ioctl(device, VIDIOC_S_FMT, &mut format)?;
    if (format.width, format.height, format.fourcc) != (width, height, asked) {
        let fourcc = format.fourcc.to_le_bytes();
        let name = String::from_utf8_lossy(&fourcc).into_owned();
        return Err(io::Error::other(format!("the device offers {} × {} {name} instead", format.width, format.height)));
    }
    Ok(format.picture_bytes as usize)
}

/// Makes a loopback device with a format a camera, before the first picture.
pub(crate) fn announce(device: &File) -> io::Result<()> {
    ioctl(device, VIDIOC_STREAMON, &mut (Direction::Output as i32))
}

/// Mapped buffers of a capturing device, queued and streaming.
pub(crate) struct Stream<'a> {
    device: &'a File,
    maps: Vec<(*mut libc::c_void, usize)>,
}

impl<'a> Stream<'a> {
    pub(crate) fn start(device: &'a File, count: u32) -> io::Result<Self> {
        let mut request = Request { count, direction: Direction::Capture as u32, memory: MEMORY_MMAP, _rest: [0; 2] };
        ioctl(device, VIDIOC_REQBUFS, &mut request)?;
        let mut stream = Self { device, maps: Vec::new() };
        for index in 0..request.count {
            let mut buffer = Self::buffer(index);
            ioctl(device, VIDIOC_QUERYBUF, &mut buffer)?;
            let length = buffer.length as usize;
            // SAFETY: a new mapping at an address of the kernel's choice, unmapped when the stream is dropped.
            let address = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    length,
                    libc::PROT_READ,
                    libc::MAP_SHARED,
                    device.as_raw_fd(),
                    buffer.offset as libc::off_t,
                )
            };
            if address == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            stream.maps.push((address, length));
            ioctl(device, VIDIOC_QBUF, &mut buffer)?;
        }
        ioctl(device, VIDIOC_STREAMON, &mut (Direction::Capture as i32))?;
        Ok(stream)
    }

    fn buffer(index: u32) -> Buffer {
        Buffer { index, direction: Direction::Capture as u32, memory: MEMORY_MMAP, ..Buffer::default() }
    }

    /// The next picture, handed to `look`; an error when none comes within the limit.
    pub(crate) fn next<T>(&self, limit: Duration, look: impl FnOnce(&Buffer, &[u8]) -> T) -> io::Result<T> {
        let mut poll = libc::pollfd { fd: self.device.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry, as counted.
        match unsafe { libc::poll(&raw mut poll, 1, limit.as_millis() as libc::c_int) } {
            1 => {}
            0 => return Err(io::Error::new(io::ErrorKind::TimedOut, "no picture came")),
            _ => return Err(io::Error::last_os_error()),
        }
        let mut buffer = Self::buffer(0);
        ioctl(self.device, VIDIOC_DQBUF, &mut buffer)?;
        let map = self.maps.get(buffer.index as usize);
        let (address, length) =
            map.ok_or_else(|| io::Error::other("the driver named a buffer that it did not give"))?;
        let used = (buffer.bytes_used as usize).min(*length);
        // SAFETY: the mapping is that long and lives as long as `self`.
        let answer = look(&buffer, unsafe { std::slice::from_raw_parts(address.cast::<u8>(), used) });
        ioctl(self.device, VIDIOC_QBUF, &mut buffer)?;
        Ok(answer)
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        for (address, length) in &self.maps {
            // SAFETY: mapped by `start`, with this length, and no slice of it outlives `next`.
            unsafe { libc::munmap(*address, *length) };
        }
    }
}

const GPIO_V2_GET_LINE: libc::c_ulong = 0xC250_B407;
const GPIO_V2_SET_VALUES: libc::c_ulong = 0xC010_B40F;
pub(crate) const GPIO_RISING: u64 = 0b01_0100;
pub(crate) const GPIO_OUTPUT: u64 = 0b00_1000;

/// `struct gpio_v2_line_request`.
#[repr(C)]
struct LineRequest {
    offsets: [u32; 64],
    consumer: [u8; 32],
    flags: u64,
    _attributes: [u32; 66],
    count: u32,
    _rest: [u32; 6],
    file: i32,
}

/// `struct gpio_v2_line_values`.
#[repr(C)]
struct LineValues {
    bits: u64,
    mask: u64,
}

const _: () = assert!(size_of::<LineRequest>() == 592 && size_of::<LineValues>() == 16);

/// Asks the chip for one line; its edges are read from the file, 48 bytes each, the time first.
pub(crate) fn request_line(chip: &File, offset: u32, flags: u64) -> io::Result<File> {
    let mut request = LineRequest {
        offsets: [0; 64],
        consumer: [0; 32],
        flags,
        _attributes: [0; 66],
        count: 1,
        _rest: [0; 6],
        file: -1,
    };
    request.offsets[0] = offset;
    request.consumer[..5].copy_from_slice(b"relay");
    ioctl(chip, GPIO_V2_GET_LINE, &mut request)?;
    // SAFETY: the kernel just opened this file for us alone.
    Ok(unsafe { File::from_raw_fd(request.file) })
}

pub(crate) fn set_line(line: &File, high: bool) -> io::Result<()> {
    ioctl(line, GPIO_V2_SET_VALUES, &mut LineValues { bits: u64::from(high), mask: 1 })
}

fn clock(which: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec.
    unsafe { libc::clock_gettime(which, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Nanoseconds of the clock that no one sets.
pub(crate) fn monotonic() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds since 1970.
pub(crate) fn wall_clock() -> u64 {
    clock(libc::CLOCK_REALTIME)
}

/// Sets the wall clock, in seconds since 1970.
pub(crate) fn set_wall_clock(seconds: i64) -> Result<(), String> {
    let time = libc::timespec { tv_sec: seconds, tv_nsec: 0 };
    // SAFETY: the kernel reads one timespec.
    if unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const time) } < 0 {
        return Err(format!("cannot set the clock: {}", io::Error::last_os_error()));
    }
    Ok(())
}

/// Sends a signal to a process and all that it started (its group).
pub(crate) fn signal_group(leader: u32, signal: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    if unsafe { libc::kill(-(leader as libc::pid_t), signal) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

pub(crate) fn make_executable(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}
