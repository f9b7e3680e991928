//! What can be wrong with a station, and which of it is wrong now. A fault that lets parts pass unseen stops RUN-OK.

use std::time::{Duration, Instant};

use crate::event::EventFault;

/// A kind of fault. Its word in events and metrics never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultCode {
    /// The source gives no images.
    CameraLost,
    /// A trigger came and no image was taken in its window.
    NoImage,
    /// An image could not be decoded.
    ImageDamaged,
    /// An image is black.
    ImageBlack,
    /// An image is overexposed.
    ImageOverexposed,
    /// The same image came again and again.
    ImageFrozen,
    /// The verdict came after the pulse was due.
    LateResult,
    /// The verdict took longer than the station's deadline.
    DeadlineMissed,
    /// An output or the trigger input failed.
    GpioLost,
    /// Triggers were lost between the kernel and us.
    TriggerLost,
    /// The journal cannot be written.
    JournalFailed,
    /// The disk is full.
    DiskFull,
    /// The shelf cannot be used, or did not reproduce its golden images.
    ShelfRefused,
    /// The backbone failed on an image.
    BackboneFailed,
    /// Unfamiliar parts have become more frequent for good.
    Drift,
    /// An alarm could not even be kept in memory.
    AlarmsLost,
    /// The journal was found damaged and was repaired.
    JournalRepaired,
    /// A judged file could not be moved or deleted.
    FileNotSettled,
    /// A new configuration was refused; the old one goes on.
    ConfigRefused,
    /// A new shelf failed and was left for the one before it.
    ShelfLeft,
}

impl FaultCode {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::CameraLost,
        Self::NoImage,
        Self::ImageDamaged,
        Self::ImageBlack,
        Self::ImageOverexposed,
        Self::ImageFrozen,
        Self::LateResult,
        Self::DeadlineMissed,
        Self::GpioLost,
        Self::TriggerLost,
        Self::JournalFailed,
        Self::DiskFull,
        Self::ShelfRefused,
        Self::BackboneFailed,
        Self::Drift,
        Self::AlarmsLost,
        Self::JournalRepaired,
        Self::FileNotSettled,
        Self::ConfigRefused,
        Self::ShelfLeft,
    ];

    /// The word in events and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CameraLost => "camera-lost",
            Self::NoImage => "no-image",
            Self::ImageDamaged => "image-damaged",
            Self::ImageBlack => "image-black",
            Self::ImageOverexposed => "image-overexposed",
            Self::ImageFrozen => "image-frozen",
            Self::LateResult => "late-result",
            Self::DeadlineMissed => "deadline-missed",
            Self::GpioLost => "gpio-lost",
            Self::TriggerLost => "trigger-lost",
            Self::JournalFailed => "journal-failed",
            Self::DiskFull => "disk-full",
            Self::ShelfRefused => "shelf-refused",
            Self::BackboneFailed => "backbone-failed",
            Self::Drift => "drift",
            Self::AlarmsLost => "alarms-lost",
            Self::JournalRepaired => "journal-repaired",
            Self::FileNotSettled => "file-not-settled",
            Self::ConfigRefused => "config-refused",
            Self::ShelfLeft => "shelf-left",
        }
    }

    /// Whether parts may pass unseen while it lasts, so that RUN-OK must stop. The journal's troubles do not: alarms
    /// wait in memory, and when that is full `alarms-lost` stops it. Nor does drift: every part is judged and
    /// signalled, a person must look at the cause. Nor does a late result by itself: that depends on the output's policy.
    pub const fn stops_run_ok(self) -> bool {
        use FaultCode::{
            ConfigRefused, DiskFull, Drift, FileNotSettled, JournalFailed, JournalRepaired, LateResult, ShelfLeft,
        };
        let unseen = !matches!(self, ConfigRefused | Drift | FileNotSettled | LateResult | ShelfLeft);
        unseen && !matches!(self, DiskFull | JournalFailed | JournalRepaired)
    }

    /// Whether the next image that is judged in time ends it.
    pub const fn ends_with_a_good_image(self) -> bool {
        matches!(
            self,
            Self::NoImage
                | Self::ImageDamaged
                | Self::ImageBlack
                | Self::ImageOverexposed
                | Self::ImageFrozen
                | Self::BackboneFailed
                | Self::DeadlineMissed
        )
    }
}

/// How long a fault must stay away until it is over. One that comes and goes with every image is one fault.
const CALM: Duration = Duration::from_secs(1);
/// How long a fault of single images must stay away where no good image may come, since the line stands still.
const LONG_CALM: Duration = Duration::from_secs(10);

/// A fault that is there.
#[derive(Clone, Debug)]
struct Lasting {
    code: FaultCode,
    fault: EventFault,
    /// When it was raised last.
    seen: Instant,
    /// Its cause is gone.
    gone: bool,
}

/// The faults of a station that last. A fault is over when its cause is gone and it was not raised again for a second:
/// so that no kind of fault makes more than one pair of `fault` and `recovered` a second.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    lasting: Vec<Lasting>,
}

impl Faults {
    /// Notes a fault. True where it is new; while it lasts, only its first text is kept.
    pub fn raise(&mut self, code: FaultCode, now: Instant, text: impl FnOnce() -> String) -> bool {
        if let Some(lasting) = self.lasting.iter_mut().find(|lasting| lasting.code == code) {
            (lasting.seen, lasting.gone) = (now, false);
            return false;
        }
        let fault = EventFault { code: code.name().to_owned(), text: text() };
        self.lasting.push(Lasting { code, fault, seen: now, gone: false });
        true
    }

    /// The cause of a fault is gone.
    pub fn end(&mut self, code: FaultCode) {
        for lasting in self.lasting.iter_mut().filter(|lasting| lasting.code == code) {
            lasting.gone = true;
        }
    }

    /// As [`Faults::end`] for faults of single images that have not come again for ten seconds: for stations whose
    /// parts are signalled as bad where they could not be judged.
    pub fn end_forgotten(&mut self, now: Instant) {
        for lasting in self.lasting.iter_mut().filter(|lasting| lasting.code.ends_with_a_good_image()) {
            lasting.gone |= now.saturating_duration_since(lasting.seen) >= LONG_CALM;
        }
    }

    /// Removes one fault that is over; to be called until there is none.
    pub fn take_over(&mut self, now: Instant) -> Option<(FaultCode, EventFault)> {
        let over = |lasting: &Lasting| lasting.gone && now.saturating_duration_since(lasting.seen) >= CALM;
        let at = self.lasting.iter().position(over)?;
        let Lasting { code, fault, .. } = self.lasting.remove(at);
        Some((code, fault))
    }

    /// The fault of that kind, where it lasts.
    pub fn get(&self, code: FaultCode) -> Option<&EventFault> {
        self.lasting.iter().find(|lasting| lasting.code == code).map(|lasting| &lasting.fault)
    }

    /// Whether this one lasts.
    pub fn has(&self, code: FaultCode) -> bool {
        self.get(code).is_some()
    }

    /// Whether none of those that last lets parts pass unseen.
    pub fn let_run(&self) -> bool {
        self.lasting.iter().all(|lasting| !lasting.code.stops_run_ok())
    }

    /// The one that says most: one that stops RUN-OK before one that does not.
    pub fn worst(&self) -> Option<&EventFault> {
        let worst = self.lasting.iter().find(|lasting| lasting.code.stops_run_ok());
        worst.or(self.lasting.first()).map(|lasting| &lasting.fault)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{FaultCode, Faults};

    fn raise(faults: &mut Faults, code: FaultCode, now: Instant) -> bool {
        faults.raise(code, now, || "gone".to_owned())
    }

    #[test]
    fn a_fault_is_new_once_and_ends_once() {
        let (mut faults, now) = (Faults::default(), Instant::now());
        let later = now + Duration::from_secs(1);
        assert!(faults.raise(FaultCode::DiskFull, now, || "full".to_owned()) && faults.let_run());
        assert!(raise(&mut faults, FaultCode::CameraLost, now) && !faults.let_run());
        assert!(!faults.raise(FaultCode::CameraLost, now, || "again".to_owned()));
        assert_eq!(faults.worst().unwrap().text, "gone");
        assert!(faults.take_over(later).is_none(), "the cause is still there");
        faults.end(FaultCode::CameraLost);
        assert!(faults.has(FaultCode::CameraLost) && faults.take_over(now).is_none());
        assert_eq!(faults.take_over(later).unwrap().0, FaultCode::CameraLost);
        assert!(faults.take_over(later).is_none() && faults.let_run());
        assert_eq!(faults.worst().unwrap().code, "disk-full");
    }

    #[test]
    fn the_table_in_the_documents_is_this_one() {
        let text = include_str!("../../docs/station.md");
        let (_, table) = text.split_once("## Faults").unwrap();
        let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(rows.len(), FaultCode::ALL.len());
        for code in FaultCode::ALL {
            let start = format!("| `{}` |", code.name());
            let row = rows.iter().find(|row| row.starts_with(&start)).unwrap_or_else(|| panic!("no {start}"));
            assert_eq!(row.contains("RUN-OK goes on"), !code.stops_run_ok(), "{row}");
            assert_eq!(
                row.contains("| a good image |") || row.contains("| an image in time |"),
                code.ends_with_a_good_image(),
                "{row}"
            );
        }
    }

    /// At any rate and rhythm, no more than one pair a second.
    #[test]
    fn a_fault_that_comes_and_goes_is_one() {
        let begin = Instant::now();
        for (gap_ms, longest) in [(5, 0), (400, 0), (999, 0), (1000, 29), (1500, 20)] {
            let mut faults = Faults::default();
            let (mut began, mut over) = (0, 0);
            // Half a minute: one black image each `gap_ms`, and good ones between.
            for ms in 0..30_000 {
                let now = begin + Duration::from_millis(ms);
                if ms % gap_ms == 0 {
                    began += usize::from(raise(&mut faults, FaultCode::ImageBlack, now));
                } else {
                    faults.end(FaultCode::ImageBlack);
                }
                over += usize::from(faults.take_over(now).is_some());
            }
            assert!(over <= longest && began <= over + 1, "each {gap_ms} ms: {began} began, {over} were over");
        }
    }

    #[test]
    fn a_standing_line_does_not_wait_for_a_good_image_for_ever() {
        let (mut faults, now) = (Faults::default(), Instant::now());
        raise(&mut faults, FaultCode::ImageBlack, now);
        raise(&mut faults, FaultCode::CameraLost, now);
        let at = |seconds| now + Duration::from_secs(seconds);
        faults.end_forgotten(at(9));
        assert!(faults.take_over(at(9)).is_none());
        faults.end_forgotten(at(10));
        assert_eq!(faults.take_over(at(10)).unwrap().0, FaultCode::ImageBlack);
        assert!(faults.take_over(at(1000)).is_none() && faults.has(FaultCode::CameraLost));
    }
}
