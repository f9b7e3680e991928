//! What a station costs for each image of 640×480 beside preprocessing and backbone. `frame` is all but decoding;
//! `decode` is raw pixels to RGB, where the camera gives raw pixels. The sum of `frame` and `hand over` is to stay
//! below a millisecond.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use embedded_hal::digital::{ErrorType, OutputPin};
use shelfwatch::alert::gpio::{Output, OutputId, PulseShape, Pulses};
use shelfwatch::camera::{self, Camera, CameraError, Delivery, Feed, Pace};
use shelfwatch::capture::{Capture, Moment, PixelFormat};
use shelfwatch::config::{Health, JournalOptions, LateResult};
use shelfwatch::device::{FaultCode, Faults, Liveness, Sight, Tally};
use shelfwatch::journal::{Journal, WriterOptions};
use shelfwatch::status::Phase;
use shelfwatch_core::{Decider, DeciderOptions, Drift, Judgement};

const SIZE: [u32; 2] = [640, 480];

/// An image of that format, noise but for its first byte, which `number` changes.
fn image(into: &mut Capture, format: PixelFormat, number: u64) {
    let [width, height] = SIZE;
    let bytes = match format {
        PixelFormat::Rgb24 => 3,
        PixelFormat::Grey => 1,
        _ => 2,
    };
    into.clear();
    (into.format, into.width, into.height, into.stride) = (format, width, height, width * bytes);
    into.bytes.extend((0..width * height * bytes).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8));
    into.bytes[0] = number as u8;
    into.taken = Moment::now();
}

/// Gives an image whenever it is asked, without any work.
struct Still(Vec<u8>);

impl Camera for Still {
    fn next(&mut self, _: Duration, into: &mut Capture) -> Result<(), CameraError> {
        std::mem::swap(&mut into.bytes, &mut self.0);
        into.taken = Moment::now();
        Ok(())
    }

    fn name(&self) -> String {
        "camera".to_owned()
    }

    fn waits(&self) -> bool {
        true
    }
}

struct Silent;

impl ErrorType for Silent {
    type Error = Infallible;
}

impl OutputPin for Silent {
    fn set_low(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

fn decode(criterion: &mut Criterion) {
    let mut capture = Capture::empty();
    for format in [PixelFormat::Yuyv, PixelFormat::Rgb24, PixelFormat::Grey] {
        image(&mut capture, format, 0);
        let mut pixels = Vec::new();
        criterion.bench_function(&format!("decode {} 640x480", format.name()), |bencher| {
            bencher.iter(|| {
                let frame = camera::decode(black_box(&capture), None, std::mem::take(&mut pixels));
                pixels = frame.expect("the image has its size").into_rgb();
            });
        });
    }
}

/// Everything in the loop for a part that passes, and the scheduling of a pulse on top.
fn frame(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder for the journal");
    let journal = Journal::open(folder.path(), &JournalOptions::default()).expect("an empty journal");
    let options = WriterOptions { broker: false, on_commit: Box::new(|| {}) };
    let writer = journal.0.into_writer(options).expect("a writer");
    let shape = PulseShape { delay: Duration::ZERO, width: Some(Duration::from_micros(50)), late: LateResult::Now };
    let output = Output { name: "reject".to_owned(), pin: Silent, active_low: false };
    let pulses = Pulses::new(vec![(output, shape)]).expect("a scheduler");
    let mut sight = Sight::new(Health::default());
    let mut decider = Decider::new(DeciderOptions::default()).expect("the default is sound");
    let mut drift = Drift::new(0.01, 2000.0).expect("the default is sound");
    let (tally, liveness) = (Tally::new("a"), Liveness::new(1));
    let mut faults = Faults::default();
    let mut number = 0;
    for format in [PixelFormat::Yuyv, PixelFormat::Rgb24] {
        let mut capture = Capture::empty();
        image(&mut capture, format, 0);
        let pixels = camera::decode(&capture, None, Vec::new()).expect("the image has its size");
        criterion.bench_function(&format!("frame {} 640x480", format.name()), |bencher| {
            bencher.iter(|| {
                number += 1;
                capture.bytes[0] = number as u8;
                assert!(sight.fault(black_box(&capture.bytes), &pixels).is_none());
                let now = Moment::now();
                let decision = decider.decide(Some(Judgement::Pass), now.monotonic.as_millis() as u64);
                black_box(pulses.schedule(OutputId(0), now.monotonic)).ok();
                tally.verdict(decision.verdict, Some(1.0), 5.0, false);
                for code in FaultCode::ALL {
                    faults.end(code);
                }
                drift.observe(false);
                black_box((pulses.take_error(), pulses.is_failing(), writer.trouble()));
                tally.queue(0, 1);
                tally.phase(Phase::Ready, faults.worst());
                liveness.round(0);
                liveness.vouch(0, Duration::from_secs(1));
            });
        });
    }
}

/// From the camera's thread to the station's and back. Whoever waits is woken by the system, so that this is time
/// rather than work.
fn hand_over(criterion: &mut Criterion) {
    let open =
        || -> Result<Box<dyn Camera>, CameraError> { Ok(Box::new(Still(vec![0; (SIZE[0] * SIZE[1] * 2) as usize]))) };
    let pace = Pace::Free { min_interval: Duration::ZERO };
    let feed = Feed::with_cameras("bench", open, Duration::from_secs(10), pace, 4).expect("a thread");
    criterion.bench_function("hand over", |bencher| {
        bencher.iter(|| {
            if let Some(Delivery::Image(capture)) = feed.receive(Duration::from_secs(1)) {
                feed.give_back(capture);
            }
        });
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    decode(&mut criterion);
    frame(&mut criterion);
    hand_over(&mut criterion);
    criterion.final_summary();
}
