//! Checks of folders: the state with its space and kind of file system, the intent's folder, and folders as sources.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use walkdir::WalkDir;

use crate::config::{Config, Station};

use super::finding::Finding;

/// Space for the journal and its log, beside the images, in megabytes.
const JOURNAL_MEGABYTES: u64 = 200;

/// File systems that forget all when the power goes.
const FORGETFUL: [&str; 4] = ["tmpfs", "ramfs", "overlay", "squashfs"];

/// File systems on which a write that was confirmed may still be lost, or that cannot lock.
const LOOSE: [&str; 8] = ["nfs", "nfs4", "cifs", "smb3", "9p", "vfat", "exfat", "fuse"];

pub(super) fn state(config: &Config, root: &Path) -> Vec<Finding> {
    let folder = &config.state;
    let mut findings = vec![writable("state", folder).unwrap_or_else(|| {
        let kind = kind(folder, root).unwrap_or_default();
        if FORGETFUL.contains(&kind.as_str()) {
            let words = format!(
                "{} is on {kind}, which forgets the journal when the power goes; set `state` to a folder on a disk",
                folder.display()
            );
            Finding::warning("state", &words)
        } else if LOOSE.contains(&kind.as_str()) {
            let words = format!("{} is on {kind}, where a journal can be damaged; use ext4 or xfs", folder.display());
            Finding::warning("state", &words)
        } else {
            let on = if kind.is_empty() { String::new() } else { format!(" on {kind}") };
            Finding::ok("state", format!("{} can be written{on}", folder.display()))
        }
    })];
    if folder.is_dir() {
        findings.push(space(folder, config.journal.image_megabytes));
    }
    if let Some(intent) = &config.journal.intent {
        findings.push(
            writable("intent", intent)
                .unwrap_or_else(|| Finding::ok("intent", format!("{} can be written", intent.display()))),
        );
    }
    findings
}

/// A folder as a source: its files are read and taken away, never by us.
pub(super) fn spool(station: &Station, path: &Path, moved_to: Option<&Path>) -> Finding {
    let check = format!("folder {}", station.name);
    for folder in [Some(path), moved_to].into_iter().flatten() {
        if let Some(finding) = writable(&check, folder) {
            return finding;
        }
    }
    let device = |folder: &Path| fs::metadata(folder).map(|facts| facts.dev()).ok();
    match moved_to {
        Some(to) if device(to) != device(path) => {
            let words = format!(
                "{} and {} are on different file systems, so that files cannot be moved; choose a folder beside `path`",
                path.display(),
                to.display()
            );
            Finding::failed(check, &words)
        }
        _ => Finding::ok(check, format!("{} can be read and written", path.display())),
    }
}

/// Why the folder cannot be written; `None` where it can.
fn writable(check: &str, folder: &Path) -> Option<Finding> {
    let shown = folder.display();
    match attempt(folder) {
        Ok(()) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Some(Finding::failed(check, &format!("{shown} is missing; install -d -o shelfwatch -g shelfwatch {shown}")))
        }
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            Some(Finding::failed(check, &format!("the disk with {shown} is full; make space")))
        }
        Err(error) => {
            let words = format!(
                "{shown} cannot be written ({error}); give it to the user shelfwatch, run doctor as that user, and for \
                 the service add it to ReadWritePaths"
            );
            Some(Finding::failed(check, &words))
        }
    }
}

/// Makes a file and removes it.
fn attempt(folder: &Path) -> io::Result<()> {
    fs::read_dir(folder)?;
    // The name begins with a point, so that no watcher takes it for an image.
    let file = folder.join(format!(".shelfwatch-doctor-{}", std::process::id()));
    let made = OpenOptions::new().write(true).create_new(true).open(&file).and_then(|file| file.sync_all());
    match fs::remove_file(&file) {
        Ok(()) => made,
        Err(error) => made.and(Err(error)),
    }
}

fn space(folder: &Path, image_megabytes: u64) -> Finding {
    let Some(free) = free_megabytes(folder) else {
        return Finding::skipped("space", format!("`df` says nothing of {}", folder.display()));
    };
    let used = WalkDir::new(folder).into_iter().flatten().filter_map(|entry| entry.metadata().ok());
    let used = used.filter(fs::Metadata::is_file).map(|facts| facts.len()).sum::<u64>() / 1_000_000;
    let wanted = image_megabytes.saturating_add(JOURNAL_MEGABYTES);
    let text = format!("{free} MB are free and {used} MB used of {wanted} MB for images and journal");
    if free < JOURNAL_MEGABYTES / 4 {
        Finding::failed("space", &format!("{text}; make space"))
    } else if free.saturating_add(used) < wanted {
        Finding::warning("space", &format!("{text}; lower journal.image_megabytes or use a larger disk"))
    } else {
        Finding::ok("space", text)
    }
}

/// As `df` says: the standard library cannot ask.
fn free_megabytes(folder: &Path) -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg("--").arg(folder).env("LC_ALL", "C").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let kilobytes: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kilobytes.saturating_mul(1024) / 1_000_000)
}

/// The kind of file system, from `mountinfo`: the last mount over the longest part of the path.
fn kind(folder: &Path, root: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let table = fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
    let mount = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let place = before.split(' ').nth(4)?.replace("\\040", " ");
        Some((PathBuf::from(place), after.split(' ').next()?.to_owned()))
    };
    let over = table.lines().filter_map(mount).filter(|(place, _)| folder.starts_with(place));
    over.max_by_key(|(place, _)| place.components().count()).map(|(_, kind)| kind)
}
