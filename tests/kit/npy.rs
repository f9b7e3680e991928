//! Arrays as NumPy writes them.

/// A number as NumPy stores it, little-endian.
pub(crate) trait Element: Copy {
    /// Its `descr` in an npy head.
    const DESCR: &str;
    /// Its value from that many bytes as it is long.
    fn read(bytes: &[u8]) -> Self;
}

impl Element for f32 {
    const DESCR: &str = "<f4";
    fn read(bytes: &[u8]) -> Self {
        Self::from_le_bytes(bytes.try_into().unwrap())
    }
}

impl Element for f64 {
    const DESCR: &str = "<f8";
    fn read(bytes: &[u8]) -> Self {
        Self::from_le_bytes(bytes.try_into().unwrap())
    }
}

/// An array in npy format, version 1, C order: its shape and its values.
pub(crate) fn npy<T: Element>(bytes: &[u8]) -> (Vec<u64>, Vec<T>) {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00", "an npy file of version 1");
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let head = std::str::from_utf8(&bytes[10..start]).unwrap();
    assert!(head.contains(&format!("'descr': '{}'", T::DESCR)) && head.contains("'fortran_order': False"), "{head}");
    let shape = head.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0;
    let shape = shape.split(',').filter_map(|side| side.trim().parse().ok()).collect();
    (shape, bytes[start..].chunks_exact(size_of::<T>()).map(T::read).collect())
}
