//! The transforms of Winograd's algorithm as plain loops, compiled for x86-64 with AVX2 and FMA.

#![expect(clippy::inline_always, reason = "compiled inside of functions with more instructions")]

use super::winograd::{CHANNELS, Transforms};

/// Columns of sums that are transformed together; kernels have a multiple of them.
const COLUMNS: usize = 8;

pub(super) static TRANSFORMS: Transforms =
    Transforms { spread: spread_bytes, spread_real, collect: collect_integers, collect_real };

#[target_feature(enable = "avx2,fma")]
fn spread_bytes(windows: &[i8], channels: usize, out: &mut [i16]) {
    spread(windows, channels, out);
}

#[target_feature(enable = "avx2,fma")]
fn spread_real(windows: &[f32], channels: usize, out: &mut [f32]) {
    spread(windows, channels, out);
}

#[target_feature(enable = "avx2,fma")]
fn collect_integers(sums: &[i32], bias: &[i32], out: &mut [i32]) {
    collect(sums, bias, out);
}

#[target_feature(enable = "avx2,fma")]
fn collect_real(sums: &[f32], bias: &[f32], out: &mut [f32]) {
    collect(sums, bias, out);
}

/// A number that is added up. Integers wrap: what does not fit on the way comes back in the end.
trait Term: Copy + Default {
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
}

/// A sum of products of transformed weights.
trait Sum: Term {
    /// The sum of products of weights that it stands for.
    fn reduced(self) -> Self;
}

impl Term for i16 {
    #[inline(always)]
    fn plus(self, other: i16) -> i16 {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn minus(self, other: i16) -> i16 {
        self.wrapping_sub(other)
    }
}

impl Term for i32 {
    #[inline(always)]
    fn plus(self, other: i32) -> i32 {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn minus(self, other: i32) -> i32 {
        self.wrapping_sub(other)
    }
}

impl Term for f32 {
    #[inline(always)]
    fn plus(self, other: f32) -> f32 {
        self + other
    }

    #[inline(always)]
    fn minus(self, other: f32) -> f32 {
        self - other
    }
}

impl Sum for i32 {
    #[inline(always)]
    fn reduced(self) -> i32 {
        self >> 2
    }
}

impl Sum for f32 {
    #[inline(always)]
    fn reduced(self) -> f32 {
        self
    }
}

/// `N` values from `at` on.
#[inline(always)]
fn load<X: Copy, V: Default + Copy + From<X>, const N: usize>(values: &[X], at: usize) -> [V; N] {
    let mut out = [V::default(); N];
    for (out, &value) in out.iter_mut().zip(&values[at..at + N]) {
        *out = V::from(value);
    }
    out
}

/// `left op right`, each with each.
#[inline(always)]
fn each<V: Copy, const N: usize>(left: &[V; N], right: &[V; N], op: impl Fn(V, V) -> V) -> [V; N] {
    let mut out = *left;
    for (out, &right) in out.iter_mut().zip(right) {
        *out = op(*out, right);
    }
    out
}

/// `Bᵀ d`, where a row of d has N values.
#[inline(always)]
fn spread_lines<V: Term, const N: usize>(d: &[[V; N]; 4]) -> [[V; N]; 4] {
    [
        each(&d[0], &d[2], V::minus),
        each(&d[1], &d[2], V::plus),
        each(&d[2], &d[1], V::minus),
        each(&d[1], &d[3], V::minus),
    ]
}

/// `Aᵀ m`, where a row of m has N values.
#[inline(always)]
fn collect_lines<V: Term, const N: usize>(m: &[[V; N]; 4]) -> [[V; N]; 2] {
    let (sum, difference) = (each(&m[1], &m[2], V::plus), each(&m[1], &m[2], V::minus));
    [each(&m[0], &sum, V::plus), each(&difference, &m[3], V::minus)]
}

/// `Bᵀ d B` of each tile and channel.
#[inline(always)]
fn spread<X: Copy, V: Term + From<X>>(windows: &[X], channels: usize, out: &mut [V]) {
    let plane = out.len() / 16;
    for (tile, window) in windows.chunks_exact(16 * channels).enumerate() {
        for start in (0..channels).step_by(CHANNELS) {
            // Loops and lists: closures of arrays would not be compiled with the instructions of the caller.
            let mut columns = [[[V::default(); CHANNELS]; 4]; 4];
            for (x, column) in columns.iter_mut().enumerate() {
                let at = |y: usize| (4 * y + x) * channels + start;
                *column =
                    spread_lines(&[load(window, at(0)), load(window, at(1)), load(window, at(2)), load(window, at(3))]);
            }
            let [c0, c1, c2, c3] = &columns;
            for y in 0..4 {
                let line = spread_lines(&[c0[y], c1[y], c2[y], c3[y]]);
                for (x, values) in line.iter().enumerate() {
                    out[(4 * y + x) * plane + tile * channels + start..][..CHANNELS].copy_from_slice(values);
                }
            }
        }
    }
}

/// `Aᵀ m A` of each tile and column, reduced, and the bias added.
#[inline(always)]
fn collect<S: Sum>(sums: &[S], bias: &[S], out: &mut [S]) {
    let (plane, columns) = (sums.len() / 16, bias.len());
    for tile in 0..plane / columns {
        for start in (0..columns).step_by(COLUMNS) {
            let bias: [S; COLUMNS] = load(bias, start);
            let mut halves = [[[S::default(); COLUMNS]; 2]; 4];
            for (x, half) in halves.iter_mut().enumerate() {
                let at = |y: usize| (4 * y + x) * plane + tile * columns + start;
                *half = collect_lines(&[load(sums, at(0)), load(sums, at(1)), load(sums, at(2)), load(sums, at(3))]);
            }
            let [h0, h1, h2, h3] = &halves;
            for y in 0..2 {
                let line = collect_lines(&[h0[y], h1[y], h2[y], h3[y]]);
                for (x, values) in line.iter().enumerate() {
                    let values = each(values, &bias, |value, bias| value.reduced().plus(bias));
                    let place = 2 * y * plane + (2 * tile + x) * columns + start;
                    out[place..][..COLUMNS].copy_from_slice(&values);
                }
            }
        }
    }
}
