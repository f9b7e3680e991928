//! Where things lie in a shelf file: the preamble, the section table, the checksums. `docs/shelf-format.md` in words.
//! Refuses a file whose table is damaged, whose sections overlap, or that is not as long as it says.

use core::fmt;

use crate::Error;

/// The first eight bytes. The line end in it catches a transfer in text mode.
pub const MAGIC: [u8; 8] = *b"\x89SHELF\r\n";
/// The format version that this crate writes and reads.
pub const VERSION: u16 = 1;
/// Bytes before the section table.
pub const PREAMBLE: usize = 32;
/// Bytes of one entry of the section table.
pub const ENTRY: usize = 24;
/// Sections start at a multiple of this many bytes.
pub const ALIGN: usize = 16;
/// The most sections a file may have.
pub const MAX_SECTIONS: usize = 32;

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum SectionKind {
    /// The postcard header.
    Header = 1,
    /// μ, the mean of the fit features: D × f32.
    Centre = 2,
    /// Rows of the unscaled projection P: d × D, compact.
    Basis = 3,
    /// 1/σ of the standardised variant: D × f32.
    InverseScale = 4,
    /// Rows of the standardised projection: d × D, compact.
    StandardBasis = 5,
    /// Calibration scores with their ranks.
    Calibration = 6,
    /// u, the origin of `ViM`: D × f32.
    VimOrigin = 7,
    /// Rows that span `ViM`'s principal space: d × D, compact.
    VimBasis = 8,
    /// A with AᵀA = Σ⁻¹, applied to h − μ: D × D, compact.
    Whitening = 9,
    /// A (μ_c − μ): C × D, compact.
    WhitenedMeans = 10,
    /// Mean of the normalised features: D × f32.
    DirectionCentre = 11,
    /// As `Whitening`, for normalised features.
    WhiteningPp = 12,
    /// As `WhitenedMeans`, for normalised features.
    WhitenedMeansPp = 13,
    /// Normalised features of fit images: N × D, compact.
    Bank = 14,
    /// W, the weights of the classifier's last layer: C × D, compact.
    Head = 15,
    /// ‖w_i − w_j‖: C × C, compact.
    BoundaryNorms = 16,
    /// The ONNX file.
    Backbone = 17,
    /// Images with the scores they must have.
    Golden = 18,
    /// Who vouches for all other sections: an Ed25519 key and its signature.
    Signature = 19,
    /// What the device's processor must have: a name a line.
    Needs = 20,
    /// The network made ready, so that no ONNX file has to be read.
    Program = 21,
}

impl SectionKind {
    /// Every kind, in the order of the file.
    pub const ALL: [Self; 21] = [
        Self::Header,
        Self::Centre,
        Self::Basis,
        Self::InverseScale,
        Self::StandardBasis,
        Self::Calibration,
        Self::VimOrigin,
        Self::VimBasis,
        Self::Whitening,
        Self::WhitenedMeans,
        Self::DirectionCentre,
        Self::WhiteningPp,
        Self::WhitenedMeansPp,
        Self::Bank,
        Self::Head,
        Self::BoundaryNorms,
        Self::Backbone,
        Self::Golden,
        Self::Signature,
        Self::Needs,
        Self::Program,
    ];

    /// The kind with that number, or `None` for one that a later version may have added.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u16 == number)
    }

    /// The name in messages and in `inspect`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Centre => "centre",
            Self::Basis => "projection",
            Self::InverseScale => "inverse-scale",
            Self::StandardBasis => "standard-projection",
            Self::Calibration => "calibration",
            Self::VimOrigin => "vim-origin",
            Self::VimBasis => "vim-projection",
            Self::Whitening => "whitening",
            Self::WhitenedMeans => "class-means",
            Self::DirectionCentre => "centre++",
            Self::WhiteningPp => "whitening++",
            Self::WhitenedMeansPp => "class-means++",
            Self::Bank => "bank",
            Self::Head => "head",
            Self::BoundaryNorms => "boundary-norms",
            Self::Backbone => "backbone",
            Self::Golden => "golden",
            Self::Signature => "signature",
            Self::Needs => "needs",
            Self::Program => "program",
        }
    }
}

impl fmt::Display for SectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The CRC-32 (IEEE 802.3) of some bytes: finds damage, not malice.
pub fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(bytes);
    hasher.finalize()
}

/// The checked section table of a file in memory.
#[derive(Clone, Copy, Debug)]
pub struct Sections<'a> {
    bytes: &'a [u8],
    count: usize,
}

/// One entry of the section table.
#[derive(Clone, Copy, Debug)]
struct Entry {
    kind: u16,
    reserved: u16,
    checksum: u32,
    offset: u64,
    length: u64,
}

impl<'a> Sections<'a> {
    /// Checks the preamble, the table and every section's checksum.
    ///
    /// # Errors
    /// [`Error`] naming what is damaged, short, too long or newer than this crate.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.get(..MAGIC.len()) != Some(&MAGIC) {
            return Err(Error::NotAShelf);
        }
        let found = bytes.len() as u64;
        if bytes.len() < PREAMBLE {
            return Err(Error::Length { expected: PREAMBLE as u64, found });
        }
        if checksum(&bytes[..28]) != u32_at(bytes, 28) {
            return Err(Error::Table);
        }
        let version = u16_at(bytes, 8);
        if version == 0 || version > VERSION {
            return Err(Error::Version { found: version, known: VERSION });
        }
        let count = usize::from(u16_at(bytes, 10));
        let expected = u64_at(bytes, 16);
        if expected != found {
            return Err(Error::Length { expected, found });
        }
        let end = PREAMBLE + count * ENTRY;
        if count > MAX_SECTIONS || u32_at(bytes, 12) != 0 || end > bytes.len() {
            return Err(Error::Table);
        }
        if checksum(&bytes[PREAMBLE..end]) != u32_at(bytes, 24) {
            return Err(Error::Table);
        }
        let sections = Self { bytes, count };
        sections.check(end)?;
        Ok(sections)
    }

    /// Sections follow each other without a gap beyond zero padding, each as its checksum says.
    fn check(&self, table_end: usize) -> Result<(), Error> {
        let mut at = table_end;
        for entry in self.entries() {
            let start = at.next_multiple_of(ALIGN);
            let length = usize::try_from(entry.length).map_err(|_| Error::Table)?;
            let stop = start.checked_add(length).ok_or(Error::Table)?;
            if entry.reserved != 0 || entry.offset != start as u64 || stop > self.bytes.len() {
                return Err(Error::Table);
            }
            if self.bytes[at..start].iter().any(|byte| *byte != 0) {
                return Err(Error::Table);
            }
            if checksum(&self.bytes[start..stop]) != entry.checksum {
                return Err(SectionKind::from_number(entry.kind).map_or(Error::Table, Error::Checksum));
            }
            at = stop;
        }
        if at == self.bytes.len() { Ok(()) } else { Err(Error::Table) }
    }

    fn entries(&self) -> impl Iterator<Item = Entry> + use<'a> {
        let bytes = self.bytes;
        (0..self.count).map(move |i| {
            let at = PREAMBLE + i * ENTRY;
            Entry {
                kind: u16_at(bytes, at),
                reserved: u16_at(bytes, at + 2),
                checksum: u32_at(bytes, at + 4),
                offset: u64_at(bytes, at + 8),
                length: u64_at(bytes, at + 16),
            }
        })
    }

    /// The sections of known kinds in the order of the file, with their bytes.
    pub fn iter(&self) -> impl Iterator<Item = (SectionKind, &'a [u8])> + use<'a> {
        self.numbered().filter_map(|(number, bytes)| Some((SectionKind::from_number(number)?, bytes)))
    }

    /// Every section in the order of the file, also of kinds that this program does not know: its number and its bytes.
    pub fn numbered(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        self.entries().map(move |entry| {
            let start = entry.offset as usize;
            (entry.kind, &bytes[start..start + entry.length as usize])
        })
    }

    /// The bytes of the one section of this kind, `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Section`] where there are several.
    pub fn find(&self, kind: SectionKind) -> Result<Option<&'a [u8]>, Error> {
        let mut found = self.iter().filter(|(k, _)| *k == kind).map(|(_, bytes)| bytes);
        let first = found.next();
        if found.next().is_some() {
            return Err(Error::Section(kind));
        }
        Ok(first)
    }

    /// The bytes of the one section of this kind.
    ///
    /// # Errors
    /// [`Error::Section`] where there is none or several.
    pub fn need(&self, kind: SectionKind) -> Result<&'a [u8], Error> {
        self.find(kind)?.ok_or(Error::Section(kind))
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

pub(crate) fn f32_at(bytes: &[u8], at: usize) -> f32 {
    f32::from_le_bytes(array(bytes, at))
}
