//! The demo's virtual line: one drawn part after the other before the detector, each alarm told, all counted.

use std::fmt::Write as _;
use std::io::Write;

use anyhow::Result;
use serde_json::{Value, json};
use shelfwatch::detector::Detector;
use shelfwatch::evaluate::{SheetEntry, contact_sheet};
use shelfwatch::frame::Frame;
use shelfwatch::method::clopper_pearson_upper;
use shelfwatch::parts::{self, Box4, SIDE, Stranger, Subject};
use shelfwatch::watch::Watch;
use shelfwatch::workers::in_order;
use shelfwatch_core::{Header, Judgement};

use super::evaluation::call;
use crate::cli::judged::{Judged, look};
use crate::cli::table::Table;

/// Detectors that look at the line.
pub(super) struct Line<'a> {
    detectors: Vec<Detector<'a>>,
}

/// Parts of one kind.
#[derive(Clone, Copy, Default)]
struct Tally {
    parts: u64,
    reject: u64,
    review: u64,
}

/// What the line showed.
#[derive(Default)]
pub(super) struct Seen {
    good: Tally,
    strange: [Tally; Stranger::GROUPS.len()],
    entries: Vec<SheetEntry>,
    /// Rejected local defects, and those whose hottest cell touches the defect.
    defects: u64,
    hits: u64,
}

impl<'a> Line<'a> {
    pub(super) fn new(detectors: Vec<Detector<'a>>) -> Self {
        Self { detectors }
    }

    /// Runs the parts past the detectors; tells each alarm where `tell`.
    pub(super) fn run(&mut self, subjects: &[(Subject, u64)], tell: bool, watch: &dyn Watch) -> Result<Seen> {
        let mut seen = Seen::default();
        if tell {
            writeln!(std::io::stdout(), "the line: {} parts\n", subjects.len())?;
        }
        let work = |detector: &mut Detector<'a>, (subject, seed): &(Subject, u64)| {
            let drawn = parts::draw(*subject, *seed, SIDE);
            look(detector, &drawn.frame, true).map(|judged| (drawn.frame, drawn.defect, judged))
        };
        in_order(&mut self.detectors, subjects, work, |i, result| {
            // The demo draws its own pictures, so one that cannot be judged is an error of the program.
            let (frame, defect, judged) = result.map_err(anyhow::Error::msg)?;
            let subject = subjects[i].0;
            if tell && judged.reading.judgement != Judgement::Pass {
                tell_alarm(i, subject, &judged)?;
            }
            seen.count(i, subject, frame, defect, judged);
            watch.progress("line", i as u64 + 1, subjects.len() as u64);
            Ok::<(), anyhow::Error>(())
        })?;
        Ok(seen)
    }
}

fn truth(subject: Subject) -> String {
    match subject {
        Subject::Product(product) => format!("good {}", product.name()),
        Subject::Stranger(stranger) => format!("{}: {}", stranger.group(), stranger.name()),
        Subject::Belt => "bare belt".to_owned(),
    }
}

fn tell_alarm(i: usize, subject: Subject, judged: &Judged) -> Result<()> {
    let reading = judged.reading;
    let false_alarm = if matches!(subject, Subject::Product(_)) { "  (false alarm)" } else { "" };
    let (verdict, score, p) = (reading.judgement.name(), reading.score, reading.p_value);
    writeln!(
        std::io::stdout(),
        "part {i:>4}  {verdict:<6}  score {score:>8.3}  p {p:.4}  {}{false_alarm}",
        truth(subject)
    )?;
    Ok(())
}

impl Seen {
    fn count(&mut self, i: usize, subject: Subject, frame: Frame, defect: Option<Box4>, judged: Judged) {
        let tally = match subject {
            Subject::Stranger(stranger) => {
                let group = Stranger::GROUPS.iter().position(|group| *group == stranger.group()).unwrap_or(0);
                &mut self.strange[group]
            }
            _ => &mut self.good,
        };
        let judgement = judged.reading.judgement;
        tally.parts += 1;
        tally.reject += u64::from(judgement == Judgement::Reject);
        tally.review += u64::from(judgement != Judgement::Pass);
        if judgement == Judgement::Pass {
            return;
        }
        if let (Some(defect), Some(overlay)) = (defect, &judged.overlay) {
            let [x, y, width, height] = overlay.peak;
            self.defects += 1;
            let (centre_x, centre_y) = (x + width / 2.0, y + height / 2.0);
            self.hits += u64::from(defect.contains(centre_x, centre_y, width.max(height) / 2.0));
        }
        self.entries.push(SheetEntry {
            image: frame,
            heat: judged.overlay.map(|overlay| overlay.frame),
            name: format!("{i} {}", truth(subject)),
            score: judged.reading.score,
            p_value: f64::from(judged.reading.p_value),
            call: call(judgement),
        });
    }

    fn strangers(&self) -> Tally {
        self.strange.iter().fold(Tally::default(), |sum, tally| Tally {
            parts: sum.parts + tally.parts,
            reject: sum.reject + tally.reject,
            review: sum.review + tally.review,
        })
    }

    /// The closing table.
    pub(super) fn text(&self, header: &Header<'_>) -> String {
        let mut table = Table::new(&["", "parts", "rejected", "flagged", "share"]);
        let mut row = |name: &str, tally: Tally| {
            let share = format!("{:.1} %", 100.0 * tally.review as f64 / tally.parts.max(1) as f64);
            let counts = [tally.parts, tally.reject, tally.review].map(|count| count.to_string());
            table.row([name.to_owned()].into_iter().chain(counts).chain([share]));
        };
        row("good parts", self.good);
        for (group, tally) in Stranger::GROUPS.iter().zip(self.strange) {
            row(group, tally);
        }
        row("all strangers", self.strangers());
        let mut text = format!("\n{}\n", table.text());
        let percent = |rate: f64| 100.0 * rate;
        let (reject, review) = (header.reject.alpha, header.review.alpha);
        let promise = |count: u64, alpha: f64| {
            let expected = alpha * self.good.parts as f64;
            format!(
                "{count} of {} good parts, promised at most {:.0} % ({expected:.1})",
                self.good.parts,
                percent(alpha)
            )
        };
        let _ = writeln!(text, "rejected by itself   {}", promise(self.good.reject, reject));
        let _ = writeln!(text, "flagged for a person {}", promise(self.good.review, review));
        let strangers = self.strangers();
        let missed = strangers.parts - strangers.review;
        let _ = writeln!(
            text,
            "escaped              {missed} of {} strangers; at 95 % confidence at most {:.1} % escape",
            strangers.parts,
            percent(clopper_pearson_upper(missed, strangers.parts, 0.05))
        );
        let _ = writeln!(
            text,
            "heat map             hottest cell on the defect in {} of {} flagged defects",
            self.hits, self.defects
        );
        text
    }

    /// The closing figures.
    pub(super) fn json(&self) -> Value {
        let tally = |tally: Tally| json!({ "parts": tally.parts, "rejected": tally.reject, "flagged": tally.review });
        let groups: serde_json::Map<_, _> = Stranger::GROUPS
            .iter()
            .zip(self.strange)
            .map(|(group, found)| ((*group).to_owned(), tally(found)))
            .collect();
        json!({
            "good": tally(self.good), "strangers": tally(self.strangers()), "groups": groups,
            "heat_map": { "flagged_defects": self.defects, "hits": self.hits }
        })
    }

    /// The flagged parts with their heat maps.
    pub(super) fn sheet(&self) -> Result<Frame> {
        Ok(contact_sheet(&self.entries, 0)?)
    }
}
