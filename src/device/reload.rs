//! A new configuration while the old one runs: checked beside it, with its shelves proven, and taken over only whole.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use super::record::Records;
use super::shelves::{ShelfFile, detectors};
use super::{FaultCode, Tally};
use crate::alert::mqtt;
use crate::config::Config;
use crate::event::EventFault;

/// Looks after requests to read the configuration again.
pub(super) struct Reload<'a> {
    path: PathBuf,
    records: &'a Records<'a>,
    /// Where refusals are counted: the first station's.
    tally: Option<&'a Tally>,
    refused: Option<EventFault>,
    /// Asked for, and not yet begun.
    asked: bool,
    checking: Option<Receiver<Result<Box<Config>, String>>>,
    newer: Option<Config>,
}

impl<'a> Reload<'a> {
    /// Nothing asked for yet.
    pub(super) fn new(path: &Path, records: &'a Records<'a>, tally: Option<&'a Tally>) -> Self {
        Self { path: path.to_owned(), records, tally, refused: None, asked: false, checking: None, newer: None }
    }

    /// Begins a check where one is `asked` for. True once a new configuration is there to be taken over.
    pub(super) fn poll(&mut self, asked: bool) -> bool {
        self.asked |= asked;
        if self.asked && self.checking.is_none() {
            self.asked = false;
            let (tell, hear) = channel();
            let (path, config) = (self.path.clone(), self.records.config.clone());
            // The stations go on meanwhile; a thread that cannot be had shows as a receiver without a sender.
            let checker = thread::Builder::new().name("reload".to_owned());
            _ = checker.spawn(move || _ = tell.send(check(&path, &config)));
            self.checking = Some(hear);
        }
        let found = match self.checking.as_ref().map(Receiver::try_recv) {
            None | Some(Err(TryRecvError::Empty)) => return false,
            Some(Ok(found)) => found,
            Some(Err(TryRecvError::Disconnected)) => Err("it could not be checked; see the log".to_owned()),
        };
        self.checking = None;
        match found {
            Ok(newer) => {
                if let Some(refused) = self.refused.take() {
                    self.records.tell_over(refused);
                }
                self.newer = Some(*newer);
            }
            Err(why) => self.refuse(format!("the new configuration is refused, the old one goes on: {why}")),
        }
        self.newer.is_some()
    }

    fn refuse(&mut self, text: String) {
        if self.refused.as_ref().is_some_and(|refused| refused.text == text) {
            // As when a shelf was replaced and a reload asked for it, too.
            return tracing::error!("once more: {text}");
        }
        let code = FaultCode::ConfigRefused.name();
        if let Some(tally) = self.tally {
            tally.fault(code);
        }
        self.refused = Some(EventFault { code: code.to_owned(), text: text.clone() });
        self.records.tell(FaultCode::ConfigRefused, text);
    }

    /// What is to be taken over.
    pub(super) fn into_config(self) -> Option<Config> {
        self.newer
    }
}

/// A configuration that can be taken over without a new start of the program.
fn check(path: &Path, running: &Config) -> Result<Box<Config>, String> {
    let newer = Config::load(path).map_err(|error| error.to_string())?;
    let budgets = |config: &Config| {
        let journal = &config.journal;
        (config.state.clone(), journal.intent.clone(), journal.image_megabytes, journal.image_days)
    };
    if budgets(running) != budgets(&newer) || running.mqtt.is_some() != newer.mqtt.is_some() {
        let what = "a change of `state`, of the journal's budgets or folders, or of whether there is a broker";
        return Err(format!("{what} needs a new start; run `systemctl restart shelfwatch`"));
    }
    if let Some(broker) = &newer.mqtt {
        mqtt::check(broker, &newer.site, &newer.device, &newer.station_names()).map_err(|error| error.to_string())?;
    }
    let files = ShelfFile::read_all(&newer.station);
    for detector in detectors(&newer, &files) {
        detector?;
    }
    Ok(Box::new(newer))
}
