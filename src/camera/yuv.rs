//! Rows of YUV to RGB. Refuses nothing: its callers have seen that the rows are long enough.
//!
//! YUV is BT.601 limited range (ITU-R BT.601-7, 8 bits): with y = Y − 16, u = U − 128, v = V − 128,
//! `R = (76309 y + 104597 v + 32768) >> 16`, `G = (76309 y − 25675 u − 53279 v + 32768) >> 16`,
//! `B = (76309 y + 132201 u + 32768) >> 16`, each held within 0 and 255. The factors are 2^16 times 255/219,
//! 255/112 · (1 − 0.299) and so on, to the nearest integer; the result is the exact formula's rounded value, or its
//! neighbour where that lies within 0.01 of a half. A chroma sample counts for all pixels it was taken from.
//!
//! Whole blocks go through arithmetic that compilers turn into vector instructions: factors are parted into multiples
//! of 2^16, which leave the shift as they are, and rests that fit 16 bits. Every product and sum is within its type for
//! all bytes, which the tests go through; so wrapping operators change nothing but the speed of checked builds.
#![expect(clippy::needless_range_loop, reason = "with iterators over several arrays these loops stay scalar")]

/// Pairs of pixels in a block.
const PAIRS: usize = 16;

/// Converts a row of `Y0 U Y1 V` from pixel `left` on, as many pixels as `out` holds.
pub(super) fn yuyv(row: &[u8], left: usize, out: &mut [u8]) {
    let (quads, _) = row[left / 2 * 4..].as_chunks::<4>();
    let pair = |quad: &[u8; 4]| ([quad[0], quad[2]], Chroma::of(quad[1], quad[3]));
    let (head, blocks, tail) = parts(left, out);
    edge(left, head, quads.iter().map(pair));
    let quads = &quads[head.len() / 3..];
    for (block, quads) in blocks.iter_mut().zip(quads.as_chunks::<PAIRS>().0) {
        let mut pairs = Block::default();
        for i in 0..PAIRS {
            let word = u32::from_le_bytes(quads[i]);
            let byte = |at: u32| (word >> at & 0xFF) as i16;
            pairs.set(i, [byte(0), byte(16)], [byte(8), byte(24)]);
        }
        pairs.convert(block);
    }
    edge(0, tail, quads[blocks.len() * PAIRS..].iter().map(pair));
}

/// Converts a row of luminance with its row of `U V` from pixel `left` on, as many pixels as `out` holds.
pub(super) fn nv12(luma: &[u8], chroma: &[u8], left: usize, out: &mut [u8]) {
    let (luma, (chroma, _)) = (&luma[left / 2 * 2..], chroma[left / 2 * 2..].as_chunks::<2>());
    // In an image of odd width the last pair has one pixel.
    let pair = |(luma, chroma): (&[u8], &[u8; 2])| {
        ([luma[0], *luma.get(1).unwrap_or(&luma[0])], Chroma::of(chroma[0], chroma[1]))
    };
    let (head, blocks, tail) = parts(left, out);
    edge(left, head, luma.chunks(2).zip(chroma).map(pair));
    let skipped = head.len() / 3;
    let (luma, chroma) = (&luma[skipped * 2..], &chroma[skipped..]);
    let both = luma.as_chunks::<2>().0.as_chunks::<PAIRS>().0.iter().zip(chroma.as_chunks::<PAIRS>().0);
    for (block, (luma, chroma)) in blocks.iter_mut().zip(both) {
        let mut pairs = Block::default();
        for i in 0..PAIRS {
            let bytes = |two: u16| [(two & 0xFF) as i16, (two >> 8) as i16];
            pairs.set(i, bytes(u16::from_le_bytes(luma[i])), bytes(u16::from_le_bytes(chroma[i])));
        }
        pairs.convert(block);
    }
    let done = blocks.len() * PAIRS;
    edge(0, tail, luma[done * 2..].chunks(2).zip(&chroma[done..]).map(pair));
}

/// The pixel before the first whole pair, blocks of pairs, and what is left over.
fn parts(left: usize, out: &mut [u8]) -> (&mut [u8], &mut [[u8; PAIRS * 6]], &mut [u8]) {
    let (head, body) = out.split_at_mut(left % 2 * 3);
    let (blocks, tail) = body.as_chunks_mut();
    (head, blocks, tail)
}

/// Walks over pairs of pixels that share their chroma, beginning or ending inside a pair where the region does.
fn edge(left: usize, out: &mut [u8], mut pairs: impl Iterator<Item = ([u8; 2], Chroma)>) {
    let (head, body) = out.split_at_mut(if left % 2 == 1 { 3 } else { 0 });
    if let Some(pixel) = head.first_chunk_mut::<3>()
        && let Some((luma, chroma)) = pairs.next()
    {
        *pixel = chroma.rgb(luma[1]);
    }
    let (body, tail) = body.as_chunks_mut::<6>();
    for (two, (luma, chroma)) in body.iter_mut().zip(&mut pairs) {
        let ([r, g, b], [s, h, c]) = (chroma.rgb(luma[0]), chroma.rgb(luma[1]));
        *two = [r, g, b, s, h, c];
    }
    if let Some(pixel) = tail.first_chunk_mut::<3>()
        && let Some((luma, chroma)) = pairs.next()
    {
        *pixel = chroma.rgb(luma[0]);
    }
}

/// What the two colour differences add to red, green and blue, times 2^16, with the half for rounding.
#[derive(Clone, Copy)]
struct Chroma([i32; 3]);

impl Chroma {
    fn of(u: u8, v: u8) -> Self {
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        Self([104_597 * v + 32_768, -25_675 * u - 53_279 * v + 32_768, 132_201 * u + 32_768])
    }

    fn rgb(self, luma: u8) -> [u8; 3] {
        let level = 76_309 * (i32::from(luma) - 16);
        self.0.map(|difference| ((level + difference) >> 16).clamp(0, 255) as u8)
    }
}

type Lanes = [i16; PAIRS];

/// What is added to `y + ((10773 y) >> 16)`: whole levels, and 2^16ths of one with the half for rounding.
#[derive(Clone, Copy, Default)]
struct Difference {
    whole: Lanes,
    part: [i32; PAIRS],
}

/// Pairs of pixels: y of the first and second of each, and u and v.
#[derive(Default)]
struct Block {
    luma: [Lanes; 2],
    u: Lanes,
    v: Lanes,
}

impl Block {
    /// Takes bytes as they are. They are parted by shifts, which vector instructions have.
    #[inline]
    fn set(&mut self, pair: usize, luma: [i16; 2], chroma: [i16; 2]) {
        self.luma[0][pair] = luma[0].wrapping_sub(16);
        self.luma[1][pair] = luma[1].wrapping_sub(16);
        self.u[pair] = chroma[0].wrapping_sub(128);
        self.v[pair] = chroma[1].wrapping_sub(128);
    }

    #[inline]
    fn convert(&self, out: &mut [u8; PAIRS * 6]) {
        let mut red = Difference::default();
        let mut green = Difference::default();
        let mut blue = Difference::default();
        for i in 0..PAIRS {
            let (u, v) = (self.u[i], self.v[i]);
            let (wide_u, wide_v) = (i32::from(u), i32::from(v));
            // 104597 = 2 · 2^16 − 26475, −53279 = −2^16 + 12257, 132201 = 2 · 2^16 + 1129
            red.whole[i] = v.wrapping_add(v);
            green.whole[i] = v.wrapping_neg();
            blue.whole[i] = u.wrapping_add(u);
            red.part[i] = wide_v.wrapping_mul(-26_475).wrapping_add(32_768);
            green.part[i] = wide_u.wrapping_mul(-25_675).wrapping_add(wide_v.wrapping_mul(12_257)).wrapping_add(32_768);
            blue.part[i] = wide_u.wrapping_mul(1_129).wrapping_add(32_768);
        }
        let [first, second] = &self.luma;
        let (r, g, b) = (red.add(first), green.add(first), blue.add(first));
        let (s, h, c) = (red.add(second), green.add(second), blue.add(second));
        // Two bytes a lane, in the order of the output.
        let mut twos = [[0_u16; PAIRS]; 3];
        for i in 0..PAIRS {
            twos[0][i] = r[i] | g[i] << 8;
            twos[1][i] = b[i] | s[i] << 8;
            twos[2][i] = h[i] | c[i] << 8;
        }
        for (i, six) in out.as_chunks_mut::<6>().0.iter_mut().enumerate() {
            let ([r, g], [b, s], [h, c]) =
                (twos[0][i].to_le_bytes(), twos[1][i].to_le_bytes(), twos[2][i].to_le_bytes());
            *six = [r, g, b, s, h, c];
        }
    }
}

impl Difference {
    /// The channel of pixels of that luminance, 0 to 255.
    #[inline]
    fn add(&self, luma: &Lanes) -> [u16; PAIRS] {
        let mut levels = [0; PAIRS];
        for i in 0..PAIRS {
            // 76309 = 2^16 + 10773
            let part = i32::from(luma[i]).wrapping_mul(10_773).wrapping_add(self.part[i]) >> 16;
            levels[i] = luma[i].wrapping_add(self.whole[i]).wrapping_add(part as i16).clamp(0, 255) as u16;
        }
        levels
    }
}

#[cfg(test)]
mod tests {
    use super::{Chroma, nv12, yuyv};

    /// Every third of the 2^24 triples, and all of the corners.
    #[test]
    fn integers_agree_with_the_formula() {
        let grid: Vec<u8> =
            (0..=255).filter(|level| level % 3 == 0 || [16, 128, 235, 236, 239, 241].contains(level)).collect();
        let (kr, kb) = (0.299, 0.114);
        let kg = 1.0 - kr - kb;
        let scale = 255.0 / 112.0;
        for &u in &grid {
            for &v in &grid {
                let chroma = Chroma::of(u, v);
                let (cu, cv) = (f64::from(u) - 128.0, f64::from(v) - 128.0);
                for &luma in &grid {
                    let level = 255.0 / 219.0 * (f64::from(luma) - 16.0);
                    let exact = [
                        level + scale * (1.0 - kr) * cv,
                        level - scale * (1.0 - kb) * kb / kg * cu - scale * (1.0 - kr) * kr / kg * cv,
                        level + scale * (1.0 - kb) * cu,
                    ];
                    for (found, exact) in chroma.rgb(luma).into_iter().zip(exact) {
                        let exact = exact.clamp(0.0, 255.0);
                        assert!((f64::from(found) - exact).abs() <= 0.51, "{luma} {u} {v}: {found}, {exact}");
                    }
                }
            }
        }
        assert_eq!(Chroma::of(128, 128).rgb(16), [0; 3]);
        assert_eq!(Chroma::of(128, 128).rgb(235), [255; 3]);
    }

    /// All 2^24 triples, in blocks and beside them.
    #[test]
    fn blocks_are_bit_for_bit_the_formula_in_integers() {
        let luma: Vec<u8> = (0..=255).collect();
        let (mut packed, mut planar) = ([0; 768], [0; 768]);
        let (mut quads, mut chroma) = ([0; 512], [0; 256]);
        for u in 0..=255 {
            for v in 0..=255 {
                for (i, quad) in quads.chunks_exact_mut(4).enumerate() {
                    quad.copy_from_slice(&[2 * i as u8, u, 2 * i as u8 + 1, v]);
                }
                for both in chroma.chunks_exact_mut(2) {
                    both.copy_from_slice(&[u, v]);
                }
                let formula = Chroma::of(u, v);
                for left in [0, 1, 2] {
                    let length = (256 - left) * 3;
                    yuyv(&quads, left, &mut packed[..length]);
                    nv12(&luma, &chroma, left, &mut planar[..length]);
                    let same =
                        |out: &[u8]| out.chunks_exact(3).zip(&luma[left..]).all(|(rgb, &y)| rgb == formula.rgb(y));
                    assert!(same(&packed[..length]) && same(&planar[..length]), "{u} {v} from {left}");
                }
            }
        }
    }
}
