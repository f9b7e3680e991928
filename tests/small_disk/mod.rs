//! A disk that a test can fill: a small file system in memory.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// A file system of some megabytes, gone with the value.
pub(crate) struct Small(tempfile::TempDir);

impl Small {
    pub(crate) fn mount(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(folder.path()).output();
        if done.is_ok_and(|done| done.status.success()) {
            return Some(Self(folder));
        }
        println!("skipped: a full disk; mounting a small tmpfs needs root");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// To the last byte; what is freed meanwhile is filled, too.
    pub(crate) fn fill(&self) {
        let mut file = fs::File::options().create(true).append(true).open(self.path().join("filling")).unwrap();
        for block in [vec![0_u8; 65_536], vec![0; 4096], vec![0; 1]] {
            while file.write_all(&block).is_ok() {}
        }
    }

    pub(crate) fn free(&self) {
        fs::remove_file(self.path().join("filling")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}
