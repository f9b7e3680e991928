//! Vectors and matrices that lie in the file: each row of a matrix as f32, f16 or int8 with a scale of its own.
//! Refuses a size that does not match its bytes, and values that are not finite.

use half::f16;

use crate::layout::{f32_at, u32_at};

/// How the values of a row are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Encoding {
    /// Four bytes a value.
    F32 = 0,
    /// IEEE half, two bytes a value.
    F16 = 1,
    /// Signed byte times the row's scale.
    I8 = 2,
}

impl Encoding {
    /// Bytes of a row with that many values, padded to a multiple of four.
    pub const fn row_bytes(self, columns: usize) -> usize {
        let bytes = match self {
            Self::F32 => columns * 4,
            Self::F16 => columns * 2,
            Self::I8 => columns,
        };
        bytes.next_multiple_of(4)
    }

    const fn from_tag(tag: u8) -> Option<Self> {
        match tag {
            0 => Some(Self::F32),
            1 => Some(Self::F16),
            2 => Some(Self::I8),
            _ => None,
        }
    }

    /// The name in `inspect`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::I8 => "i8",
        }
    }
}

/// Bytes before the row descriptions of a matrix.
const HEAD: usize = 8;
/// Bytes of one row description: tag, three zero bytes, scale.
const ROW: usize = 8;

/// A matrix in the file.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    columns: usize,
    descriptions: &'a [u8],
    data: &'a [u8],
}

impl<'a> Matrix<'a> {
    /// Reads rows, columns and row descriptions; `None` where they do not fit the bytes or a value is not finite.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() < HEAD {
            return None;
        }
        let rows = u32_at(bytes, 0) as usize;
        let columns = u32_at(bytes, 4) as usize;
        let end = rows.checked_mul(ROW)?.checked_add(HEAD)?;
        let descriptions = bytes.get(HEAD..end)?;
        let data = &bytes[end..];
        // A row costs at least a byte a column, so `columns` beyond the file is refused before it is multiplied.
        if rows > 0 && (columns == 0 || columns > data.len()) {
            return None;
        }
        columns.checked_mul(4)?;
        let mut need = 0_usize;
        for row in descriptions.chunks_exact(ROW) {
            if row[1..4] != [0; 3] || !f32_at(row, 4).is_finite() {
                return None;
            }
            need = need.checked_add(Encoding::from_tag(row[0])?.row_bytes(columns))?;
        }
        let matrix = Self { columns, descriptions, data };
        (need == data.len() && matrix.iter().all(|row| row.is_finite())).then_some(matrix)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.descriptions.len() / ROW
    }

    /// Values in a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The rows in order.
    pub fn iter(&self) -> impl Iterator<Item = Row<'a>> + use<'a> {
        let columns = self.columns;
        let mut rest = self.data;
        self.descriptions.chunks_exact(ROW).map_while(move |row| {
            let encoding = Encoding::from_tag(row[0])?;
            let (bytes, after) = rest.split_at_checked(encoding.row_bytes(columns))?;
            rest = after;
            Some(Row { encoding, scale: f32_at(row, 4), columns, bytes })
        })
    }
}

/// One row of a [`Matrix`].
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    encoding: Encoding,
    scale: f32,
    columns: usize,
    bytes: &'a [u8],
}

/// Partial sums kept side by side, so that the compiler can use vector registers and every machine adds in one order.
const LANES: usize = 8;

impl Row<'_> {
    /// How the row is stored.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Σ row_i · x_i. `x` has as many values as the row.
    pub fn dot(&self, x: &[f32]) -> f32 {
        match self.encoding {
            Encoding::F32 => sum::<4>(self.bytes, x, |b, x| f32::from_le_bytes(*b) * x),
            Encoding::F16 => sum::<2>(self.bytes, x, |b, x| f16::from_le_bytes(*b).to_f32() * x),
            Encoding::I8 => self.scale * sum::<1>(self.bytes, x, |b, x| f32::from(b[0].cast_signed()) * x),
        }
    }

    /// Σ (row_i − x_i)².
    pub fn squared_distance(&self, x: &[f32]) -> f32 {
        let scale = self.scale;
        let square = |row: f32, x: f32| (row - x) * (row - x);
        match self.encoding {
            Encoding::F32 => sum::<4>(self.bytes, x, |b, x| square(f32::from_le_bytes(*b), x)),
            Encoding::F16 => sum::<2>(self.bytes, x, |b, x| square(f16::from_le_bytes(*b).to_f32(), x)),
            Encoding::I8 => sum::<1>(self.bytes, x, move |b, x| square(scale * f32::from(b[0].cast_signed()), x)),
        }
    }

    /// Adds `factor` times the row to `out`.
    pub fn add_to(&self, factor: f32, out: &mut [f32]) {
        for (out, value) in out.iter_mut().zip(self.values()) {
            *out += factor * value;
        }
    }

    /// The value in that column, 0 beyond the last.
    pub fn at(&self, column: usize) -> f32 {
        self.values().nth(column).unwrap_or(0.0)
    }

    /// A signed byte times a finite scale can still be infinite.
    fn is_finite(&self) -> bool {
        match self.encoding {
            Encoding::I8 => (self.scale * 128.0).is_finite(),
            Encoding::F32 | Encoding::F16 => self.values().all(f32::is_finite),
        }
    }

    /// The values in order.
    pub fn values(&self) -> impl Iterator<Item = f32> + '_ {
        let (encoding, scale, bytes) = (self.encoding, self.scale, self.bytes);
        (0..self.columns).map(move |i| match encoding {
            Encoding::F32 => f32_at(bytes, 4 * i),
            Encoding::F16 => f16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]]).to_f32(),
            Encoding::I8 => scale * f32::from(bytes[i].cast_signed()),
        })
    }
}

fn sum<const B: usize>(bytes: &[u8], x: &[f32], f: impl Fn(&[u8; B], f32) -> f32) -> f32 {
    let (values, _) = bytes.as_chunks::<B>();
    let values = &values[..x.len().min(values.len())];
    let (blocks, rest) = values.as_chunks::<LANES>();
    let (x_blocks, x_rest) = x.as_chunks::<LANES>();
    let mut lanes = [0.0_f32; LANES];
    for (block, x) in blocks.iter().zip(x_blocks) {
        for lane in 0..LANES {
            lanes[lane] += f(&block[lane], x[lane]);
        }
    }
    for (lane, (value, x)) in rest.iter().zip(x_rest).enumerate() {
        lanes[lane] += f(value, *x);
    }
    fold(lanes)
}

/// Σ f(x_i), added in the same order as the rows are.
pub(crate) fn sum_of(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let (blocks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [0.0_f32; LANES];
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] += f(block[lane]);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += f(*value);
    }
    fold(lanes)
}

fn fold(l: [f32; LANES]) -> f32 {
    ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]))
}

/// A vector of f32 in the file.
#[derive(Clone, Copy, Debug)]
pub struct Vector<'a> {
    bytes: &'a [u8],
}

impl<'a> Vector<'a> {
    /// A view of bytes that hold just `len` finite values; `None` where they do not.
    pub fn parse(bytes: &'a [u8], len: usize) -> Option<Self> {
        let vector = Self { bytes };
        (bytes.len() == len.checked_mul(4)? && vector.values().all(f32::is_finite)).then_some(vector)
    }

    /// The values in order.
    pub fn values(&self) -> impl Iterator<Item = f32> + use<'a> {
        let (values, _) = self.bytes.as_chunks::<4>();
        values.iter().map(|value| f32::from_le_bytes(*value))
    }
}
