//! Statistics as bytes: `SHELFST\0`, u16 version, u32 header length, postcard header, little-endian arrays, CRC-32.
//! Refuses anything altered, and allocates no more than a small multiple of what it is given.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::double_double::{DoubleDouble, Sums};
use super::error::MethodError;
use super::moments::{Moments, triangle_len};
use super::provenance::Provenance;
use super::sample::{Sample, Sampled};
use super::statistics::{ClassSums, Naming, Statistics};

const MAGIC: &[u8; 8] = b"SHELFST\0";
const VERSION: u16 = 1;
/// Image counts beyond this are not exact in f64, and no camera reaches them.
const MOST_IMAGES: u64 = 1 << 53;
/// Magic, version and header length.
const PREFIX: usize = 14;

/// Holds strings and numbers only, so that decoding cannot reserve more than the bytes at hand.
#[derive(Serialize, Deserialize)]
struct Header {
    dim: u32,
    logits: u32,
    naming: Naming,
    images: u64,
    classes: u32,
    /// Joined by NUL.
    class_names: String,
    sampled: u32,
    max_logit: (f64, f64),
    max_logit_least: f64,
    max_logit_not_positive: u64,
    provenance: Provenance,
}

impl Statistics {
    /// The statistics as bytes; equal statistics give equal bytes, however they were gathered.
    ///
    /// # Panics
    /// Never: strings and numbers always encode, and a sampled image's class is among the classes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let settled = self.settled();
        let classes = settled.sorted_classes();
        let names: Vec<&str> = classes.iter().map(|class| &*class.name).collect();
        let sample = settled.sample.images();
        let header = Header {
            dim: settled.dim as u32,
            logits: settled.logits as u32,
            naming: settled.naming,
            images: settled.images,
            classes: classes.len() as u32,
            class_names: names.join("\0"),
            sampled: sample.len() as u32,
            max_logit: (settled.max_logit.high, settled.max_logit.low),
            max_logit_least: settled.max_logit_least,
            max_logit_not_positive: settled.max_logit_not_positive,
            provenance: settled.provenance.clone(),
        };
        let header = postcard::to_stdvec(&header).expect("a header of strings and numbers always encodes");
        let mut bytes = Vec::with_capacity(PREFIX + header.len() + settled.size());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(header.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&header);
        for class in &classes {
            bytes.extend_from_slice(&class.count.to_le_bytes());
            write_sums(&mut bytes, &class.feature);
            write_sums(&mut bytes, &class.direction);
        }
        for moments in [&settled.feature, &settled.direction] {
            write_sums(&mut bytes, &moments.first);
            write_sums(&mut bytes, &moments.second);
        }
        for image in sample {
            let class = names.binary_search(&&**image.class()).expect("a sampled image's class is among the classes");
            bytes.extend_from_slice(&image.key().to_le_bytes());
            bytes.extend_from_slice(&(class as u32).to_le_bytes());
            for value in image.feature().iter().chain(image.logits()) {
                bytes.extend_from_slice(&value.to_le_bytes());
            }
        }
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads what `to_bytes` wrote.
    ///
    /// # Errors
    /// Another kind of file, another version, missing or surplus bytes, a wrong checksum, contradictions.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MethodError> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            return Err(MethodError::NotStatistics);
        };
        let mut reader = Reader { rest, total: bytes.len() };
        let version = u16::from_le_bytes(reader.take()?);
        if version != VERSION {
            return Err(MethodError::Version { found: version, known: VERSION });
        }
        let header_len = u32::from_le_bytes(reader.take()?) as usize;
        let header_bytes = reader.slice(header_len)?;
        // The header is decoded only to learn the length; nothing of it is believed before the checksum.
        let header: Header = postcard::from_bytes(header_bytes).map_err(|_| MethodError::Header)?;
        let need = file_len(header_len as u64, &header).ok_or(MethodError::Header)?;
        if need != bytes.len() as u64 {
            return Err(MethodError::FileLength { need, have: bytes.len() as u64 });
        }
        let (body, stored) = bytes.split_at(bytes.len() - 4);
        let expected = u32::from_le_bytes(stored.try_into().map_err(|_| MethodError::Header)?);
        let found = crc32fast::hash(body);
        if expected != found {
            return Err(MethodError::Checksum { expected, found });
        }
        reader.statistics(header)
    }
}

/// The length that a header promises, or `None` beyond 64 bits.
fn file_len(header_len: u64, header: &Header) -> Option<u64> {
    let (dim, logits) = (u64::from(header.dim), u64::from(header.logits));
    let triangle = dim.checked_mul(dim.checked_add(1)?)? / 2;
    let classes = dim.checked_mul(32)?.checked_add(8)?.checked_mul(u64::from(header.classes))?;
    let moments = triangle.checked_add(dim)?.checked_mul(32)?;
    let sampled = dim.checked_add(logits)?.checked_mul(4)?.checked_add(12)?.checked_mul(u64::from(header.sampled))?;
    (PREFIX as u64 + 4).checked_add(header_len)?.checked_add(classes)?.checked_add(moments)?.checked_add(sampled)
}

fn write_sums(bytes: &mut Vec<u8>, sums: &Sums) {
    for value in sums.high.iter().chain(&sums.low) {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    total: usize,
}

impl<'a> Reader<'a> {
    fn slice(&mut self, len: usize) -> Result<&'a [u8], MethodError> {
        let Some((slice, rest)) = self.rest.split_at_checked(len) else {
            let missing = (len - self.rest.len()) as u64;
            return Err(MethodError::FileLength { need: self.total as u64 + missing, have: self.total as u64 });
        };
        self.rest = rest;
        Ok(slice)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], MethodError> {
        self.slice(N)?.try_into().map_err(|_| MethodError::Header)
    }

    fn doubles(&mut self, len: usize) -> Result<Vec<f64>, MethodError> {
        let bytes = self.slice(len.checked_mul(8).ok_or(MethodError::Header)?)?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
    }

    fn floats(&mut self, len: usize) -> Result<Vec<f32>, MethodError> {
        let bytes = self.slice(len.checked_mul(4).ok_or(MethodError::Header)?)?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    fn sums(&mut self, len: usize, what: &'static str) -> Result<Sums, MethodError> {
        let sums = Sums { high: self.doubles(len)?, low: self.doubles(len)? };
        if sums.is_finite() { Ok(sums) } else { Err(MethodError::Inconsistent { what }) }
    }

    fn moments(&mut self, dim: usize) -> Result<Moments, MethodError> {
        let first = self.sums(dim, "its first moments")?;
        let second = self.sums(triangle_len(dim), "its second moments")?;
        Ok(Moments::from_sums(first, second))
    }

    /// The arrays behind a header whose total length has been checked.
    fn statistics(mut self, header: Header) -> Result<Statistics, MethodError> {
        let (dim, logits) = (header.dim as usize, header.logits as usize);
        if dim < 2 || (header.naming == Naming::Predicted && logits == 0) {
            return Err(MethodError::Inconsistent { what: "its dimensions" });
        }
        let names = class_names(&header)?;
        let mut classes = Vec::with_capacity(names.len());
        for name in names {
            let count = u64::from_le_bytes(self.take()?);
            let feature = self.sums(dim, "its class sums")?;
            let direction = self.sums(dim, "its class sums")?;
            classes.push(ClassSums { name, count, feature, direction });
        }
        let total = classes.iter().try_fold(0_u64, |sum, class| sum.checked_add(class.count));
        if total != Some(header.images) || header.images > MOST_IMAGES || header.max_logit_not_positive > header.images
        {
            return Err(MethodError::Inconsistent { what: "its image counts" });
        }
        let feature = self.moments(dim)?;
        let direction = self.moments(dim)?;
        let sample = self.sample(&header, &classes)?;
        let (high, low) = header.max_logit;
        let least_known = header.max_logit_least.is_finite() == (header.images > 0 && logits > 0);
        if !(high.is_finite() && low.is_finite() && least_known) {
            return Err(MethodError::Inconsistent { what: "its logits" });
        }
        let mut statistics = Statistics::with_moments(feature, direction, logits, header.naming);
        statistics.images = header.images;
        statistics.classes = classes;
        statistics.max_logit = DoubleDouble { high, low };
        statistics.max_logit_least = header.max_logit_least;
        statistics.max_logit_not_positive = header.max_logit_not_positive;
        statistics.sample = sample;
        statistics.provenance = header.provenance;
        Ok(statistics)
    }

    fn sample(&mut self, header: &Header, classes: &[ClassSums]) -> Result<Sample, MethodError> {
        let wrong = MethodError::Inconsistent { what: "its sample" };
        let (dim, logits) = (header.dim as usize, header.logits as usize);
        if u64::from(header.sampled) != header.images.min(Sample::capacity_for(dim) as u64) {
            return Err(wrong);
        }
        let mut images = Vec::with_capacity(header.sampled as usize);
        for _ in 0..header.sampled {
            let key = u64::from_le_bytes(self.take()?);
            let class = u32::from_le_bytes(self.take()?) as usize;
            let Some(class) = classes.get(class) else {
                return Err(wrong);
            };
            let class = Arc::clone(&class.name);
            let values = self.floats(dim + logits)?;
            if values.iter().any(|value| !value.is_finite()) {
                return Err(wrong);
            }
            images.push(Sampled::new(key, class, &values[..dim], &values[dim..]));
        }
        Sample::from_sorted(dim, images).ok_or(wrong)
    }
}

/// The class names, ascending and without repetition.
fn class_names(header: &Header) -> Result<Vec<Arc<str>>, MethodError> {
    let wrong = MethodError::Inconsistent { what: "its class names" };
    let parts = || header.class_names.split('\0');
    let count = if header.classes == 0 && header.class_names.is_empty() { 0 } else { parts().count() };
    if count != header.classes as usize {
        return Err(wrong);
    }
    let names: Vec<Arc<str>> = parts().take(count).map(Arc::from).collect();
    if names.is_sorted_by(|a, b| a < b) { Ok(names) } else { Err(wrong) }
}
