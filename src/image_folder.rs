//! The images of a folder: in a fixed order, with their class folder and lot. Refuses a folder without images.

use std::path::{Path, PathBuf};

use thiserror::Error;
use walkdir::WalkDir;

use crate::digest::sha256;
use crate::image_file::is_image_name;

/// Why the images of a folder could not be listed.
#[derive(Debug, Error)]
pub enum ImagesError {
    /// The folder, or one in it, cannot be read.
    #[error("cannot list images: {0}; check the path and its permissions")]
    Walk(#[from] walkdir::Error),
    /// Nothing in it that looks like an image.
    #[error("no image in {0}; give a folder of JPEG, PNG, BMP, TIFF, PNM or WebP files, or of class folders with them")]
    Empty(PathBuf),
}

/// One image of a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageEntry {
    /// Where the file is.
    pub path: PathBuf,
    /// Its path below the folder, with `/` between the parts on every system.
    pub name: String,
    /// Index of its class folder.
    pub class: Option<usize>,
    /// The folder below the class folder: a lot, a shift, a day.
    pub lot: Option<String>,
}

impl ImageEntry {
    /// Name of its class folder.
    pub fn class_folder(&self) -> Option<&str> {
        self.class.and_then(|_| self.name.split('/').next())
    }
}

/// The images of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFolder {
    /// Class folders in order; empty where images lie in the folder itself.
    pub classes: Vec<String>,
    /// The images in the order of their names.
    pub images: Vec<ImageEntry>,
}

impl ImageFolder {
    /// Lists a folder: links are followed, hidden files are left out, file names decide what is an image.
    ///
    /// # Errors
    /// [`ImagesError`].
    pub fn list(folder: &Path) -> Result<Self, ImagesError> {
        let visible =
            |entry: &walkdir::DirEntry| entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.');
        let mut images = Vec::new();
        for entry in WalkDir::new(folder).follow_links(true).into_iter().filter_entry(visible) {
            let entry = entry?;
            if entry.file_type().is_file() && is_image_name(entry.path()) {
                let below = entry.path().strip_prefix(folder).unwrap_or(entry.path());
                let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
                images.push(ImageEntry {
                    path: entry.path().to_owned(),
                    name: parts.join("/"),
                    class: None,
                    lot: None,
                });
            }
        }
        if images.is_empty() {
            return Err(ImagesError::Empty(folder.to_owned()));
        }
        images.sort_by(|a, b| a.name.cmp(&b.name));
        let mut classes: Vec<String> = Vec::new();
        if images.iter().all(|image| image.name.contains('/')) {
            for image in &mut images {
                let mut parts = image.name.split('/');
                let class = parts.next().unwrap_or_default();
                if classes.last().is_none_or(|last| last != class) {
                    // Names sort by whole paths, where `a-b/` comes before `a/`, so a class may come back.
                    if !classes.iter().any(|known| known == class) {
                        classes.push(class.to_owned());
                    }
                }
                image.class = classes.iter().position(|known| known == class);
                image.lot = parts.next().filter(|_| parts.next().is_some()).map(str::to_owned);
            }
        }
        Ok(Self { classes, images })
    }

    /// Splits off images to calibrate with, about a third, always the same ones: whole lots where there are two or
    /// more, else image by image. Says in words what it did.
    #[must_use]
    pub fn split(self) -> Split {
        let mut lots: Vec<(String, usize)> = Vec::new();
        for lot in self.images.iter().map(|image| image.lot.clone().unwrap_or_default()) {
            match lots.iter_mut().find(|(name, _)| *name == lot) {
                Some((_, count)) => *count += 1,
                None => lots.push((lot, 1)),
            }
        }
        let total = self.images.len();
        if lots.len() < 2 {
            let (calibrate, fit) = self.images.into_iter().partition(|image| rank(&image.name).is_multiple_of(3));
            let how = "one image in three by the hash of its name".to_owned();
            return Split { classes: self.classes, fit, calibrate, how };
        }
        lots.sort_by_key(|(name, _)| rank(name));
        let (mut chosen, mut count) = (Vec::new(), 0);
        for (name, images) in &lots[..lots.len() - 1] {
            if count * 3 >= total {
                break;
            }
            chosen.push(name.clone());
            count += images;
        }
        let how = format!("{} whole lots of {} by the hash of their names", chosen.len(), lots.len());
        let (calibrate, fit) = self
            .images
            .into_iter()
            .partition(|image| chosen.iter().any(|lot| *lot == image.lot.clone().unwrap_or_default()));
        Split { classes: self.classes, fit, calibrate, how }
    }
}

/// Images to fit on, and others to calibrate with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Class folders in order.
    pub classes: Vec<String>,
    /// Images that statistics are taken of.
    pub fit: Vec<ImageEntry>,
    /// Images that thresholds are taken from.
    pub calibrate: Vec<ImageEntry>,
    /// How they were parted.
    pub how: String,
}

fn rank(name: &str) -> u64 {
    let hash = sha256(name.as_bytes());
    u64::from_le_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{ImageFolder, ImagesError};

    fn folder(names: &[String]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"x").unwrap();
        }
        folder
    }

    #[test]
    fn class_folders_are_labels_unless_images_lie_beside_them() {
        let names = ["nut/2.png", "nut/1.jpg", "a-b/1.png", "a/1.png", "nut/readme.txt", ".hidden/1.png"];
        let dir = folder(&names.map(String::from));
        let listed = ImageFolder::list(dir.path()).unwrap();
        assert_eq!(listed.classes, ["a-b", "a", "nut"]);
        let found: Vec<_> = listed.images.iter().map(|image| (image.name.as_str(), image.class)).collect();
        assert_eq!(
            found,
            [("a-b/1.png", Some(0)), ("a/1.png", Some(1)), ("nut/1.jpg", Some(2)), ("nut/2.png", Some(2))]
        );
        fs::write(dir.path().join("loose.png"), b"x").unwrap();
        let listed = ImageFolder::list(dir.path()).unwrap();
        assert!(listed.classes.is_empty() && listed.images.iter().all(|image| image.class.is_none()));
    }

    #[test]
    fn an_empty_or_missing_folder_is_named() {
        let dir = folder(&["notes.txt".to_owned()]);
        assert!(matches!(ImageFolder::list(dir.path()), Err(ImagesError::Empty(_))));
        let missing = ImageFolder::list(&dir.path().join("no")).unwrap_err().to_string();
        assert!(missing.contains("no") && missing.contains("; check"), "{missing}");
    }

    #[test]
    fn a_split_never_parts_a_lot_and_never_mixes() {
        let names: Vec<String> = (0..120).map(|i| format!("c{}/lot{}/{i}.png", i % 2, i % 7)).collect();
        let split = ImageFolder::list(folder(&names).path()).unwrap().split();
        assert_eq!(split.fit.len() + split.calibrate.len(), 120);
        assert!((40..=60).contains(&split.calibrate.len()), "{}", split.calibrate.len());
        for image in &split.calibrate {
            assert!(split.fit.iter().all(|other| other.lot != image.lot));
        }
        let flat: Vec<String> = (0..300).map(|i| format!("{i}.png")).collect();
        let split = ImageFolder::list(folder(&flat).path()).unwrap().split();
        assert!((75..=125).contains(&split.calibrate.len()), "{}", split.calibrate.len());
        let again = ImageFolder::list(folder(&flat).path()).unwrap().split();
        let names = |images: &[super::ImageEntry]| images.iter().map(|i| i.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&split.calibrate), names(&again.calibrate));
    }
}
