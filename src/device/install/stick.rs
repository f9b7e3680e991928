//! What a USB stick holds for the stations of this device.

use std::path::{Path, PathBuf};

use crate::config::{Config, Station};

/// The shelves that are for stations of this device: `shelfwatch/DEVICE/STATION.shelf`, so that one stick serves a plant.
pub fn offered<'c>(stick: &Path, config: &'c Config) -> Vec<(&'c Station, PathBuf)> {
    let folder = stick.join("shelfwatch").join(&config.device);
    let stations = config.station.iter();
    let all = stations.map(|station| (station, folder.join(format!("{}.shelf", station.name))));
    // Whoever made the stick may have put a pipe there, from which a read never returns.
    all.filter(|(_, path)| path.is_file()).collect()
}
