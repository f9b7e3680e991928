//! The tests of real pins and of a real camera on the emulated device, whose kernel has both.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod factory;

use std::fs;
use std::path::{Path, PathBuf};

use factory::{Ended, Factory, alone};
use shelfwatch::image_file::encode_jpeg;
use shelfwatch::parts::{Product, SIDE, Subject, draw};

/// The newest build of a test for the machine, or how to get one.
fn built(test: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/aarch64-unknown-linux-gnu/release/deps");
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.strip_prefix(test).is_some_and(|rest| rest.starts_with('-') && !rest.contains('.'))
    };
    let newest = entries.filter(is_it).max_by_key(|path| path.metadata().and_then(|facts| facts.modified()).unwrap());
    if newest.is_none() {
        println!("skipped: {test} in the virtual factory; run cross/virtual-factory/daemon.sh");
    }
    newest
}

/// Runs cases of a test on the machine, none of which may be skipped for want of a device.
fn run(factory: &mut Factory, variables: &str, test: &str) {
    let (ended, said) = factory.sh(&format!("{variables} /root/{test} --test-threads 1 --nocapture 2>&1"));
    assert_eq!(ended, Ended::Exit(0), "{said}");
    assert!(said.contains("test result: ok") && !said.contains("skipped"), "{said}");
    println!("{said}");
}

#[test]
fn pins_are_driven_and_watched() {
    let _alone = alone();
    let Some(test) = built("gpio_device") else { return };
    let Some(mut factory) = Factory::start(&[(&test, "/root/gpio_device")]) else { return };
    let (chip, _) = factory.lines();
    let chip = format!("SHELFWATCH_GPIO_CHIP={chip}");
    let taken = "a_chip_that_was_away_is_used_again";
    run(&mut factory, &chip, &format!("gpio_device --skip {taken}"));
    // Last, for the chip comes back under another name.
    let live = "SHELFWATCH_GPIO_LIVE=/sys/kernel/config/gpio-sim/station/live";
    run(&mut factory, &format!("{chip} {live}"), &format!("gpio_device {taken}"));
    factory.power_off();
}

#[test]
fn a_camera_gives_images() {
    let _alone = alone();
    let Some(test) = built("v4l2") else { return };
    let Some(mut factory) = Factory::start(&[(&test, "/root/v4l2")]) else { return };
    let part = draw(Subject::Product(Product::ALL[0]), 1, SIDE).frame;
    factory.put("/root/part.jpg", &encode_jpeg(&part, 95).unwrap());
    factory.camera("MJPG", SIDE, SIDE);
    factory.play(10.0, &["/root/part.jpg"]);
    run(&mut factory, "SHELFWATCH_V4L2=/dev/video0", "v4l2");
    // The kernel's own virtual camera: several raw formats, none of them JPEG.
    let load = "modprobe vivid n_devs=1 node_types=0x1 allocators=0 no_error_inj=1 vid_cap_nr=9";
    assert_eq!(factory.sh(load).0, Ended::Exit(0));
    run(&mut factory, "SHELFWATCH_V4L2=/dev/video9", "v4l2");
    factory.power_off();
}
