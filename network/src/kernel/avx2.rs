//! Kernels for x86-64 with AVX2 and FMA. Integers are multiplied as pairs of 16 bits (`vpmaddwd`), whose sums of 32
//! bits are exact; nothing saturates.
#![expect(unsafe_code, reason = "vector instructions and their loads")]

use std::arch::x86_64::{
    _mm_loadu_si128, _mm256_add_epi32, _mm256_cvtepi8_epi16, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_max_ps, _mm256_min_ps, _mm256_set1_epi32, _mm256_set1_ps, _mm256_storeu_ps, _mm256_storeu_si256,
};

use super::avx2_panel::{COLUMNS, ROWS, integer_products, multiply_add, multiply_add_real, panels};
use super::{
    Bytes, DepthwiseBytes, Finish, Kernels, Operands, Shape, Sum, avx2_depthwise, avx2_depthwise_real, avx2_finish,
    avx2_paired, avx2_sliding, avx2_winograd, plain,
};
use crate::curve::Curve;

pub(super) static KERNELS: Kernels = Kernels {
    shape: SHAPE,
    bytes: Bytes::Wide(tile, Some(strip)),
    single: Some(single),
    real_shape: REAL_SHAPE,
    reals: tile_real,
    real_strip: Some(strip_real),
    sliding: Some(avx2_sliding::strip),
    requantise: avx2_finish::requantise,
    widen,
    depthwise: DepthwiseBytes::Paired {
        loops: &avx2_paired::LOOPS,
        pack: avx2_depthwise::pack,
        convolve: avx2_depthwise::bytes,
    },
    depthwise_real: avx2_depthwise_real::reals,
    quantise,
    add,
    multiply,
    add_real,
    clamp,
    curve,
    column_sums,
    greatest,
    winograd: Some(&avx2_winograd::TRANSFORMS),
};

const SHAPE: Shape = Shape { rows: ROWS, columns: COLUMNS, depth: 2, fill: 2 };
const REAL_SHAPE: Shape = Shape { rows: ROWS, columns: COLUMNS, depth: 1, fill: 1 };

/// Plain kernels compiled with these instructions.
macro_rules! recompiled {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {
        $(
            #[target_feature(enable = "avx2,fma")]
            fn $name($($argument: $kind),*) {
                plain::$name($($argument),*);
            }
        )*
    };
}

recompiled! {
    widen(bytes: &[i8], out: &mut [i16]);
    quantise(values: &[f32], step: f32, finish: &Finish<'_>, out: &mut [i8]);
    add(left: &[i8], right: &[i8], sum: &Sum, out: &mut [i8]);
    multiply(left: &[i8], right: &[i8], zeros: [i8; 2], finish: &Finish<'_>, out: &mut [i8]);
    add_real(left: &[f32], right: &[f32], bounds: [f32; 2], out: &mut [f32]);
    clamp(values: &[f32], finish: &Finish<'_>, out: &mut [f32]);
    curve(curve: Curve, values: &mut [f32]);
    column_sums(bytes: &[i8], sums: &mut [i32]);
    greatest(bytes: &[i8], out: &mut [i8]);
}

integer_products!("avx2,fma", i16);

/// One row by columns of bytes.
#[target_feature(enable = "avx2,fma")]
fn single(operands: &Operands<'_, i16, i8, i32>, sums: &mut [i32]) {
    operands.check(Shape { rows: 1, ..SHAPE }, sums);
    let Operands { left, rows, right, length, start, .. } = *operands;
    assert!(rows == 1, "{rows} rows");
    // SAFETY: asserted above: 32 weights for each two values of the row, 16 sums to begin with and to write.
    unsafe {
        let place = start.map_or(sums.as_ptr(), <[i32]>::as_ptr);
        let mut totals = [_mm256_loadu_si256(place.cast()), _mm256_loadu_si256(place.add(8).cast())];
        for (group, pair) in left[..length].as_chunks::<2>().0.iter().enumerate() {
            let pair = _mm256_set1_epi32(pair.as_ptr().cast::<i32>().read_unaligned());
            for (half, total) in totals.iter_mut().enumerate() {
                let weights = _mm_loadu_si128(right.as_ptr().add(32 * group + 16 * half).cast());
                *total = _mm256_add_epi32(*total, _mm256_madd_epi16(pair, _mm256_cvtepi8_epi16(weights)));
            }
        }
        _mm256_storeu_si256(sums.as_mut_ptr().cast(), totals[0]);
        _mm256_storeu_si256(sums.as_mut_ptr().add(8).cast(), totals[1]);
    }
}

#[target_feature(enable = "avx2,fma")]
fn tile_real(operands: &Operands<'_, f32, f32, f32>, sums: &mut [f32]) {
    operands.check(REAL_SHAPE, sums);
    // SAFETY: asserted above.
    unsafe { panels!(operands.rows, tile_real_panel(operands, sums.as_mut_ptr())) }
}

/// # Safety
/// As [`tile_panel`].
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn tile_real_panel<const R: usize>(first: usize, operands: &Operands<'_, f32, f32, f32>, sums: *mut f32) {
    let Operands { left, stride, right, length, start, .. } = *operands;
    // SAFETY: as the caller promises.
    unsafe {
        let mut totals = [[_mm256_set1_ps(0.0); 2]; R];
        for (r, total) in totals.iter_mut().enumerate() {
            let place = start.map_or(sums.add((first + r) * COLUMNS).cast_const(), <[f32]>::as_ptr);
            *total = [_mm256_loadu_ps(place), _mm256_loadu_ps(place.add(8))];
        }
        let totals = multiply_add_real(totals, left.as_ptr().add(first * stride), stride, right.as_ptr(), length);
        for (r, total) in totals.into_iter().enumerate() {
            let place = sums.add((first + r) * COLUMNS);
            _mm256_storeu_ps(place, total[0]);
            _mm256_storeu_ps(place.add(8), total[1]);
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn strip_real(
    operands: &Operands<'_, f32, f32, f32>,
    bounds: [f32; 2],
    [columns, stride]: [usize; 2],
    out: &mut [f32],
) {
    let bias = operands.start.unwrap_or_default();
    operands.check_reading(REAL_SHAPE);
    assert!(bias.len() >= COLUMNS && columns <= COLUMNS, "too few columns");
    assert!(out.len() >= (operands.rows - 1) * stride + columns, "too few results");
    // SAFETY: asserted above.
    unsafe {
        panels!(operands.rows, strip_real_panel(operands, bias.as_ptr(), bounds, [columns, stride], out.as_mut_ptr()));
    }
}

/// # Safety
/// `operands` is checked, `bias` holds 16 values, `out` holds `columns` values for each row.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn strip_real_panel<const R: usize>(
    first: usize,
    operands: &Operands<'_, f32, f32, f32>,
    bias: *const f32,
    [low, high]: [f32; 2],
    [columns, distance]: [usize; 2],
    out: *mut f32,
) {
    let Operands { left, stride, right, length, .. } = *operands;
    // SAFETY: as the caller promises.
    unsafe {
        let bias = [_mm256_loadu_ps(bias), _mm256_loadu_ps(bias.add(8))];
        let left = left.as_ptr().add(first * stride);
        let totals = multiply_add_real([bias; R], left, stride, right.as_ptr(), length);
        let (low, high) = (_mm256_set1_ps(low), _mm256_set1_ps(high));
        for (r, [t0, t1]) in totals.into_iter().enumerate() {
            let out = out.add((first + r) * distance);
            // Bounds stand first, so that what is no number stays visible.
            let (t0, t1) = (_mm256_min_ps(high, _mm256_max_ps(low, t0)), _mm256_min_ps(high, _mm256_max_ps(low, t1)));
            if columns == COLUMNS {
                _mm256_storeu_ps(out, t0);
                _mm256_storeu_ps(out.add(8), t1);
            } else {
                let mut all = [0.0_f32; COLUMNS];
                _mm256_storeu_ps(all.as_mut_ptr(), t0);
                _mm256_storeu_ps(all.as_mut_ptr().add(8), t1);
                out.copy_from_nonoverlapping(all.as_ptr(), columns);
            }
        }
    }
}
