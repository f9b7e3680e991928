//! Features and logits of calibration images on disk, so that memory does not grow with their number.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

/// Vectors in the order they were added.
#[derive(Debug)]
pub(super) struct Spool {
    file: BufWriter<File>,
    dim: usize,
    logits: usize,
    len: usize,
}

impl Spool {
    /// An empty spool in a temporary file that goes with it.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn new(dim: usize, logits: usize) -> io::Result<Self> {
        Ok(Self { file: BufWriter::new(tempfile::tempfile()?), dim, logits, len: 0 })
    }

    /// Adds an image's vectors, of the lengths given to [`Spool::new`].
    ///
    /// # Errors
    /// What the system says, a full disk above all.
    pub(super) fn push(&mut self, feature: &[f32], logits: &[f32]) -> io::Result<()> {
        debug_assert!(feature.len() == self.dim && logits.len() == self.logits);
        for value in feature.iter().chain(logits) {
            self.file.write_all(&value.to_le_bytes())?;
        }
        self.len += 1;
        Ok(())
    }

    /// Images added.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Calls `each` for every image in order, with feature and logits.
    ///
    /// # Errors
    /// What the system says, or the first error of `each`.
    pub(super) fn each<E: From<io::Error>>(
        &mut self,
        mut each: impl FnMut(usize, &[f32], &[f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.file.flush()?;
        let file = self.file.get_mut();
        file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::new(&mut *file);
        let mut bytes = vec![0; 4 * (self.dim + self.logits)];
        let mut values = vec![0.0_f32; self.dim + self.logits];
        for i in 0..self.len {
            reader.read_exact(&mut bytes)?;
            for (value, bytes) in values.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *value = f32::from_le_bytes(*bytes);
            }
            let (feature, logits) = values.split_at(self.dim);
            each(i, feature, logits)?;
        }
        file.seek(SeekFrom::End(0))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::Spool;

    #[test]
    fn vectors_come_back_in_order_and_more_can_follow() {
        let mut spool = Spool::new(2, 1).unwrap();
        for round in 1..=2 {
            spool.push(&[1.0, round as f32], &[-1.0]).unwrap();
            let mut seen = Vec::new();
            spool
                .each(|i, feature, logits| {
                    seen.push((i, feature.to_vec(), logits.to_vec()));
                    Ok::<(), io::Error>(())
                })
                .unwrap();
            assert_eq!(seen.len(), round);
            assert_eq!(seen[round - 1], (round - 1, vec![1.0, round as f32], vec![-1.0]));
        }
    }
}
