//! From what happens at a station to events: noted before the pin moves, handed to the journal after it.

use jiff::Timestamp;

use crate::capture::Capture;
use crate::config::{Config, Station};
use crate::detector::Reading;
use crate::device::{FaultCode, Ids};
use crate::event::{Event, EventFault, EventKind, EventReading, SCHEMA};
use crate::journal::{Intents, NoSlot, Opening, Original, Pass, Slot, Trouble, Writer};

/// Where the records of all stations go.
#[derive(Clone, Copy)]
pub(super) struct Records<'a> {
    /// Numbers them.
    pub(super) ids: &'a Ids,
    /// Writes them.
    pub(super) writer: &'a Writer,
    /// Where alarms are noted first.
    pub(super) intents: &'a Intents,
    /// Names and settings.
    pub(super) config: &'a Config,
}

impl Records<'_> {
    /// Records what concerns the whole device, under the name of its first station.
    pub(super) fn tell(&self, code: FaultCode, text: String) {
        tracing::error!(code = code.name(), "{text}");
        let Some(station) = self.config.station.first() else { return };
        self.tell_of(station, EventKind::Fault, EventFault { code: code.name().to_owned(), text });
    }

    /// Records that something that concerned the whole device is over.
    pub(super) fn tell_over(&self, fault: EventFault) {
        tracing::info!(code = fault.code, "over: {}", fault.text);
        let Some(station) = self.config.station.first() else { return };
        self.tell_of(station, EventKind::Recovered, fault);
    }

    /// Records what happens to a station that has no recorder of its own.
    pub(super) fn tell_of(&self, station: &Station, kind: EventKind, fault: EventFault) {
        Recorder::new(*self, station, String::new(), Vec::new(), [0.0; 2]).tell(kind, Some(fault));
    }

    /// Records that a damaged journal was repaired.
    pub(super) fn tell_opening(&self, opening: &Opening) {
        if let Opening::Repaired { kept, salvaged, lost } = opening {
            let kept = kept.display();
            let text = format!(
                "the journal was damaged: {salvaged} rows were saved, at least {lost} events are missing; the damaged \
                 file is kept as {kept}, look after the disk"
            );
            self.tell(FaultCode::JournalRepaired, text);
        }
    }
}

/// The names that every event of a station carries.
#[derive(Clone, Debug)]
struct Names {
    /// Name of the site.
    site: String,
    /// Name of the device.
    device: String,
    /// Name of the station.
    station: String,
    /// SHA-256 of the shelf file, hexadecimal.
    shelf: String,
    /// SHA-256 of the configuration file, hexadecimal.
    config: String,
}

/// A part that was judged, or could not be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    /// Number of the part since the station began.
    pub(super) part: u64,
    /// When its image was taken, or its trigger came.
    pub(super) time: Timestamp,
    /// The numbers, where there are any.
    pub(super) reading: Option<Reading>,
    /// Milliseconds from trigger (or capture) to verdict.
    pub(super) latency_ms: f64,
}

/// Writes the records of one station.
pub(super) struct Recorder<'a> {
    records: Records<'a>,
    names: Names,
    classes: Vec<String>,
    thresholds: [f32; 2],
    roi: Option<[u32; 4]>,
    passes: u64,
}

impl<'a> Recorder<'a> {
    /// For a station on the shelf of that hash, with the names of its classes and its reject and review points.
    pub(super) fn new(
        records: Records<'a>,
        station: &Station,
        shelf: String,
        classes: Vec<String>,
        thresholds: [f32; 2],
    ) -> Self {
        let Config { site, device, .. } = records.config;
        let names = Names {
            site: site.clone(),
            device: device.clone(),
            station: station.name.clone(),
            shelf,
            config: records.config.sha256().to_owned(),
        };
        Self { records, names, classes, thresholds, roi: station.roi, passes: 0 }
    }

    fn event(&self, kind: EventKind, time: Timestamp) -> Event {
        let Names { site, device, station, shelf, config } = self.names.clone();
        Event {
            schema: SCHEMA,
            id: self.records.ids.next(),
            kind,
            time,
            site,
            device,
            station,
            part: None,
            reading: None,
            signalled: false,
            fault: None,
            image: None,
            shelf,
            config,
            recovered: false,
        }
    }

    fn reading(&self, reading: Reading, latency_ms: f64) -> EventReading {
        let [reject_below, review_below] = self.thresholds;
        let named = |class: usize| self.classes.get(class).filter(|name| !name.is_empty() && *name != "?").cloned();
        let class = reading.class.map(|class| named(class).unwrap_or_else(|| class.to_string()));
        EventReading { score: reading.score, p_value: reading.p_value, reject_below, review_below, class, latency_ms }
    }

    /// The event of a part that does not pass.
    pub(super) fn alarm(&self, kind: EventKind, judged: &Judged, signalled: bool, fault: Option<EventFault>) -> Event {
        let reading = judged.reading.map(|reading| self.reading(reading, judged.latency_ms));
        Event { part: Some(judged.part), reading, signalled, fault, ..self.event(kind, judged.time) }
    }

    /// Notes an alarm so that a killed process still owes it. Comes before the pin moves.
    ///
    /// # Errors
    /// [`NoSlot`]: RUN-OK must stop.
    pub(super) fn note(&self, event: &Event) -> Result<Slot, NoSlot> {
        self.records.intents.note(event)
    }

    /// Why the journal is behind, while it is.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.records.writer.trouble()
    }

    /// Whether there is room again for many alarms.
    pub(super) fn has_room(&self) -> bool {
        self.records.intents.has_room()
    }

    /// Hands an alarm to the journal. False where it takes no more: RUN-OK must stop.
    pub(super) fn keep(&self, event: Event, slot: Option<Slot>, capture: Option<&mut Capture>) -> bool {
        let image = capture.map(|capture| Original::taken_from(capture, self.roi));
        self.records.writer.alarm(event, image, slot).is_ok()
    }

    /// Records what happens to the station itself. False as with [`Recorder::keep`].
    pub(super) fn tell(&self, kind: EventKind, fault: Option<EventFault>) -> bool {
        let event = Event { fault, ..self.event(kind, Timestamp::now()) };
        self.records.writer.alarm(event, None, None).is_ok()
    }

    /// Keeps one of many passes with its image.
    pub(super) fn pass(&mut self, judged: &Judged, capture: &mut Capture) {
        self.passes += 1;
        let Some(reading) = judged.reading else { return };
        let every = u64::from(self.records.config.journal.keep_every);
        if every == 0 || !self.passes.is_multiple_of(every) {
            return;
        }
        let pass = Pass {
            id: self.records.ids.next(),
            station: self.names.station.clone(),
            time: judged.time,
            part: judged.part,
            reading: self.reading(reading, judged.latency_ms),
            shelf: self.names.shelf.clone(),
            config: self.names.config.clone(),
            image: Some(Original::taken_from(capture, self.roi)),
        };
        // A sample: when the journal is behind, it is the first to go, and the journal counts it.
        self.records.writer.pass(pass);
    }
}
