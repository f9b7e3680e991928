//! The last resort for a journal whose tree is broken: its pages one by one. A page with rows of events is itself a whole
//! small table, so each is put in the place of the table of events in an empty journal and read there.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::salvage::PAGE;

/// First byte of a page that holds rows of a table.
const LEAF: u8 = 0x0d;
/// A number of rows that no leaf can hold.
const TOO_MANY: u16 = (PAGE / 4) as u16;

/// Shows every page of the file that may hold rows as the table of events of a small journal, written to `small`.
/// Pages that hold rows of other tables show as rows that are no events.
pub(super) fn leaves(
    file: &Path,
    template: &[u8],
    small: &Path,
    mut take: impl FnMut(&Connection) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut image = template.to_vec();
    // The small journal is in no need of a log.
    image.get_mut(18..20).into_iter().for_each(|modes| modes.fill(1));
    let Some(root) = root_of_events(&image, small) else { return Ok(()) };
    let Ok(mut pages) = File::open(file) else { return Ok(()) };
    let mut page = vec![0; PAGE];
    while pages.read_exact(&mut page).is_ok() {
        let rows = u16::from_be_bytes([page[3], page[4]]);
        if page[0] != LEAF || !(1..TOO_MANY).contains(&rows) {
            continue;
        }
        let Some(place) = image.get_mut((root - 1) * PAGE..root * PAGE) else { break };
        place.copy_from_slice(&page);
        if let (Ok(()), Ok(old)) = (fs::write(small, &image), open(small)) {
            take(&old)?;
        }
    }
    Ok(())
}

fn root_of_events(image: &[u8], small: &Path) -> Option<usize> {
    fs::write(small, image).ok()?;
    let sql = "SELECT rootpage FROM sqlite_master WHERE name = 'events'";
    let root: i64 = open(small).ok()?.query_row(sql, [], |row| row.get(0)).ok()?;
    usize::try_from(root).ok().filter(|root| *root > 1)
}

fn open(small: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(small, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}
