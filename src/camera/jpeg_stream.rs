//! Splits a stream of bytes into JPEG images. Refuses images beyond 64 MB, and finds its way back after garbage.

use crate::camera::MAX_IMAGE;
use crate::camera::jpeg_walk::{Outcome, Size, Walk};
use crate::capture::Moment;

/// The bytes that came and how far they were understood.
pub(super) struct JpegStream {
    buffer: Vec<u8>,
    /// Bytes of the buffer that are done with; they go when the next ones come.
    done: usize,
    /// The walk over the image that begins at `done`, with the moment its first byte came.
    image: Option<(Walk, Moment)>,
    last_size: Size,
    /// Nothing was lost since the last whole image.
    in_step: bool,
}

impl JpegStream {
    pub(super) fn new() -> Self {
        Self { buffer: Vec::new(), done: 0, image: None, last_size: None, in_step: true }
    }

    /// Appends what was read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.done);
        self.done = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole image, copied into `into`, with the moment its first byte came; the reason, where one was
    /// damaged; `None` when more bytes are needed.
    pub(super) fn next(&mut self, into: &mut Vec<u8>) -> Option<Result<Moment, &'static str>> {
        let (mut walk, began) = match self.image.take() {
            Some(image) => image,
            None => self.seek()?,
        };
        let bytes = &self.buffer[self.done..];
        match walk.go_on(bytes) {
            Outcome::Short if bytes.len() > MAX_IMAGE => {
                Some(Err(self.lose(bytes.len(), "it has no end within 64 MB")))
            }
            Outcome::Short => {
                self.image = Some((walk, began));
                None
            }
            Outcome::Damaged(length, reason) => Some(Err(self.lose(length, reason))),
            Outcome::Whole(length) => {
                into.clear();
                into.extend_from_slice(&bytes[..length]);
                self.done += length;
                // After lost bytes a thumbnail inside a header could pass for an image; its size gives it away.
                let stray = !self.in_step && self.last_size.is_some() && self.last_size != walk.size();
                (self.last_size, self.in_step) = (walk.size(), true);
                Some(if stray {
                    Err("after lost bytes its size is another, as that of a thumbnail")
                } else {
                    Ok(began)
                })
            }
        }
    }

    fn lose(&mut self, length: usize, reason: &'static str) -> &'static str {
        self.done += length;
        self.in_step = false;
        reason
    }

    /// Drops what lies before the next start of an image.
    fn seek(&mut self) -> Option<(Walk, Moment)> {
        let rest = &self.buffer[self.done..];
        let found = rest.windows(3).position(|bytes| bytes == [0xFF, 0xD8, 0xFF]);
        // The last two bytes may begin a start.
        self.done += found.unwrap_or(rest.len().saturating_sub(2));
        found.map(|_| (Walk::new(), Moment::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::JpegStream;

    /// Start, a comment that holds a whole small image, a frame header of the given height, a scan with a stuffed byte
    /// and a restart, end.
    fn image(height: u8) -> Vec<u8> {
        let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xFE, 0, 2 + TINY.len() as u8];
        bytes.extend(TINY);
        bytes.extend([0xFF, 0xFF, 0xC0, 0, 11, 8, 0, height, 0, 9, 1, 1, 0x11, 0]);
        bytes.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0, 1, 2, 0xFF, 0, 3, 0xFF, 0xD0, 4, 0xFF, 0xFF, 0xD9]);
        bytes
    }

    /// A whole image, as a thumbnail would be.
    const TINY: [u8; 21] = [0xFF, 0xD8, 0xFF, 0xC0, 0, 10, 8, 0, 1, 0, 1, 0, 0, 0, 0xFF, 0xDA, 0, 2, 7, 0xFF, 0xD9];

    /// What comes out when the bytes come in pieces of that size: images' lengths, and 0 for a damaged one.
    fn split(bytes: &[u8], piece: usize) -> Vec<usize> {
        let (mut stream, mut into, mut found) = (JpegStream::new(), Vec::new(), Vec::new());
        for bytes in bytes.chunks(piece) {
            stream.push(bytes);
            while let Some(outcome) = stream.next(&mut into) {
                found.push(outcome.map_or(0, |_| into.len()));
            }
        }
        found
    }

    #[test]
    fn images_are_whole_whatever_the_pieces() {
        let one = image(7);
        let whole = one.len();
        let mut stream = one.clone();
        stream.extend(b"noise \xFF\xD8 noise \xFF");
        stream.extend(&one);
        stream.extend(&one);
        for piece in [1, 2, 3, 7, 1000] {
            assert_eq!(split(&stream, piece), [whole; 3], "pieces of {piece}");
        }
        // An image that is cut short costs itself and the next, or what fits into 64 KB where its cut segment names a
        // length of nonsense; never more, and nothing that is not an image comes out.
        let followers = 1200;
        let most_lost = 65_536 / whole + 2;
        for cut in 3..whole - 1 {
            let mut stream = one.clone();
            stream.extend(&one[..cut]);
            (0..followers).for_each(|_| stream.extend(&one));
            let found = split(&stream, 4096);
            let good = found.iter().filter(|&&length| length == whole).count();
            let costs = 1 + followers - good;
            // Behind the marker of the comment, of the frame header, of the scan.
            let before_length = matches!(cut, 4 | 30 | 43);
            assert!(costs <= if before_length { most_lost } else { 5 }, "cut at {cut}: {costs} images lost");
            // Cut inside a header, one image may be patched together from it and the next one's thumbnail; decoding tells.
            let strange = found.iter().filter(|&&length| length != whole && length != 0).count();
            assert!(strange <= usize::from(cut < 51), "cut at {cut}: {strange}");
            assert_eq!(found.last(), Some(&whole), "cut at {cut}");
        }
    }

    #[test]
    fn a_thumbnail_is_no_image() {
        let one = image(7);
        let mut stream = one.clone();
        // A start whose segment has no length, right before a comment with a thumbnail.
        stream.extend([0xFF, 0xD8, 0xFF, 0xE1, 0, 0]);
        stream.extend(&TINY);
        stream.extend(&one);
        assert_eq!(split(&stream, 5), [one.len(), 0, 0, one.len()]);
        // A change of size without loss is one.
        let other = image(8);
        assert_eq!(split(&[one.clone(), other.clone()].concat(), 5), [one.len(), other.len()]);
    }

    #[test]
    fn endless_images_and_garbage_end() {
        let mut stream = JpegStream::new();
        let mut into = Vec::new();
        stream.push(&image(7)[..40]);
        let block = vec![7; 1 << 20];
        let lost = (0..80).find_map(|_| {
            stream.push(&block);
            stream.next(&mut into)
        });
        assert!(lost.expect("an endless image is given up").is_err());
        for _ in 0..80 {
            stream.push(&block);
            assert!(stream.next(&mut into).is_none());
        }
        assert!(stream.buffer.capacity() < 3 * super::MAX_IMAGE);
    }
}
