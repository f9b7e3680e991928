//! Relative paths of a configuration start at its folder; comparisons of paths go by their letters.

use std::path::{Component, Path, PathBuf};

use super::source::Source;
use super::station::Config;

/// Makes every relative path absolute.
pub(super) fn resolve(config: &mut Config, folder: &Path) {
    let at = |path: &mut PathBuf| {
        // An empty path stays empty, and is refused as such.
        if path.is_relative() && !path.as_os_str().is_empty() {
            *path = plain(&folder.join(&*path));
        }
    };
    at(&mut config.state);
    config.journal.intent.as_mut().map(at);
    config.install.keys.iter_mut().for_each(at);
    if let Some(mqtt) = &mut config.mqtt {
        let files = [&mut mqtt.password_file, &mut mqtt.ca_file, &mut mqtt.client_cert, &mut mqtt.client_key];
        files.into_iter().flatten().for_each(at);
    }
    for station in &mut config.station {
        at(&mut station.shelf);
        station.backbone.as_mut().map(at);
        match &mut station.source {
            Source::V4l2 { device, .. } => at(device),
            Source::Folder { path, moved_to, .. } => {
                at(path);
                moved_to.as_mut().map(at);
            }
            // A bare name is looked for in PATH.
            Source::Command { command, .. } => {
                if let Some(program) = command.first_mut().filter(|program| program.contains('/')) {
                    *program = folder.join(&*program).to_string_lossy().into_owned();
                }
            }
            Source::Http { .. } => {}
        }
    }
}

/// The path without `.` and with `..` taken back, by its letters alone.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(plain.components().next_back(), Some(Component::Normal(_))) => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}
