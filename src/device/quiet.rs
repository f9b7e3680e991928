//! Keeps the log readable when faults come and go: one line of a kind in ten seconds.

use std::time::{Duration, Instant};

use super::FaultCode;

/// Least time between two lines of a kind.
const PAUSE: Duration = Duration::from_secs(10);

/// What was said of one kind of fault.
#[derive(Debug)]
struct Said {
    code: FaultCode,
    at: Instant,
    held: u64,
    /// The last beginning was said, so that its end is news.
    open: bool,
}

/// What was said when.
#[derive(Debug, Default)]
pub struct Quiet {
    said: Vec<Said>,
}

impl Quiet {
    /// How many beginnings of this kind were held back since the last one that was said, where this one may be said.
    pub fn begins(&mut self, code: FaultCode, now: Instant) -> Option<u64> {
        let Some(said) = self.said.iter_mut().find(|said| said.code == code) else {
            self.said.push(Said { code, at: now, held: 0, open: true });
            return Some(0);
        };
        said.open = now.saturating_duration_since(said.at) >= PAUSE;
        if !said.open {
            said.held += 1;
            return None;
        }
        said.at = now;
        Some(std::mem::take(&mut said.held))
    }

    /// Whether the end of a fault is to be said: where its beginning was.
    pub fn ends(&mut self, code: FaultCode) -> bool {
        let said = self.said.iter_mut().find(|said| said.code == code);
        said.is_some_and(|said| std::mem::take(&mut said.open))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{FaultCode, Quiet};

    #[test]
    fn one_line_of_a_kind() {
        let (mut quiet, now) = (Quiet::default(), Instant::now());
        assert_eq!(quiet.begins(FaultCode::ImageBlack, now), Some(0));
        assert!(quiet.ends(FaultCode::ImageBlack) && !quiet.ends(FaultCode::ImageBlack));
        assert_eq!(quiet.begins(FaultCode::ImageBlack, now + Duration::from_secs(9)), None);
        assert!(!quiet.ends(FaultCode::ImageBlack));
        assert_eq!(quiet.begins(FaultCode::CameraLost, now), Some(0));
        assert_eq!(quiet.begins(FaultCode::ImageBlack, now + Duration::from_secs(10)), Some(1));
        assert!(quiet.ends(FaultCode::ImageBlack));
    }
}
