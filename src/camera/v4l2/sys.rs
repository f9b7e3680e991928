//! The calls to the kernel's video interface, each behind a safe function. Refuses nothing itself: what the kernel
//! refuses comes back as its error.
#![expect(unsafe_code, reason = "ioctl and mmap have no safe form in the standard library")]

use std::ffi::c_void;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr::{self, NonNull};

use super::uapi::{
    Buffer, CAPTURE, Capability, DQBUF, ENUM_FMT, ENUM_FRAMESIZES, Format, FormatDescription, FrameSize, MMAP, QBUF,
    QUERYBUF, QUERYCAP, REQBUFS, RequestBuffers, S_FMT, S_PARM, STREAMOFF, STREAMON, StreamParameters,
};

/// An open video node.
pub(super) struct Node(File);

impl Node {
    /// Opens it so that no call waits for an image.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path).map(Self)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Calls `ioctl` with the structure that belongs to the code; its size is part of the code.
    fn call<T: Copy>(&self, code: libc::Ioctl, argument: &mut T) -> io::Result<()> {
        loop {
            // SAFETY: the descriptor is open for as long as `self` lives. Every code used here was made from the size of
            // the very `T` that is passed (private function, see the callers), so the kernel reads and writes within
            // `argument`, which is a plain structure without padding that matters and lives through the call. The kernel
            // keeps no pointer to it.
            let result = unsafe { libc::ioctl(self.0.as_raw_fd(), code, ptr::from_mut(argument).cast::<c_void>()) };
            match result {
                -1 => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    pub(super) fn capability(&self) -> io::Result<Capability> {
        let mut capability = Capability::default();
        self.call(QUERYCAP, &mut capability)?;
        Ok(capability)
    }

    /// The format of that index; an error ends the list.
    pub(super) fn format(&self, index: u32) -> io::Result<FormatDescription> {
        let mut format = FormatDescription { index, kind: CAPTURE, ..FormatDescription::default() };
        self.call(ENUM_FMT, &mut format)?;
        Ok(format)
    }

    /// The size of that index; an error ends the list.
    pub(super) fn frame_size(&self, fourcc: u32, index: u32) -> io::Result<FrameSize> {
        let mut size = FrameSize { index, fourcc, ..FrameSize::default() };
        self.call(ENUM_FRAMESIZES, &mut size)?;
        Ok(size)
    }

    /// Sets the format; the kernel writes what it made of it.
    pub(super) fn set_format(&self, format: &mut Format) -> io::Result<()> {
        self.call(S_FMT, format)
    }

    pub(super) fn set_parameters(&self, parameters: &mut StreamParameters) -> io::Result<()> {
        self.call(S_PARM, parameters)
    }

    /// Asks for buffers; returns how many there are.
    pub(super) fn request_buffers(&self, count: u32) -> io::Result<u32> {
        let mut request = RequestBuffers { count, kind: CAPTURE, memory: MMAP, ..RequestBuffers::default() };
        self.call(REQBUFS, &mut request)?;
        Ok(request.count)
    }

    /// Maps the buffer of that index.
    pub(super) fn map(&self, index: u32) -> io::Result<Mapping> {
        let mut buffer = blank(index);
        self.call(QUERYBUF, &mut buffer)?;
        let length = buffer.length as usize;
        let offset = libc::off_t::try_from(buffer.offset & 0xFFFF_FFFF)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "offset of a buffer"))?;
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing of ours; length and offset are those
        // the driver named for this buffer. A length of 0 is refused by the kernel.
        let start = unsafe {
            libc::mmap(ptr::null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, self.0.as_raw_fd(), offset)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast::<u8>()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Mapping { start, length })
    }

    /// Hands the buffer of that index to the driver.
    pub(super) fn queue(&self, index: u32) -> io::Result<()> {
        self.call(QBUF, &mut blank(index))
    }

    /// Takes a filled buffer; [`io::ErrorKind::WouldBlock`] when there is none.
    pub(super) fn dequeue(&self) -> io::Result<Buffer> {
        let mut buffer = blank(0);
        self.call(DQBUF, &mut buffer)?;
        Ok(buffer)
    }

    pub(super) fn stream_on(&self) -> io::Result<()> {
        self.call(STREAMON, &mut (CAPTURE as i32))
    }

    pub(super) fn stream_off(&self) -> io::Result<()> {
        self.call(STREAMOFF, &mut (CAPTURE as i32))
    }
}

fn blank(index: u32) -> Buffer {
    Buffer { index, kind: CAPTURE, memory: MMAP, ..Buffer::default() }
}

/// A driver's buffer, mapped for reading.
pub(super) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

impl Mapping {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Copies the first `length` bytes out, at most all there are. A device that still writes gives torn pixels, no more.
    pub(super) fn copy_to(&self, length: usize, into: &mut Vec<u8>) {
        let length = length.min(self.length);
        into.clear();
        into.reserve(length);
        // SAFETY: the mapping is `self.length` bytes long, readable, and lives as long as `self`; the vector has room for
        // `length` bytes, all of which are written before its length is set; the two do not overlap. No reference into
        // the mapping is made, so that the device may write to it meanwhile.
        unsafe {
            ptr::copy_nonoverlapping(self.start.as_ptr(), into.as_mut_ptr(), length);
            into.set_len(length);
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: start and length are those of the mapping, which is unmapped once, here; nothing points into it.
        unsafe {
            libc::munmap(self.start.as_ptr().cast(), self.length);
        }
    }
}

// SAFETY: the mapping belongs to the process, not to the thread that made it, and only `self` refers to it.
unsafe impl Send for Mapping {}
