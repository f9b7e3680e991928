//! A real camera of the kernel: with `SHELFWATCH_V4L2=/dev/videoN`, else only what needs none.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use shelfwatch::camera::{Camera, CameraError, Delivery, Feed, FeedOptions, Pace, Wanted, decode, open};
use shelfwatch::capture::{Capture, Moment};
use shelfwatch::config::Source;

const WANTED: Wanted = Wanted { width: 320, height: 240 };
const LONG: Duration = Duration::from_secs(30);

fn source(device: PathBuf, format: Option<&str>) -> Source {
    Source::V4l2 { device, width: None, height: None, fps: None, format: format.map(str::to_owned) }
}

/// The device to test with; its lack is said.
fn device() -> Option<PathBuf> {
    let device = env::var_os("SHELFWATCH_V4L2").map(PathBuf::from);
    if device.is_none() {
        println!("skipped: a real camera (set SHELFWATCH_V4L2=/dev/videoN)");
    }
    device
}

/// The next image; a few damaged ones are what real cameras begin with.
fn image(camera: &mut dyn Camera) -> Capture {
    let mut capture = Capture::empty();
    for _ in 0..10 {
        match camera.next(LONG, &mut capture) {
            Ok(()) => return capture,
            Err(error) => assert!(error.is_of_one_image(), "{error}"),
        }
    }
    panic!("ten damaged images in a row");
}

#[test]
fn what_is_no_camera_says_so() {
    let error = |path: &str| open(&source(PathBuf::from(path), None), WANTED).err().unwrap();
    assert!(matches!(error("/dev/missing"), CameraError::Lost { .. }));
    assert!(error("/dev/missing").to_string().contains("plug the camera in"));
    assert!(matches!(error("/dev/null"), CameraError::Refused { .. }));
    assert!(error("/dev/null").to_string().contains("no video device"));
}

#[test]
fn images_come_with_their_times() {
    let Some(device) = device() else { return };
    let mut camera = open(&source(device, None), WANTED).unwrap();
    let mut last = Duration::ZERO;
    for _ in 0..20 {
        let capture = image(camera.as_mut());
        let frame = decode(&capture, None, Vec::new()).unwrap();
        println!("{}: {} {}×{}", camera.name(), capture.format.name(), frame.width(), frame.height());
        let (taken, now) = (capture.taken.monotonic, Moment::now().monotonic);
        assert!(taken > last && taken <= now && now < taken + LONG, "taken at {taken:?}, after {last:?}, now {now:?}");
        last = taken;
        let middle = [frame.width() / 4, frame.height() / 4, frame.width() / 2, frame.height() / 2];
        assert_eq!(decode(&capture, Some(middle), frame.into_rgb()).unwrap().width(), middle[2]);
    }
}

#[test]
fn every_format_is_kept_to_or_refused() {
    let Some(device) = device() else { return };
    let mut opened = 0;
    for word in ["yuyv", "mjpg", "grey", "nv12", "rgb24", "h264"] {
        match open(&source(device.clone(), Some(word)), WANTED) {
            Ok(mut camera) => {
                let capture = image(camera.as_mut());
                assert_eq!(capture.format.name(), if word == "mjpg" { "file" } else { word });
                decode(&capture, None, Vec::new()).unwrap();
                opened += 1;
            }
            Err(error) => {
                println!("{word}: {error}");
                assert_eq!(error.code(), "source-refused");
            }
        }
    }
    assert!(opened > 0, "the device has none of the formats");
}

#[test]
fn a_feed_answers_triggers_from_it() {
    let Some(device) = device() else { return };
    let options = FeedOptions {
        name: "test".to_owned(),
        source: source(device, None),
        wanted: WANTED,
        timeout: LONG,
        pace: Pace::OnTrigger { delay: Duration::from_millis(20), window: LONG, timeout: LONG },
        queue: 4,
    };
    let feed = Feed::start(options).unwrap();
    for number in 1..=10 {
        let trigger = shelfwatch::capture::Trigger { number, at: Moment::now() };
        feed.trigger(trigger);
        loop {
            match feed.receive(LONG).unwrap() {
                Delivery::Image(capture) => {
                    assert_eq!(capture.trigger, Some(trigger));
                    assert!(capture.taken.monotonic >= trigger.at.monotonic + Duration::from_millis(20));
                    feed.give_back(capture);
                    break;
                }
                Delivery::Damaged(error) => println!("{error}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
