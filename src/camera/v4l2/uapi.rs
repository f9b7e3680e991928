//! The kernel's structures for capture in a single plane (`linux/videodev2.h`), right on 64-bit and 32-bit machines.
//! Multi-planar devices are not served: their structures are others.

use std::mem::size_of;

/// `V4L2_BUF_TYPE_VIDEO_CAPTURE`.
pub(super) const CAPTURE: u32 = 1;
/// `V4L2_MEMORY_MMAP`.
pub(super) const MMAP: u32 = 1;
/// `V4L2_CAP_VIDEO_CAPTURE`, `V4L2_CAP_VIDEO_CAPTURE_MPLANE`, `V4L2_CAP_STREAMING`, `V4L2_CAP_DEVICE_CAPS`.
pub(super) const CAP_CAPTURE: u32 = 0x1;
pub(super) const CAP_CAPTURE_MPLANE: u32 = 0x1000;
pub(super) const CAP_STREAMING: u32 = 0x0400_0000;
pub(super) const CAP_DEVICE: u32 = 0x8000_0000;
/// `V4L2_FIELD_ANY`, `V4L2_FIELD_NONE` and `V4L2_FIELD_INTERLACED`: both fields of a picture in one buffer.
pub(super) const FIELD_ANY: u32 = 0;
pub(super) const FIELD_NONE: u32 = 1;
pub(super) const FIELD_INTERLACED: u32 = 4;
/// `V4L2_FRMSIZE_TYPE_DISCRETE`; the other types give a range.
pub(super) const SIZE_DISCRETE: u32 = 1;
/// `V4L2_BUF_FLAG_ERROR`.
pub(super) const FLAG_ERROR: u32 = 0x40;
/// `V4L2_BUF_FLAG_TIMESTAMP_MASK` and `V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC`.
pub(super) const FLAG_CLOCK: u32 = 0xE000;
pub(super) const FLAG_MONOTONIC: u32 = 0x2000;

/// `struct v4l2_capability`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Capability {
    pub(super) driver: [u8; 16],
    pub(super) card: [u8; 32],
    pub(super) bus_info: [u8; 32],
    pub(super) version: u32,
    pub(super) capabilities: u32,
    pub(super) device_caps: u32,
    pub(super) reserved: [u32; 3],
}

/// `struct v4l2_fmtdesc`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct FormatDescription {
    pub(super) index: u32,
    pub(super) kind: u32,
    pub(super) flags: u32,
    pub(super) description: [u8; 32],
    pub(super) fourcc: u32,
    pub(super) mbus_code: u32,
    pub(super) reserved: [u32; 3],
}

/// `struct v4l2_frmsizeenum`. `size` is width and height, or least, most and step of the width and of the height.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct FrameSize {
    pub(super) index: u32,
    pub(super) fourcc: u32,
    pub(super) kind: u32,
    pub(super) size: [u32; 6],
    pub(super) reserved: [u32; 2],
}

/// `struct v4l2_pix_format`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Pixels {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) fourcc: u32,
    pub(super) field: u32,
    pub(super) bytes_per_line: u32,
    pub(super) size_image: u32,
    pub(super) colorspace: u32,
    pub(super) private: u32,
    pub(super) flags: u32,
    pub(super) encoding: u32,
    pub(super) quantization: u32,
    pub(super) transfer: u32,
}

/// `struct v4l2_format`: other members of its union hold pointers, so it is aligned as one.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Format {
    pub(super) kind: u32,
    align: [usize; 0],
    pub(super) pixels: Pixels,
    rest: [u8; 200 - size_of::<Pixels>()],
}

impl Format {
    pub(super) fn new(pixels: Pixels) -> Self {
        Self { kind: CAPTURE, align: [], pixels, rest: [0; 200 - size_of::<Pixels>()] }
    }
}

/// `struct v4l2_streamparm` for capture.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct StreamParameters {
    pub(super) kind: u32,
    capability: u32,
    mode: u32,
    /// Numerator and denominator of the seconds from one image to the next.
    pub(super) interval: [u32; 2],
    rest: [u8; 200 - 16],
}

impl StreamParameters {
    pub(super) fn new(interval: [u32; 2]) -> Self {
        Self { kind: CAPTURE, capability: 0, mode: 0, interval, rest: [0; 200 - 16] }
    }
}

/// `struct v4l2_requestbuffers`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct RequestBuffers {
    pub(super) count: u32,
    pub(super) kind: u32,
    pub(super) memory: u32,
    pub(super) capabilities: u32,
    pub(super) flags: [u8; 4],
}

/// `struct v4l2_buffer`. The time is the kernel's `long` twice: on 32-bit machines this is the structure with 32-bit
/// times, which kernels of every age take there; monotonic time overflows it after 68 years of uptime.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Buffer {
    pub(super) index: u32,
    pub(super) kind: u32,
    pub(super) bytes_used: u32,
    pub(super) flags: u32,
    pub(super) field: u32,
    /// Seconds and microseconds.
    pub(super) time: [isize; 2],
    pub(super) timecode: [u32; 4],
    pub(super) sequence: u32,
    pub(super) memory: u32,
    /// Where to map it; the union is as wide as a pointer, and on little-endian machines this is its low half.
    pub(super) offset: usize,
    pub(super) length: u32,
    pub(super) reserved: u32,
    pub(super) request: u32,
}

/// Direction bits of an ioctl number, and the letter of video devices.
const READ: libc::Ioctl = 2;
const WRITE: libc::Ioctl = 1;
const LETTER: libc::Ioctl = 0x56;

/// `_IOC(direction, 'V', number, sizeof(T))` as on ARM, x86 and RISC-V.
const fn code<T>(direction: libc::Ioctl, number: libc::Ioctl) -> libc::Ioctl {
    direction << 30 | (size_of::<T>() as libc::Ioctl) << 16 | LETTER << 8 | number
}

pub(super) const QUERYCAP: libc::Ioctl = code::<Capability>(READ, 0);
pub(super) const ENUM_FMT: libc::Ioctl = code::<FormatDescription>(READ | WRITE, 2);
pub(super) const S_FMT: libc::Ioctl = code::<Format>(READ | WRITE, 5);
pub(super) const REQBUFS: libc::Ioctl = code::<RequestBuffers>(READ | WRITE, 8);
pub(super) const QUERYBUF: libc::Ioctl = code::<Buffer>(READ | WRITE, 9);
pub(super) const QBUF: libc::Ioctl = code::<Buffer>(READ | WRITE, 15);
pub(super) const DQBUF: libc::Ioctl = code::<Buffer>(READ | WRITE, 17);
pub(super) const STREAMON: libc::Ioctl = code::<i32>(WRITE, 18);
pub(super) const STREAMOFF: libc::Ioctl = code::<i32>(WRITE, 19);
pub(super) const S_PARM: libc::Ioctl = code::<StreamParameters>(READ | WRITE, 22);
pub(super) const ENUM_FRAMESIZES: libc::Ioctl = code::<FrameSize>(READ | WRITE, 74);

// Sizes as the C compiler has them: `sizeof` on x86-64 and arm64, and on 32-bit ARM with 32-bit times.
const WIDE: bool = size_of::<usize>() == 8;
const _: () = {
    assert!(cfg!(target_endian = "little"));
    assert!(size_of::<Capability>() == 104);
    assert!(size_of::<FormatDescription>() == 64);
    assert!(size_of::<FrameSize>() == 44);
    assert!(size_of::<Pixels>() == 48);
    assert!(size_of::<Format>() == if WIDE { 208 } else { 204 });
    assert!(size_of::<StreamParameters>() == 204);
    assert!(size_of::<RequestBuffers>() == 20);
    assert!(size_of::<Buffer>() == if WIDE { 88 } else { 68 });
    assert!(std::mem::offset_of!(Buffer, time) == if WIDE { 24 } else { 20 });
    assert!(std::mem::offset_of!(Buffer, offset) == if WIDE { 64 } else { 52 });
    assert!(std::mem::offset_of!(Format, pixels) == if WIDE { 8 } else { 4 });
    assert!(std::mem::offset_of!(StreamParameters, interval) == 12);
    // Numbers as the kernel's own header gives them on 64-bit machines.
    assert!(!WIDE || QUERYCAP as u32 == 0x8068_5600);
    assert!(!WIDE || S_FMT as u32 == 0xC0D0_5605);
    assert!(!WIDE || DQBUF as u32 == 0xC058_5611);
    assert!(!WIDE || STREAMON as u32 == 0x4004_5612);
    assert!(!WIDE || ENUM_FRAMESIZES as u32 == 0xC02C_564A);
};
