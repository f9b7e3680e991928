//! Walks over a JPEG image by its markers, as far as it has come: `FFD9` inside a segment (a thumbnail, a comment)
//! ends nothing. Refuses what no decoder would read: stray bytes, a segment without length, a start inside.

const START: u8 = 0xD8;
const END: u8 = 0xD9;
const SCAN: u8 = 0xDA;

/// What the walk came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The end has not come yet.
    Short,
    /// The image ends after so many bytes.
    Whole(usize),
    /// It is damaged, for this reason; a new search begins after so many bytes.
    Damaged(usize, &'static str),
}

/// Width and height as in the frame header, big-endian.
pub(super) type Size = Option<[u8; 4]>;

/// A walk that was begun; it goes on where it stopped when more bytes have come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    /// First byte not looked at; may lie beyond the bytes, where a segment has not come in full.
    at: usize,
    in_scan: bool,
    /// A scan has come, without which there is no picture.
    scanned: bool,
    size: Size,
}

impl Walk {
    /// A walk over bytes that begin with the start marker; other bytes come out as damaged.
    pub(super) fn new() -> Self {
        Self { at: 0, in_scan: false, scanned: false, size: None }
    }

    /// The size, once the frame header was passed.
    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// Goes on over the same image, which may have grown since.
    pub(super) fn go_on(&mut self, bytes: &[u8]) -> Outcome {
        loop {
            let step = if self.in_scan { self.scan(bytes) } else { self.marker(bytes) };
            if let Some(outcome) = step {
                return outcome;
            }
        }
    }

    fn marker(&mut self, bytes: &[u8]) -> Option<Outcome> {
        let Some(rest) = bytes.get(self.at..) else { return Some(Outcome::Short) };
        let fill = rest.iter().take_while(|&&byte| byte == 0xFF).count();
        let Some(&code) = rest.get(fill) else {
            // One of the fill bytes is kept: it begins the marker.
            self.at += fill.saturating_sub(1);
            return Some(Outcome::Short);
        };
        let after = self.at + fill + 1;
        match code {
            _ if fill == 0 => Some(Outcome::Damaged(self.at, "it has bytes outside of any segment")),
            0x00 => Some(Outcome::Damaged(after, "it has data outside of a scan")),
            START if self.at == 0 && fill == 1 => {
                self.at = after;
                None
            }
            _ if self.at == 0 => Some(Outcome::Damaged(after, "it does not begin as a JPEG image does")),
            START => Some(Outcome::Damaged(after - 2, "it is cut short by the next one")),
            END if !self.scanned => Some(Outcome::Damaged(after, "it ends before its picture")),
            END => Some(Outcome::Whole(after)),
            0x01 | 0xD0..=0xD7 => {
                self.at = after;
                None
            }
            _ => self.segment(bytes, after, code),
        }
    }

    /// Steps over a segment whose length stands at `start`.
    fn segment(&mut self, bytes: &[u8], start: usize, code: u8) -> Option<Outcome> {
        let head = bytes.get(start..).unwrap_or_default();
        let &[high, low, ..] = head else { return Some(Outcome::Short) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length < 2 {
            return Some(Outcome::Damaged(start, "it has a segment without a length"));
        }
        // Frame headers are C0 to CF without the tables at C4, C8 and CC; the size follows the precision.
        if matches!(code, 0xC0..=0xCF) && !matches!(code, 0xC4 | 0xC8 | 0xCC) && length >= 7 {
            let Some(size) = head.get(3..7) else { return Some(Outcome::Short) };
            self.size = size.first_chunk().copied();
        }
        self.at = start + length;
        self.in_scan = code == SCAN;
        self.scanned |= self.in_scan;
        None
    }

    /// Runs through entropy-coded data to the marker that ends it: `FF00` is data, `FFD0`–`FFD7` are restarts.
    fn scan(&mut self, bytes: &[u8]) -> Option<Outcome> {
        while let Some(offset) = bytes.get(self.at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xFF)) {
            self.at += offset;
            match bytes.get(self.at + 1) {
                None => return Some(Outcome::Short),
                Some(0x00 | 0xD0..=0xD7) => self.at += 2,
                Some(0xFF) => self.at += 1,
                Some(_) => {
                    self.in_scan = false;
                    return None;
                }
            }
        }
        self.at = self.at.max(bytes.len());
        Some(Outcome::Short)
    }
}

/// Whether one whole image begins at the first byte; what follows its end is free.
pub(super) fn is_whole(bytes: &[u8]) -> Result<(), &'static str> {
    match Walk::new().go_on(bytes) {
        Outcome::Whole(_) => Ok(()),
        Outcome::Short => Err("it is cut short"),
        Outcome::Damaged(_, reason) => Err(reason),
    }
}
