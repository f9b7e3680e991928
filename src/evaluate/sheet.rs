//! A contact sheet of flagged images, each beside its heat map, with what the device says of it.
//! The sheet never grows beyond a screenful of rows: what does not fit is counted in its last line.

use crate::evaluate::lettering::{self, SIDE};
use crate::evaluate::resample::{fit, resample};
use crate::evaluate::scored::Call;
use crate::evaluate::wording::{number, shown, tail};
use crate::frame::{Frame, FrameError};

/// One image of the sheet.
#[derive(Clone, Debug)]
pub struct SheetEntry {
    /// The image.
    pub image: Frame,
    /// The heat map over it, where there is one.
    pub heat: Option<Frame>,
    /// Name shown, usually the file's stem.
    pub name: String,
    /// The shelf's score.
    pub score: f32,
    /// Its p-value.
    pub p_value: f64,
    /// What the device decides.
    pub call: Call,
}

/// Side of a picture.
const PICTURE: u32 = 176;
/// Between the two pictures of an entry.
const GAP: u32 = 4;
/// Around every entry.
const MARGIN: u32 = 12;
/// Two lines of text and the space above and between them.
const CAPTION: u32 = 28;
/// One entry with its left margin.
const CELL_WIDTH: u32 = 2 * PICTURE + GAP + MARGIN;
/// One entry with its upper margin.
const CELL_HEIGHT: u32 = PICTURE + CAPTION + MARGIN;
/// Entries side by side.
const COLUMNS: usize = 4;
/// Entries on a sheet.
pub const MOST_ENTRIES: usize = 80;

const PAPER: [u8; 3] = [250, 250, 248];
const MAT: [u8; 3] = [226, 228, 231];
const INK: [u8; 3] = [28, 34, 44];
const NOTE: [u8; 3] = [96, 104, 116];

/// The sheet as a frame: four entries a row, at most [`MOST_ENTRIES`]; `more` is how many flagged images the caller
/// left out beforehand, and is counted in the note with those that this sheet leaves out. Without entries the sheet
/// says so.
///
/// # Errors
/// None that a frame of the sheet's own size could have.
pub fn contact_sheet(entries: &[SheetEntry], more: usize) -> Result<Frame, FrameError> {
    let drawn = entries.get(..MOST_ENTRIES).unwrap_or(entries);
    let left_out = entries.len() - drawn.len() + more;
    let columns = drawn.len().clamp(1, COLUMNS);
    let rows = drawn.len().div_ceil(COLUMNS);
    let width = columns as u32 * CELL_WIDTH + MARGIN;
    let note = if drawn.is_empty() || left_out > 0 { SIDE as u32 + MARGIN } else { 0 };
    let height = rows as u32 * CELL_HEIGHT + MARGIN + note;
    let mut sheet = Canvas::new(width as usize, height as usize);
    for (index, entry) in drawn.iter().enumerate() {
        let x = (index % COLUMNS) as u32 * CELL_WIDTH + MARGIN;
        let y = (index / COLUMNS) as u32 * CELL_HEIGHT + MARGIN;
        sheet.place(entry, x as usize, y as usize)?;
    }
    let line = [MARGIN as usize, (rows as u32 * CELL_HEIGHT + MARGIN) as usize];
    if drawn.is_empty() && left_out == 0 {
        sheet.text(line, "no image was flagged", NOTE);
    } else if left_out > 0 {
        sheet.text(line, &format!("and {left_out} more, not shown"), NOTE);
    }
    Frame::new(width, height, sheet.rgb)
}

struct Canvas {
    width: usize,
    rgb: Vec<u8>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self { width, rgb: PAPER.repeat(width * height) }
    }

    fn place(&mut self, entry: &SheetEntry, x: usize, y: usize) -> Result<(), FrameError> {
        let side = PICTURE as usize;
        self.picture(&entry.image, x, y)?;
        if let Some(heat) = &entry.heat {
            self.picture(heat, x + side + GAP as usize, y)?;
        } else {
            self.text([x + side + GAP as usize + 8, y + 8], "no heat map", NOTE);
        }
        let letters = (CELL_WIDTH - MARGIN) as usize / SIDE;
        self.text([x, y + side + 5], &tail(&shown(&entry.name), letters), INK);
        let colour = match entry.call {
            Call::Reject => [190, 30, 45],
            Call::Review => [150, 100, 0],
            Call::Pass => [20, 110, 60],
        };
        let (word, below) = (entry.call.name(), [x, y + side + 5 + SIDE + 3]);
        self.text(below, word, colour);
        let rest = format!("score {}  p {}", number(f64::from(entry.score)), number(entry.p_value));
        self.text([x + (word.len() + 2) * SIDE, below[1]], &rest, NOTE);
        Ok(())
    }

    /// The frame with its own aspect in the middle of a mat.
    fn picture(&mut self, frame: &Frame, x: usize, y: usize) -> Result<(), FrameError> {
        let side = PICTURE as usize;
        self.fill(x, y, &MAT.repeat(side * side), side);
        let (width, height) = fit(frame, PICTURE);
        let small = resample(frame, width, height)?;
        let (left, top) = ((side - width as usize) / 2, (side - height as usize) / 2);
        self.fill(x + left, y + top, small.rgb(), width as usize);
        Ok(())
    }

    fn fill(&mut self, x: usize, y: usize, rgb: &[u8], width: usize) {
        for (down, row) in rgb.chunks_exact(width * 3).enumerate() {
            let start = ((y + down) * self.width + x) * 3;
            if let Some(target) = self.rgb.get_mut(start..start + row.len()) {
                target.copy_from_slice(row);
            }
        }
    }

    fn text(&mut self, at: [usize; 2], text: &str, colour: [u8; 3]) {
        lettering::draw(&mut self.rgb, self.width, at, text, colour);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn entry(width: u32, height: u32) -> SheetEntry {
        let image = Frame::new(width, height, vec![40; width as usize * height as usize * 3]).unwrap();
        SheetEntry {
            heat: (width > 2).then(|| image.clone()),
            image,
            name: "part \u{1b}[31m 0123456789012345678901234567890123456789012345".to_owned(),
            score: 0.5,
            p_value: 0.01,
            call: Call::Review,
        }
    }

    #[test]
    fn rows_and_columns() {
        let sheet = contact_sheet(&vec![entry(30, 20); 5], 0).unwrap();
        assert_eq!((sheet.width(), sheet.height()), (4 * CELL_WIDTH + MARGIN, 2 * CELL_HEIGHT + MARGIN));
        let one = contact_sheet(&[entry(1, 900)], 0).unwrap();
        assert_eq!(one.width(), CELL_WIDTH + MARGIN);
    }

    #[test]
    fn many_images_are_capped_and_the_note_has_room() {
        let sheet = contact_sheet(&vec![entry(2, 2); MOST_ENTRIES + 3], 7).unwrap();
        let rows = (MOST_ENTRIES / COLUMNS) as u32;
        assert_eq!(sheet.height(), rows * CELL_HEIGHT + 2 * MARGIN + SIDE as u32);
        assert!(contact_sheet(&[], 0).unwrap().rgb().iter().any(|&v| v < 200), "says that nothing was flagged");
    }

    #[test]
    fn the_same_entries_give_the_same_sheet() {
        let entries = vec![entry(33, 21); 3];
        assert_eq!(contact_sheet(&entries, 0).unwrap(), contact_sheet(&entries, 0).unwrap());
    }
}
