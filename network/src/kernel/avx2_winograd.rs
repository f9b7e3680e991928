//! The transforms of Winograd's algorithm compiled for x86-64 with AVX2 and FMA.

use super::winograd::{Transforms, collect, spread};

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
