//! The probes of the real machine: they read shelves, take images, look for lines and log in. None changes anything,
//! though a source given as a command is started and ended.

use std::slice;
use std::time::{Duration, Instant};

use shelfwatch_core::Drift;

use super::{FoundLine, Probes, ProvenShelf, SeenImage};
use crate::alert::gpio::Survey;
use crate::alert::mqtt;
use crate::camera::{self, Camera, CameraError, Wanted};
use crate::capture::Capture;
use crate::config::{Config, Health, Line, Mqtt, Station};
use crate::device::Sight;
use crate::device::install::Trust;
use crate::device::shelves::ShelfFile;

/// Until the first image: programs and network cameras need seconds to start.
const START: Duration = Duration::from_secs(10);
/// After the first image, for a camera that has yet to find its exposure.
const EXPOSURE: Duration = Duration::from_secs(2);
/// For the broker's answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The size that is asked of a camera where no shelf says it.
const USUAL: Wanted = Wanted { width: 640, height: 480 };

impl Probes<'static> {
    /// Those that try the machine itself.
    pub fn real() -> Self {
        Self { shelf: Some(&prove), image: Some(&take), line: Some(&find), broker: Some(&log_in) }
    }
}

fn prove(config: &Config, station: &Station) -> Result<ProvenShelf, String> {
    let trust = Trust::read(&config.install).map_err(|error| error.to_string())?;
    let files = ShelfFile::read_all(slice::from_ref(station));
    let file = files.first().ok_or_else(|| "no shelf was read; report this as an error".to_owned())?;
    let detector = file.detector(&trust)?;
    let header = detector.shelf().header();
    Drift::new(header.review.bound, station.drift.run_length).map_err(|error| error.to_string())?;
    Ok(ProvenShelf {
        product: header.product.to_owned(),
        golden: detector.shelf().golden().iter().count(),
        size: detector.frontend().recipe().size(),
    })
}

fn take(station: &Station, size: Option<[u32; 2]>) -> Result<SeenImage, String> {
    let words = |error: CameraError| error.to_string();
    let wanted = size.map_or(USUAL, |[width, height]| Wanted { width, height });
    let mut camera = camera::open(&station.source, wanted).map_err(words)?;
    let timeout = START.max(Duration::from_millis(station.timeout_ms.into()));
    let mut seen = look(camera.as_mut(), station, timeout)?;
    let first = Instant::now();
    while seen.fault.is_some() && first.elapsed() < EXPOSURE {
        seen = look(camera.as_mut(), station, timeout)?;
    }
    Ok(seen)
}

/// One image that can be decoded, and whether it shows anything.
fn look(camera: &mut dyn Camera, station: &Station, timeout: Duration) -> Result<SeenImage, String> {
    let begun = Instant::now();
    let mut capture = Capture::empty();
    loop {
        let left = timeout.saturating_sub(begun.elapsed());
        let taken = camera.next(left, &mut capture);
        let frame = match taken.and_then(|()| camera::decode(&capture, station.roi, Vec::new())) {
            Ok(frame) => frame,
            // A stream may begin in the middle of an image.
            Err(error) if error.is_of_one_image() && begun.elapsed() < timeout => continue,
            Err(error) => return Err(error.to_string()),
        };
        // Whether images repeat shows in more of them than are taken here.
        let mut sight = Sight::new(Health { frozen_after: 0, ..station.health.clone() });
        let fault = sight.fault(&capture.bytes, &frame).map(|(_, text)| text);
        return Ok(SeenImage { width: frame.width(), height: frame.height(), fault });
    }
}

fn find(line: &Line) -> Result<FoundLine, String> {
    let found = Survey::read().and_then(|survey| survey.find(line)).map_err(|error| error.to_string())?;
    Ok(FoundLine { place: found.to_string(), consumer: found.consumer })
}

fn log_in(config: &Config, broker: &Mqtt) -> Result<String, String> {
    mqtt::check(broker, &config.site, &config.device, &config.station_names()).map_err(|error| error.to_string())?;
    mqtt::probe(broker, &config.site, &config.device, PATIENCE)?;
    let secured = if broker.ca_file.is_some() { "with TLS" } else { "without TLS" };
    Ok(format!("{} let us in, {secured}", broker.host))
}
