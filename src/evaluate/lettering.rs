//! Letters of 8×8 pixels on a frame's bytes: ASCII and Latin-1.
//! Any other character is drawn as `?`.

use font8x8::{BASIC_FONTS, LATIN_FONTS, UnicodeFonts};

/// Width and height of a letter in pixels.
pub(super) const SIDE: usize = 8;

/// Draws the text with its upper left corner at `x`, `y`; what would lie outside is cut off.
pub(super) fn draw(rgb: &mut [u8], width: usize, [x, y]: [usize; 2], text: &str, colour: [u8; 3]) {
    for (index, letter) in text.chars().enumerate() {
        for (down, bits) in glyph(letter).into_iter().enumerate() {
            for across in (0..SIDE).filter(|across| bits >> across & 1 == 1) {
                let column = x + index * SIDE + across;
                let start = ((y + down) * width + column) * 3;
                if column < width
                    && let Some(pixel) = rgb.get_mut(start..start + 3)
                {
                    pixel.copy_from_slice(&colour);
                }
            }
        }
    }
}

/// Rows from the top, the leftmost pixel in the lowest bit.
fn glyph(letter: char) -> [u8; SIDE] {
    let letter = match letter {
        '…' => '~',
        '–' | '−' => '-',
        letter => letter,
    };
    BASIC_FONTS.get(letter).or_else(|| LATIN_FONTS.get(letter)).or_else(|| BASIC_FONTS.get('?')).unwrap_or([0; SIDE])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_drawn_and_cut_off_at_the_edge() {
        let count = |rgb: &[u8]| rgb.iter().map(|&v| usize::from(v) / 9).sum::<usize>();
        let mut rgb = vec![0; 12 * 8 * 3];
        draw(&mut rgb, 12, [0, 0], "II", [9; 3]);
        let lit = count(&rgb);
        assert!(lit > 30, "{lit}");
        draw(&mut rgb, 12, [500, 500], "I", [9; 3]);
        assert_eq!(count(&rgb), lit);
        assert_ne!(glyph('ü'), glyph('?'));
        assert_eq!(glyph('漢'), glyph('?'));
    }
}
