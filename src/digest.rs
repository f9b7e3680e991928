//! The hash that names files, and how it is written.

use sha2::{Digest, Sha256};

/// SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Bytes as text: two lower-case digits each.
///
/// ```
/// assert_eq!(shelfwatch::digest::hexadecimal(&[0, 0xaf]), "00af");
/// ```
pub fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

#[cfg(test)]
mod tests {
    use super::{hexadecimal, sha256};

    #[test]
    fn the_hash_of_three_letters() {
        assert!(hexadecimal(&sha256(b"abc")).starts_with("ba7816bf"));
    }
}
