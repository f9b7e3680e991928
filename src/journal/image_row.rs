//! What the journal knows of a kept image: enough to judge it again and to say whether the score is the same.

use std::path::{Component, Path};

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::error::JournalError;
use super::folder::archive_folder;
use super::original::Original;
use crate::event::EventReading;

/// Which images go first when room is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Passes, and files that no row knew.
    Pass = 0,
    /// Reviews, and images of faults.
    Review = 1,
    /// Rejects.
    Reject = 2,
}

/// The columns that [`ImageRow::read`] takes, in its order.
pub(super) const COLUMNS: &str = "images.path, images.id, images.bytes, images.station, images.kind, images.time, \
     images.shelf, images.config, images.roi, images.score, images.p_value, images.reject_below, images.review_below";

/// A kept image.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageRow {
    /// Relative to the archive.
    pub path: String,
    /// The id of its event or pass.
    pub id: String,
    /// Room it takes on the disk.
    pub bytes: u64,
    /// Name of the station.
    pub station: String,
    /// `pass`, the event's kind, or `unknown` for a file that was found without a row.
    pub kind: String,
    /// When it was taken, UTC.
    pub time: Timestamp,
    /// SHA-256 of the shelf file that judged it, hexadecimal; empty where unknown.
    pub shelf: String,
    /// SHA-256 of the configuration file, hexadecimal; empty where unknown.
    pub config: String,
    /// Left, top, width and height of the part that was judged; `None` for all of it.
    pub roi: Option<[u32; 4]>,
    /// Score, p-value, reject and review threshold; `None` where no reading belongs to it.
    pub reading: Option<[f32; 4]>,
}

impl ImageRow {
    /// A row without the numbers of a reading that it may have.
    pub(super) fn with_reading(mut self, reading: Option<&EventReading>) -> Self {
        self.reading = reading.map(|r| [r.score, r.p_value, r.reject_below, r.review_below]);
        self
    }

    pub(super) fn insert(&self, connection: &Connection, rank: Rank) -> rusqlite::Result<()> {
        let number = |at: usize| self.reading.map(|reading| f64::from(reading[at]));
        let mut statement = connection.prepare_cached(
            "INSERT OR REPLACE INTO images(path, id, rank, bytes, station, kind, time, shelf, config, roi, score, \
             p_value, reject_below, review_below) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)",
        )?;
        statement.execute(params![
            self.path,
            self.id,
            rank as i64,
            self.bytes as i64,
            self.station,
            self.kind,
            self.time.as_microsecond(),
            self.shelf,
            self.config,
            self.roi.map(|[x, y, w, h]| format!("{x} {y} {w} {h}")),
            number(0),
            number(1),
            number(2),
            number(3),
        ])?;
        Ok(())
    }

    /// Reads [`COLUMNS`] from `first` on; `None` where they are empty, as beside an event without image.
    pub(super) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Self>> {
        let Some(path) = row.get(first)? else { return Ok(None) };
        let number = |at: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<f64>>(first + at)?.map(|v| v as f32));
        let numbers = [number(9)?, number(10)?, number(11)?, number(12)?];
        Ok(Some(Self {
            path,
            id: row.get(first + 1)?,
            bytes: u64::try_from(row.get::<_, i64>(first + 2)?).unwrap_or(0),
            station: row.get(first + 3)?,
            kind: row.get(first + 4)?,
            time: time(row.get(first + 5)?),
            shelf: row.get(first + 6)?,
            config: row.get(first + 7)?,
            roi: row.get::<_, Option<String>>(first + 8)?.and_then(|text| roi(&text)),
            reading: match numbers {
                [Some(a), Some(b), Some(c), Some(d)] => Some([a, b, c, d]),
                _ => None,
            },
        }))
    }

    /// Reads the image from the archive of that state folder.
    ///
    /// # Errors
    /// [`JournalError::File`] where it is gone, [`JournalError::Damaged`] where it is not what was written.
    pub fn load(&self, state: &Path) -> Result<Original, JournalError> {
        let inside = Path::new(&self.path).components().all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            let reason = "its path leads out of the archive".to_owned();
            return Err(JournalError::Damaged { what: format!("image {}", self.path), reason });
        }
        let path = archive_folder(state).join(&self.path);
        let bytes = std::fs::read(&path).map_err(JournalError::file("read", &path))?;
        Original::from_file(&self.path, bytes, self.roi)
    }
}

/// Microseconds to a time; one that no calendar has counts as 1970.
pub(super) fn time(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn roi(text: &str) -> Option<[u32; 4]> {
    let numbers: Vec<u32> = text.split(' ').map(|number| number.parse().ok()).collect::<Option<_>>()?;
    numbers.try_into().ok()
}
