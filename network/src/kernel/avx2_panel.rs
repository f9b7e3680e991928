//! Up to six rows times 16 columns in registers, for x86-64 with AVX2 and FMA.
#![expect(unsafe_code, reason = "vector instructions and their loads")]

use std::arch::asm;
use std::arch::x86_64::{
    __m256, __m256i, _mm256_add_epi32, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_set1_epi32, _mm256_set1_ps,
};

pub(super) const ROWS: usize = 6;
pub(super) const COLUMNS: usize = 16;

/// Two vectors of sums for each of R rows.
pub(super) type Totals<V, const R: usize> = [[V; 2]; R];

/// Adds R rows times 16 columns onto `totals`.
///
/// # Safety
/// Row r holds `2 · groups` values at `left + r · stride`, `right` holds `32 · groups`.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn multiply_add<const R: usize>(
    mut totals: Totals<__m256i, R>,
    left: *const i16,
    stride: usize,
    right: *const i16,
    groups: usize,
) -> Totals<__m256i, R> {
    if let (Ok(six), 1..) = (<&mut Totals<__m256i, ROWS>>::try_from(&mut totals[..]), groups) {
        // SAFETY: as the caller promises, and there is a group.
        *six = unsafe { multiply_add_six(*six, left, stride, right, groups) };
        return totals;
    }
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

/// [`multiply_add`] for six rows. Twelve sums, two vectors of weights and two of products fill the registers to the last
/// one; what compilers make of it differs by a tenth from one neighbouring change to the next.
///
/// # Safety
/// As [`multiply_add`], with at least one group.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn multiply_add_six(
    mut totals: Totals<__m256i, ROWS>,
    left: *const i16,
    stride: usize,
    right: *const i16,
    groups: usize,
) -> Totals<__m256i, ROWS> {
    let [[t0a, t0b], [t1a, t1b], [t2a, t2b], [t3a, t3b], [t4a, t4b], [t5a, t5b]] = &mut totals;
    // SAFETY: reads what the caller promises, and writes to nothing but its registers.
    unsafe {
        asm!(
            "2:",
            "vmovdqu {w0}, [{right}]",
            "vmovdqu {w1}, [{right} + 32]",
            "vpbroadcastd {x}, dword ptr [{left}]",
            "vpmaddwd {y}, {x}, {w0}",
            "vpaddd {t0a}, {t0a}, {y}",
            "vpmaddwd {x}, {x}, {w1}",
            "vpaddd {t0b}, {t0b}, {x}",
            "vpbroadcastd {x}, dword ptr [{left} + {stride}]",
            "vpmaddwd {y}, {x}, {w0}",
            "vpaddd {t1a}, {t1a}, {y}",
            "vpmaddwd {x}, {x}, {w1}",
            "vpaddd {t1b}, {t1b}, {x}",
            "vpbroadcastd {x}, dword ptr [{left} + 2*{stride}]",
            "vpmaddwd {y}, {x}, {w0}",
            "vpaddd {t2a}, {t2a}, {y}",
            "vpmaddwd {x}, {x}, {w1}",
            "vpaddd {t2b}, {t2b}, {x}",
            "vpbroadcastd {x}, dword ptr [{lower}]",
            "vpmaddwd {y}, {x}, {w0}",
            "vpaddd {t3a}, {t3a}, {y}",
            "vpmaddwd {x}, {x}, {w1}",
            "vpaddd {t3b}, {t3b}, {x}",
            "vpbroadcastd {x}, dword ptr [{lower} + {stride}]",
            "vpmaddwd {y}, {x}, {w0}",
            "vpaddd {t4a}, {t4a}, {y}",
            "vpmaddwd {x}, {x}, {w1}",
            "vpaddd {t4b}, {t4b}, {x}",
            "vpbroadcastd {x}, dword ptr [{lower} + 2*{stride}]",
            "vpmaddwd {y}, {x}, {w0}",
            "vpaddd {t5a}, {t5a}, {y}",
            "vpmaddwd {x}, {x}, {w1}",
            "vpaddd {t5b}, {t5b}, {x}",
            "add {left}, 4",
            "add {lower}, 4",
            "add {right}, 64",
            "dec {groups}",
            "jnz 2b",
            left = inout(reg) left => _,
            lower = inout(reg) left.add(3 * stride) => _,
            stride = in(reg) 2 * stride,
            right = inout(reg) right => _,
            groups = inout(reg) groups => _,
            t0a = inout(ymm_reg) *t0a,
            t0b = inout(ymm_reg) *t0b,
            t1a = inout(ymm_reg) *t1a,
            t1b = inout(ymm_reg) *t1b,
            t2a = inout(ymm_reg) *t2a,
            t2b = inout(ymm_reg) *t2b,
            t3a = inout(ymm_reg) *t3a,
            t3b = inout(ymm_reg) *t3b,
            t4a = inout(ymm_reg) *t4a,
            t4b = inout(ymm_reg) *t4b,
            t5a = inout(ymm_reg) *t5a,
            t5b = inout(ymm_reg) *t5b,
            w0 = out(ymm_reg) _,
            w1 = out(ymm_reg) _,
            x = out(ymm_reg) _,
            y = out(ymm_reg) _,
            options(pure, readonly, nostack),
        );
    }
    totals
}

/// [`multiply_add`] of reals.
///
/// # Safety
/// Row r holds `groups` values at `left + r · stride`, `right` holds `16 · groups`.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn multiply_add_real<const R: usize>(
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
pub(super) use panels;

/// The tile and the strip of integers for a kind of processor, from the `SHAPE`, the `multiply_add` and the instructions
/// that it names.
macro_rules! integer_products {
    ($features:literal, $value:ty) => {
        #[target_feature(enable = $features)]
        fn tile(operands: &Operands<'_, $value, $value, i32>, sums: &mut [i32]) {
            operands.check(SHAPE, sums);
            // SAFETY: asserted above.
            unsafe { panels!(operands.rows, tile_panel(operands, sums.as_mut_ptr())) }
        }

        /// # Safety
        /// `operands` is checked, and `sums` holds 16 values per row.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn tile_panel<const R: usize>(
            first: usize,
            operands: &Operands<'_, $value, $value, i32>,
            sums: *mut i32,
        ) {
            let Operands { left, stride, right, length, start, .. } = *operands;
            // SAFETY: as the caller promises.
            unsafe {
                let mut totals = [[std::arch::x86_64::_mm256_setzero_si256(); 2]; R];
                for (r, total) in totals.iter_mut().enumerate() {
                    let place = start.map_or(sums.add((first + r) * COLUMNS).cast_const(), <[i32]>::as_ptr);
                    *total = [
                        std::arch::x86_64::_mm256_loadu_si256(place.cast()),
                        std::arch::x86_64::_mm256_loadu_si256(place.add(8).cast()),
                    ];
                }
                let totals = multiply_add(
                    totals,
                    left.as_ptr().add(first * stride),
                    stride,
                    right.as_ptr(),
                    length / SHAPE.depth,
                );
                for (r, total) in totals.into_iter().enumerate() {
                    let place = sums.add((first + r) * COLUMNS);
                    std::arch::x86_64::_mm256_storeu_si256(place.cast(), total[0]);
                    std::arch::x86_64::_mm256_storeu_si256(place.add(8).cast(), total[1]);
                }
            }
        }

        #[target_feature(enable = $features)]
        fn strip(operands: &Operands<'_, $value, $value, i32>, finish: &Finish<'_>, out: &mut [i8]) {
            let bias = operands.start.unwrap_or_default();
            operands.check_reading(SHAPE);
            finish.check(COLUMNS, operands.rows, out);
            assert!(bias.len() >= COLUMNS, "too few columns");
            // SAFETY: asserted above.
            unsafe { panels!(operands.rows, strip_panel(operands, bias.as_ptr(), finish, out.as_mut_ptr())) }
        }

        /// # Safety
        /// `operands` is checked, `bias` and the factors hold 16 values, `out` holds `columns` values for each row.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn strip_panel<const R: usize>(
            first: usize,
            operands: &Operands<'_, $value, $value, i32>,
            bias: *const i32,
            finish: &Finish<'_>,
            out: *mut i8,
        ) {
            let Operands { left, stride, right, length, .. } = *operands;
            // SAFETY: as the caller promises.
            unsafe {
                let bias = [
                    std::arch::x86_64::_mm256_loadu_si256(bias.cast()),
                    std::arch::x86_64::_mm256_loadu_si256(bias.add(8).cast()),
                ];
                let left = left.as_ptr().add(first * stride);
                let totals = multiply_add([bias; R], left, stride, right.as_ptr(), length / SHAPE.depth);
                $crate::kernel::avx2_finish::rows(&totals, finish, out.add(first * finish.stride));
            }
        }
    };
}
pub(super) use integer_products;
