//! Depthwise convolutions of bytes for x86-64 with AVX2 and FMA, over pairs of pixels whose channels are interleaved for
//! `vpmaddwd`: no value is moved within a register where the products are made.
#![expect(unsafe_code, reason = "vector instructions and their loads")]

use std::arch::asm;
use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm_storeu_si128, _mm_unpackhi_epi64, _mm_unpacklo_epi64, _mm256_add_epi32,
    _mm256_adds_epi16, _mm256_castsi256_si128, _mm256_cvtepi8_epi16, _mm256_cvtepi32_ps, _mm256_cvtps_epi32,
    _mm256_extracti128_si256, _mm256_load_si256, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_max_epi8, _mm256_min_epi8, _mm256_mul_ps, _mm256_packs_epi16, _mm256_packs_epi32, _mm256_set1_epi8,
    _mm256_set1_epi16, _mm256_store_si256, _mm256_unpackhi_epi16, _mm256_unpacklo_epi16,
};

use super::paired::{Block, CHANNELS, Convolve, Loops, Pair, Row};

pub(super) static LOOPS: Loops = Loops { convolve, pairs, pack, order: ORDER };

/// The channels as the instructions interleave them: half by half of a register.
const ORDER: [usize; CHANNELS] = [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15];

/// Outputs that are computed together.
const MANY: usize = 4;

/// Pairs that a window of this side lies over, whether it begins at an even pixel or at an odd one.
const fn across(side: usize) -> usize {
    side / 2 + 1
}

/// Whether windows at this step begin at odd pixels, too: how many kinds of beginnings there are.
const fn kinds(step: usize) -> usize {
    if step.is_multiple_of(2) { 1 } else { 2 }
}

const fn pairs(side: usize, step: usize, outputs: usize) -> usize {
    (outputs - 1) * step / 2 + across(side)
}

fn convolve(side: usize, step: usize) -> Option<Convolve> {
    match (side, step) {
        (3, 1) => Some(row::<3, 1>),
        (3, 2) => Some(row::<3, 2>),
        (5, 1) => Some(row::<5, 1>),
        (5, 2) => Some(row::<5, 2>),
        _ => None,
    }
}

/// By row of taps, kind of beginning and pair of pixels.
fn pack(weights: &[[i8; CHANNELS]], side: usize, step: usize) -> Vec<Pair> {
    let mut packed = vec![];
    for taps in weights.chunks_exact(side) {
        for first in 0..kinds(step) {
            packed.extend((0..across(side)).map(|pair| {
                let weight = |at: usize| {
                    let tap = (2 * pair + at % 2).checked_sub(first).and_then(|tap| taps.get(tap));
                    tap.map_or(0, |tap| i16::from(tap[ORDER[at / 2]]))
                };
                Pair(std::array::from_fn(weight))
            }));
        }
    }
    packed
}

#[target_feature(enable = "avx2,fma")]
fn row<const SIDE: usize, const STEP: usize>(row: &Row<'_>, memory: &mut [Pair], out: &mut [i8]) {
    let Row { image, channels, width, fresh, lines, count, blocks, size, .. } = *row;
    assert!(count > 0 && width > 0, "{count} outputs of {width} pixels");
    assert!(lines.len() == SIDE && !blocks.is_empty(), "{} lines, {} blocks", lines.len(), blocks.len());
    let length = pairs(SIDE, STEP, count);
    let inside = |place: usize, size: usize, all: usize| place <= all && all - place >= size;
    assert!(fresh.iter().all(|[from, _]| inside(*from, width * channels, image.len())), "the image ends too soon");
    let mut places = fresh.iter().map(|[_, to]| to).chain(lines);
    assert!(places.all(|place| inside(*place, length, size)), "the lines end too soon");
    assert!(memory.len() >= blocks.len() * size, "the memory ends too soon");
    assert!(out.len() >= count * channels, "too few results");
    assert!(blocks.iter().all(|block| block.start + CHANNELS <= channels), "a block ends too late");
    let weights = SIDE * kinds(STEP) * across(SIDE);
    assert!(blocks.iter().all(|block| block.weights.len() >= weights), "the weights end too soon");
    for &[from, to] in fresh {
        // SAFETY: asserted above.
        unsafe { interleave(row, from, memory.as_mut_ptr().add(to), length) };
    }
    for (block, memory) in blocks.iter().zip(memory.chunks_exact_mut(size)) {
        let (memory, out) = (memory.as_ptr(), out.as_mut_ptr());
        let whole = count - count % MANY;
        // SAFETY: the assertions hold what `count` outputs see and write inside the slices.
        unsafe {
            for at in (0..whole).step_by(MANY) {
                outputs::<SIDE, STEP, MANY>(row, block, memory, at, out);
            }
            match count % MANY {
                1 => outputs::<SIDE, STEP, 1>(row, block, memory, whole, out),
                2 => outputs::<SIDE, STEP, 2>(row, block, memory, whole, out),
                3 => outputs::<SIDE, STEP, 3>(row, block, memory, whole, out),
                _ => {}
            }
        }
    }
}

/// Writes the pairs of the line of the image that begins at `from`, pixel by pixel for all blocks: what lies together in
/// the image is read together.
///
/// # Safety
/// The line lies inside the image, and `memory` holds `length` pairs for each block, `row.size` apart.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn interleave(row: &Row<'_>, from: usize, memory: *mut Pair, length: usize) {
    let Row { image, channels, width, before, blocks, size, .. } = *row;
    let padding = _mm256_set1_epi16(i16::from(row.padding));
    let (start, end) = (blocks[0].start, blocks[blocks.len() - 1].start);
    let first = before.div_ceil(2).min(length);
    let last = usize::midpoint(before, width).min(length);
    // SAFETY: each pixel of the line has 16 channels from a block's start on; the pairs are the caller's promise.
    unsafe {
        let line = image.as_ptr().add(from);
        let load = |place: *const i8| _mm256_cvtepi8_epi16(_mm_loadu_si128(place.cast()));
        let store = |pair: *mut Pair, first: __m256i, second: __m256i| {
            let place = pair.cast::<__m256i>();
            _mm256_store_si256(place, _mm256_unpacklo_epi16(first, second));
            _mm256_store_si256(place.add(1), _mm256_unpackhi_epi16(first, second));
        };
        for at in (0..first).chain(last..length) {
            let inside = |at: usize| Some(at.wrapping_sub(before)).filter(|&at| at < width);
            for (at_block, block) in blocks.iter().enumerate() {
                let [x, y] = [2 * at, 2 * at + 1]
                    .map(|at| inside(at).map_or(padding, |at| load(line.add(at * channels + block.start))));
                store(memory.add(at + at_block * size), x, y);
            }
        }
        for at in first..last {
            let pixels = line.add((2 * at - before) * channels);
            let mut pair = memory.add(at);
            let mut channel = start;
            for _ in blocks {
                let pixel = pixels.add(channel);
                store(pair, load(pixel), load(pixel.add(channels)));
                channel = (channel + CHANNELS).min(end);
                pair = pair.wrapping_add(size);
            }
        }
    }
}

/// `place`, in a way that keeps the compiler from loading once what two outputs need: as an operand in memory a value
/// takes part in a product just as fast, and a load by itself takes room where instructions wait.
#[expect(clippy::pointers_in_nomem_asm_block, reason = "nothing is read there")]
#[inline]
fn apart(mut place: *const __m256i) -> *const __m256i {
    // SAFETY: there is no instruction in it.
    unsafe {
        asm!("/* {0} */", inout(reg) place, options(nomem, nostack, preserves_flags));
    }
    place
}

/// The same values, in a way that keeps the compiler from beginning with the next line before the sums of this one are
/// there: it would have more values in hand than there are registers.
#[expect(clippy::pointers_in_nomem_asm_block, reason = "nothing is read there")]
#[inline]
#[target_feature(enable = "avx2,fma")]
fn line_by_line([mut a, mut b]: [__m256i; 2], mut weights: *const __m256i) -> ([__m256i; 2], *const __m256i) {
    // SAFETY: there is no instruction in it.
    unsafe {
        asm!(
            "/* {0} {1} {2} */", inout(ymm_reg) a, inout(ymm_reg) b, inout(reg) weights,
            options(nomem, nostack, preserves_flags),
        );
    }
    ([a, b], weights)
}

/// Computes P outputs from `at` on, which is even.
///
/// # Safety
/// The row is checked and has P outputs from `at` on, what they see is interleaved, and `out` holds the row's results.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn outputs<const SIDE: usize, const STEP: usize, const P: usize>(
    row: &Row<'_>,
    block: &Block,
    memory: *const Pair,
    at: usize,
    out: *mut i8,
) {
    // SAFETY: as the caller promises; half a pair lies at a multiple of 32 bytes.
    unsafe {
        let bias = block.bias.as_ptr();
        let mut sums = [[_mm256_loadu_si256(bias.cast()), _mm256_loadu_si256(bias.add(8).cast())]; P];
        let mut weights = block.weights.as_ptr().cast::<__m256i>();
        for line in 0..SIDE {
            let pixels = memory.add(row.lines.get_unchecked(line) + at * STEP / 2).cast::<__m256i>();
            // At step 1 two outputs have the same weights, else they see the same pixels: each reads them itself.
            let pixels = [pixels, if STEP == 1 { pixels } else { apart(pixels) }];
            let own = [weights, if STEP == 1 { apart(weights) } else { weights }];
            for half in 0..2 {
                for pair in 0..across(SIDE) {
                    for (o, sums) in sums.iter_mut().enumerate() {
                        let first = o * STEP;
                        let pixels = pixels[o % 2].add(2 * (first / 2 + pair) + half);
                        let weights = own[o / 2 % 2].add(2 * (first % 2 * across(SIDE) + pair) + half);
                        let products = _mm256_madd_epi16(_mm256_load_si256(pixels), _mm256_load_si256(weights));
                        sums[half] = _mm256_add_epi32(sums[half], products);
                    }
                }
            }
            weights = weights.add(2 * kinds(STEP) * across(SIDE));
            for sums in &mut sums {
                (*sums, weights) = line_by_line(*sums, weights);
            }
        }
        for (two, sums) in sums.chunks(2).enumerate() {
            let out = out.add((at + 2 * two) * row.channels + block.start);
            let first = words(row, block, sums[0]);
            let [first, second] = bytes(row, first, sums.get(1).map_or(first, |&sums| words(row, block, sums)));
            _mm_storeu_si128(out.cast(), first);
            if sums.len() == 2 {
                _mm_storeu_si128(out.add(row.channels).cast(), second);
            }
        }
    }
}

/// Rounded results with their zero point, the channels in order again. What is beyond 16 bits is beyond the bounds, too.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn words(row: &Row<'_>, block: &Block, sums: [__m256i; 2]) -> __m256i {
    let factors = block.factors.as_ptr();
    // SAFETY: a block has 16 factors.
    let factors = unsafe { [_mm256_loadu_ps(factors), _mm256_loadu_ps(factors.add(8))] };
    let [low, high] = [0, 1].map(|h| _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(sums[h]), factors[h])));
    _mm256_adds_epi16(_mm256_packs_epi32(low, high), _mm256_set1_epi16(i16::from(row.zero)))
}

/// Bytes of two outputs within the bounds.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn bytes(row: &Row<'_>, first: __m256i, second: __m256i) -> [__m128i; 2] {
    let all = _mm256_packs_epi16(first, second);
    let all = _mm256_min_epi8(_mm256_max_epi8(all, _mm256_set1_epi8(row.low)), _mm256_set1_epi8(row.high));
    // Each half has eight channels of both.
    let (near, far) = (_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
    [_mm_unpacklo_epi64(near, far), _mm_unpackhi_epi64(near, far)]
}
