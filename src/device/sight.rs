//! Whether an image shows anything: black, overexposed and repeated images are faults of the camera, not parts.

use crate::config::Health;
use crate::device::FaultCode;
use crate::frame::Frame;

/// Pixels looked at, at most: enough for percentiles, and far below a millisecond.
const SAMPLES: usize = 16_384;

/// Looks at each image of one camera.
#[derive(Debug)]
pub struct Sight {
    limits: Health,
    last: Option<u32>,
    repeats: u32,
}

impl Sight {
    /// Begins with no image seen.
    pub fn new(limits: Health) -> Self {
        Self { limits, last: None, repeats: 0 }
    }

    /// What is wrong with the image: `original` are its bytes as the camera gave them.
    pub fn fault(&mut self, original: &[u8], frame: &Frame) -> Option<(FaultCode, String)> {
        if let Some(fault) = self.frozen(original) {
            return Some(fault);
        }
        let [dark, bright] = percentiles(frame);
        if bright < self.limits.black_below {
            let text = format!("image is black (99 % of it below level {bright}); check light, lens cap and exposure");
            return Some((FaultCode::ImageBlack, text));
        }
        if dark > self.limits.white_above {
            let text = format!("image is overexposed (99 % of it above level {dark}); check light and exposure");
            return Some((FaultCode::ImageOverexposed, text));
        }
        None
    }

    fn frozen(&mut self, original: &[u8]) -> Option<(FaultCode, String)> {
        if self.limits.frozen_after == 0 {
            return None;
        }
        let sum = crc32fast::hash(original);
        self.repeats = if self.last == Some(sum) { self.repeats.saturating_add(1) } else { 0 };
        self.last = Some(sum);
        let seen = self.repeats.saturating_add(1);
        (seen >= self.limits.frozen_after && seen > 1).then(|| {
            let text = format!("the same image came {seen} times in a row; restart the camera or its program");
            (FaultCode::ImageFrozen, text)
        })
    }
}

/// The levels that 1 % and 99 % of the pixels' luminance lie below (BT.601 weights).
fn percentiles(frame: &Frame) -> [u8; 2] {
    let pixels = frame.rgb().len() / 3;
    let step = pixels.div_ceil(SAMPLES).max(1);
    let mut histogram = [0_u32; 256];
    let mut count = 0_u32;
    for pixel in frame.rgb().chunks_exact(3).step_by(step) {
        let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
        histogram[((77 * r + 150 * g + 29 * b) >> 8) as usize] += 1;
        count += 1;
    }
    [count / 100, count - count / 100 - 1].map(|rank| {
        let mut below = 0;
        histogram
            .iter()
            .position(|here| {
                below += here;
                below > rank
            })
            .map_or(255, |level| level as u8)
    })
}

#[cfg(test)]
mod tests {
    use super::Sight;
    use crate::config::Health;
    use crate::device::FaultCode;
    use crate::frame::Frame;

    fn frame(level: impl Fn(usize) -> u8) -> Frame {
        Frame::new(40, 30, (0..40 * 30).flat_map(|i| [level(i); 3]).collect()).unwrap()
    }

    fn fault(sight: &mut Sight, frame: &Frame) -> Option<FaultCode> {
        sight.fault(frame.rgb(), frame).map(|(code, _)| code)
    }

    #[test]
    fn black_white_and_frozen_are_found_and_parts_are_not() {
        let mut sight = Sight::new(Health { frozen_after: 3, ..Health::default() });
        // Hot pixels do not make a black image a part, nor do dead ones an overexposed one.
        assert_eq!(fault(&mut sight, &frame(|i| if i % 200 == 7 { 255 } else { 3 })), Some(FaultCode::ImageBlack));
        assert_eq!(
            fault(&mut sight, &frame(|i| if i % 200 == 7 { 0 } else { 255 })),
            Some(FaultCode::ImageOverexposed)
        );
        let part = frame(|i| (i % 200) as u8);
        assert_eq!(fault(&mut sight, &part), None);
        assert_eq!(fault(&mut sight, &part), None);
        assert_eq!(fault(&mut sight, &part), Some(FaultCode::ImageFrozen));
        assert_eq!(fault(&mut sight, &frame(|i| (i % 201) as u8)), None);
        // A dark part on a dark belt with a few bright places is a part.
        assert_eq!(fault(&mut sight, &frame(|i| if i % 40 == 0 { 90 } else { 5 })), None);
        // One pixel is an image too.
        assert_eq!(fault(&mut sight, &Frame::new(1, 1, vec![9; 3]).unwrap()), Some(FaultCode::ImageBlack));
    }

    #[test]
    fn repeats_do_not_matter_where_that_is_switched_off() {
        let mut sight = Sight::new(Health { frozen_after: 0, ..Health::default() });
        let part = frame(|i| (i % 200) as u8);
        assert!((0..100).all(|_| fault(&mut sight, &part).is_none()));
    }
}
