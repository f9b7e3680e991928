//! Golden images: a few calibration files that travel in the shelf with the scores they must have on the device.

use crate::fit::pass::key;
use crate::image_folder::ImageEntry;
use crate::shelf::read_bounded;

/// How many there are, spread from the least to the most familiar.
const COUNT: usize = 6;
/// The largest file taken, in bytes.
const LARGEST: u64 = 192 * 1024;

/// Takes the images nearest to evenly spread ranks whose files are small enough and have not changed since.
pub(super) fn choose(images: &[ImageEntry], kept: &[(usize, u64)], scores: &[f32]) -> Vec<(Vec<u8>, f32)> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]).then(a.cmp(b)));
    let count = COUNT.min(order.len());
    let mut taken: Vec<usize> = Vec::new();
    let mut golden = Vec::new();
    for i in 0..count {
        let wanted = if count == 1 { 0 } else { i * (order.len() - 1) / (count - 1) };
        // A file that is too large gives its place to a neighbour in rank.
        let near = (0..8).flat_map(|step| [wanted.checked_sub(step), wanted.checked_add(step)]).flatten();
        for at in near.filter(|at| *at < order.len()) {
            let image = order[at];
            if taken.contains(&image) {
                continue;
            }
            let (entry, expected) = kept[image];
            let Ok(bytes) = read_bounded(&images[entry].path, LARGEST) else { continue };
            if key(&bytes) == expected {
                taken.push(image);
                golden.push((bytes, scores[image]));
                break;
            }
        }
    }
    golden
}
