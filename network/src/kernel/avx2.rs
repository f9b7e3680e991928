//! Kernels for x86-64 with AVX2 and FMA. Integers are multiplied as pairs of 16 bits (`vpmaddwd`), whose sums of 32
//! bits are exact; nothing saturates.
#![expect(unsafe_code, reason = "vector instructions and their loads")]

use std::arch::x86_64::{
    __m256, __m256i, _mm_adds_epi16, _mm_packs_epi16, _mm_packs_epi32, _mm_set1_epi16, _mm_storeu_si128,
    _mm256_add_epi32, _mm256_castsi256_si128, _mm256_cvtepi32_ps, _mm256_cvtps_epi32, _mm256_extracti128_si256,
    _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_max_ps, _mm256_min_ps,
    _mm256_mul_ps, _mm256_set1_epi32, _mm256_set1_ps, _mm256_storeu_ps, _mm256_storeu_si256,
};

use super::{
    Bytes, DepthwiseBytes, Finish, Kernels, Operands, Shape, Sum, avx2_depthwise, avx2_depthwise_real, avx2_paired,
    avx2_winograd, plain,
};

pub(super) static KERNELS: Kernels = Kernels {
    shape: SHAPE,
    bytes: Bytes::Wide(tile, Some(strip)),
    real_shape: REAL_SHAPE,
    reals: tile_real,
    real_strip: Some(strip_real),
    requantise,
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
    column_sums,
    greatest,
    winograd: Some(&avx2_winograd::TRANSFORMS),
};

const ROWS: usize = 6;
const COLUMNS: usize = 16;
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
    column_sums(bytes: &[i8], sums: &mut [i32]);
    greatest(bytes: &[i8], out: &mut [i8]);
}

/// Two vectors of sums for each of R rows.
type Totals<V, const R: usize> = [[V; 2]; R];

/// Adds R rows times 16 columns onto `totals`.
///
/// # Safety
/// Row r holds `2 · groups` values at `left + r · stride`, `right` holds `32 · groups`.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn multiply_add<const R: usize>(
    mut totals: Totals<__m256i, R>,
    left: *const i16,
    stride: usize,
    right: *const i16,
    groups: usize,
) -> Totals<__m256i, R> {
    // SAFETY: as the caller promises.
    unsafe {
        let mut columns = right;
        for group in 0..groups {
            let (w0, w1) = (_mm256_loadu_si256(columns.cast()), _mm256_loadu_si256(columns.add(16).cast()));
            for (r, total) in totals.iter_mut().enumerate() {
                let pair = _mm256_set1_epi32(left.add(r * stride + 2 * group).cast::<i32>().read_unaligned());
                total[0] = _mm256_add_epi32(total[0], _mm256_madd_epi16(pair, w0));
                total[1] = _mm256_add_epi32(total[1], _mm256_madd_epi16(pair, w1));
            }
            columns = columns.add(2 * COLUMNS);
        }
    }
    totals
}

/// The same of reals.
///
/// # Safety
/// Row r holds `groups` values at `left + r · stride`, `right` holds `16 · groups`.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn multiply_add_real<const R: usize>(
    mut totals: Totals<__m256, R>,
    left: *const f32,
    stride: usize,
    right: *const f32,
    groups: usize,
) -> Totals<__m256, R> {
    // SAFETY: as the caller promises.
    unsafe {
        let mut columns = right;
        for group in 0..groups {
            let (w0, w1) = (_mm256_loadu_ps(columns), _mm256_loadu_ps(columns.add(8)));
            for (r, total) in totals.iter_mut().enumerate() {
                let value = _mm256_set1_ps(*left.add(r * stride + group));
                total[0] = _mm256_fmadd_ps(value, w0, total[0]);
                total[1] = _mm256_fmadd_ps(value, w1, total[1]);
            }
            columns = columns.add(COLUMNS);
        }
    }
    totals
}

/// Runs `$panel::<R>` for the rows at `$rows` in panels of six, the last with as many as are left.
macro_rules! panels {
    ($rows:expr, $panel:ident($($argument:expr),*)) => {{
        let mut first = 0;
        while first < $rows {
            match $rows - first {
                1 => $panel::<1>(first, $($argument),*),
                2 => $panel::<2>(first, $($argument),*),
                3 => $panel::<3>(first, $($argument),*),
                4 => $panel::<4>(first, $($argument),*),
                5 => $panel::<5>(first, $($argument),*),
                _ => $panel::<ROWS>(first, $($argument),*),
            }
            first += ROWS;
        }
    }};
}

#[target_feature(enable = "avx2,fma")]
fn tile(operands: &Operands<'_, i16, i16, i32>, sums: &mut [i32]) {
    operands.check(SHAPE, sums);
    // SAFETY: asserted above.
    unsafe { panels!(operands.rows, tile_panel(operands, sums.as_mut_ptr())) }
}

/// # Safety
/// `operands` is checked, and `sums` holds 16 values per row.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn tile_panel<const R: usize>(first: usize, operands: &Operands<'_, i16, i16, i32>, sums: *mut i32) {
    let Operands { left, stride, right, length, start, .. } = *operands;
    // SAFETY: as the caller promises.
    unsafe {
        let mut totals = [[_mm256_set1_epi32(0); 2]; R];
        for (r, total) in totals.iter_mut().enumerate() {
            let place = start.map_or(sums.add((first + r) * COLUMNS).cast_const(), <[i32]>::as_ptr);
            *total = [_mm256_loadu_si256(place.cast()), _mm256_loadu_si256(place.add(8).cast())];
        }
        let totals = multiply_add(totals, left.as_ptr().add(first * stride), stride, right.as_ptr(), length / 2);
        for (r, total) in totals.into_iter().enumerate() {
            let place = sums.add((first + r) * COLUMNS);
            _mm256_storeu_si256(place.cast(), total[0]);
            _mm256_storeu_si256(place.add(8).cast(), total[1]);
        }
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
fn strip(operands: &Operands<'_, i16, i16, i32>, finish: &Finish<'_>, out: &mut [i8]) {
    let bias = operands.start.unwrap_or_default();
    operands.check_reading(SHAPE);
    let Finish { columns, factors, stride, .. } = *finish;
    assert!(bias.len() >= COLUMNS && factors.len() >= COLUMNS && columns <= COLUMNS, "too few columns");
    assert!(out.len() >= (operands.rows - 1) * stride + columns, "too few results");
    // SAFETY: asserted above.
    unsafe { panels!(operands.rows, strip_panel(operands, bias.as_ptr(), finish, out.as_mut_ptr())) }
}

/// # Safety
/// `operands` is checked, `bias` and the factors hold 16 values, `out` holds `columns` values for each row.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn strip_panel<const R: usize>(
    first: usize,
    operands: &Operands<'_, i16, i16, i32>,
    bias: *const i32,
    finish: &Finish<'_>,
    out: *mut i8,
) {
    let Operands { left, stride, right, length, .. } = *operands;
    // SAFETY: as the caller promises.
    unsafe {
        let bias = [_mm256_loadu_si256(bias.cast()), _mm256_loadu_si256(bias.add(8).cast())];
        let left = left.as_ptr().add(first * stride);
        let totals = multiply_add([bias; R], left, stride, right.as_ptr(), length / 2);
        for (r, total) in totals.into_iter().enumerate() {
            let out = out.add((first + r) * finish.stride);
            if finish.columns == COLUMNS {
                requantise_16(total, finish.factors.as_ptr(), finish, out);
            } else {
                let mut all = [0_i8; COLUMNS];
                requantise_16(total, finish.factors.as_ptr(), finish, all.as_mut_ptr());
                out.copy_from_nonoverlapping(all.as_ptr(), finish.columns);
            }
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

/// 16 bytes from 16 sums: `round(clamp(sum · factor)) + zero`.
///
/// # Safety
/// `factors` and `out` point to 16 values each.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn requantise_16(sums: [__m256i; 2], factors: *const f32, finish: &Finish<'_>, out: *mut i8) {
    let (low, high) = (_mm256_set1_ps(finish.low), _mm256_set1_ps(finish.high));
    // SAFETY: as the caller promises.
    unsafe {
        // The order of the operands keeps a product that is no number out of the result.
        let r0 = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[0]), _mm256_loadu_ps(factors));
        let r1 = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[1]), _mm256_loadu_ps(factors.add(8)));
        let w0 = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(r0, low), high));
        let w1 = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(r1, low), high));
        let s0 = _mm_packs_epi32(_mm256_castsi256_si128(w0), _mm256_extracti128_si256(w0, 1));
        let s1 = _mm_packs_epi32(_mm256_castsi256_si128(w1), _mm256_extracti128_si256(w1, 1));
        let zero = _mm_set1_epi16(i16::from(finish.zero));
        _mm_storeu_si128(out.cast(), _mm_packs_epi16(_mm_adds_epi16(s0, zero), _mm_adds_epi16(s1, zero)));
    }
}

#[target_feature(enable = "avx2,fma")]
fn requantise(sums: &[i32], finish: &Finish<'_>, out: &mut [i8]) {
    let Finish { width, rows, columns, factors, stride, .. } = *finish;
    if columns != COLUMNS || factors.len() < COLUMNS {
        plain::requantise(sums, finish, out);
        return;
    }
    for row in 0..rows {
        let sums = &sums[row * width..][..COLUMNS];
        let out = &mut out[row * stride..][..COLUMNS];
        // SAFETY: both slices and the factors hold 16 values.
        unsafe {
            let place = sums.as_ptr();
            let sums = [_mm256_loadu_si256(place.cast()), _mm256_loadu_si256(place.add(8).cast())];
            requantise_16(sums, factors.as_ptr(), finish, out.as_mut_ptr());
        }
    }
}
