//! The whole device: journal, broker, lines and stations from one configuration, and a new generation of them when the
//! configuration changes or something that was refused may work again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use thiserror::Error;

use super::crew::Crew;
use super::notice::Notice;
use super::outfit::Outfit;
use super::record::Records;
use super::reload::Reload;
use super::shelves::{Replacements, ShelfFile, detectors};
use super::shown::Board;
use super::supervisor::{Cause, Signals, Supervisor};
use super::trials::Trials;
use super::{FaultCode, Ids, Liveness, Tally};
use crate::alert::gpio::Pulses;
use crate::alert::mqtt::{self, Command, MqttError, Publisher};
use crate::camera::Feed;
use crate::capture::Trigger;
use crate::config::{Config, ConfigError, Station};
use crate::event::{EventFault, EventKind};
use crate::journal::{Intents, Journal, JournalError, JournalOutbox, Opening, Writer, WriterOptions};

/// Before what was refused is tried again.
const RETRY: Duration = Duration::from_secs(10);
/// For pulses that are late and records that wait when stations end.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why the program cannot go on. What a station can wait for is no such error.
#[derive(Debug, Error)]
pub enum PlantError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The broker's settings cannot be used.
    #[error(transparent)]
    Mqtt(#[from] MqttError),
    /// Signals cannot be handled.
    #[error("signals cannot be handled ({0}); report this as an error")]
    Signals(#[source] io::Error),
    /// The system gives no thread.
    #[error("cannot start the thread of a station ({0}); free memory or processes")]
    Thread(#[source] io::Error),
}

/// One counter a station, which grows when somebody clears its outputs and faults.
type Clears = Arc<[AtomicU64]>;
type Bell = Arc<Mutex<Option<Arc<Publisher>>>>;

/// The device as it runs.
pub struct Plant {
    path: PathBuf,
    config: Config,
    signals: Signals,
    ids: Ids,
    started: Timestamp,
    /// How the journal was found, until that is told.
    opening: Option<Opening>,
    intents: Intents,
    outbox: Arc<JournalOutbox>,
    writer: Arc<Writer>,
    bell: Bell,
    tallies: BTreeMap<String, Arc<Tally>>,
    /// Why stations of the last generation could not begin: name of the station and fault.
    refusals: Vec<(String, EventFault)>,
    /// Shelves on trial that failed, until that is told.
    left: Vec<String>,
}

impl Plant {
    /// Opens the journal and catches signals; stations begin with [`Plant::run`].
    ///
    /// # Errors
    /// [`PlantError`].
    pub fn start(path: &Path, config: Config) -> Result<Self, PlantError> {
        if let Some(broker) = &config.mqtt {
            mqtt::check(broker, &config.site, &config.device, &config.station_names())?;
        }
        let signals = Signals::default();
        for (signal, flag) in [(SIGTERM, &signals.stop), (SIGINT, &signals.stop), (SIGHUP, &signals.reload)] {
            signal_hook::flag::register(signal, Arc::clone(flag)).map_err(PlantError::Signals)?;
        }
        let (journal, opening) = Journal::open(&config.state, &config.journal)?;
        if journal.recovered() > 0 {
            tracing::warn!("{} alarms of a program that was killed are recorded now", journal.recovered());
        }
        let (intents, outbox) = (journal.intents(), Arc::new(journal.outbox()?));
        let bell = Bell::default();
        let rung = Arc::clone(&bell);
        let on_commit = move || {
            if let Some(publisher) = &*rung.lock().unwrap_or_else(PoisonError::into_inner) {
                publisher.wake();
            }
        };
        let writer =
            journal.into_writer(WriterOptions { broker: config.mqtt.is_some(), on_commit: Box::new(on_commit) })?;
        let (path, writer) = (path.to_owned(), Arc::new(writer));
        let (ids, started, tallies) = (Ids::new(), Timestamp::now(), BTreeMap::new());
        let opening = Some(opening);
        let left = Trials::start(&config.station);
        Ok(Self {
            path,
            config,
            signals,
            ids,
            started,
            opening,
            intents,
            outbox,
            writer,
            bell,
            tallies,
            refusals: Vec::new(),
            left,
        })
    }

    /// Runs until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// [`PlantError`].
    pub fn run(mut self) -> Result<(), PlantError> {
        loop {
            match self.generation()? {
                (Cause::Stop, _) => return Ok(()),
                (Cause::Reload, Some(newer)) => {
                    tracing::info!("the new configuration is taken over");
                    self.config = newer;
                }
                (Cause::Reload | Cause::Retry, _) => {}
            }
        }
    }

    /// One generation of stations, until it must end; with the configuration that follows it.
    fn generation(&mut self) -> Result<(Cause, Option<Config>), PlantError> {
        Notice::busy();
        self.count_stations();
        let opening = self.opening.take();
        let (config, stations) = (&self.config, &self.config.station);
        let clears: Clears = stations.iter().map(|_| AtomicU64::new(0)).collect();
        let files = ShelfFile::read_all(stations);
        let (outfit, no_lines) = match Outfit::open(config, clear_all(&clears)) {
            Ok(outfit) => (outfit, None),
            Err(error) => (Outfit::none(stations.len()), Some(error.to_string())),
        };
        let records = Records { ids: &self.ids, writer: &self.writer, intents: &self.intents, config };
        if let Some(opening) = &opening {
            records.tell_opening(opening);
        }
        for left in std::mem::take(&mut self.left) {
            records.tell(FaultCode::ShelfLeft, left);
        }
        let made = detectors(config, &files);
        self.left =
            stations.iter().zip(&made).filter_map(|(s, made)| Trials::refuse(s, made.as_ref().err()?)).collect();
        if !self.left.is_empty() {
            return Ok((Cause::Retry, None));
        }
        let crews: Vec<Crew<'_>> = stations
            .iter()
            .zip(made)
            .map(|(options, detector)| {
                let file = files.iter().find(|file| file.is_of(options));
                let hash = file.map(ShelfFile::hash).unwrap_or_default();
                Crew::gather(options, detector, hash, Arc::clone(&self.tallies[&options.name]), no_lines.as_deref())
            })
            .collect();
        let refusals: Vec<(String, EventFault)> = crews.iter().flat_map(Crew::refusals).collect();
        let refused = !refusals.is_empty();
        let before = std::mem::replace(&mut self.refusals, refusals);
        tell_recovered(before, &self.refusals, &records);
        let publisher = self.publisher(&crews, &clears, outfit.pulses.clone())?;
        self.ring(publisher.clone());
        let board = Arc::new(Board {
            started: self.started,
            cards: crews.iter().map(|crew| crew.card.clone()).collect(),
            heartbeat: outfit.heartbeat.clone(),
            publisher: publisher.clone(),
            writer: Arc::clone(&self.writer),
            outbox: Arc::clone(&self.outbox),
        });
        let page = config.web.listen.map(|listen| crate::web::serve(listen, Arc::clone(&board) as Arc<_>));
        if let Some(Err(error)) = &page {
            tracing::error!("{error}");
        }
        let liveness = Liveness::new(stations.len());
        let supervisor = Supervisor { board: &board, liveness: &liveness, signals: &self.signals };
        let first = stations.first().map(|station| Arc::clone(&self.tallies[&station.name]));
        let (mut trials, mut replacements) = (Trials::watch(stations, &self.tallies), Replacements::of(&files));
        let mut reload = Reload::new(&self.path, &records, first.as_deref());
        let stop = AtomicBool::new(false);
        let cause = thread::scope(|scope| {
            let mut workers = Vec::with_capacity(stations.len());
            for (index, crew) in crews.into_iter().enumerate() {
                let (outfit, liveness, clear, stop) = (&outfit, &liveness, &clears[index], &stop);
                let named = thread::Builder::new().name(format!("station {}", crew.card.station));
                let work = move || crew.work(index, records, outfit, liveness, clear, stop);
                let begun = named.spawn_scoped(scope, work).inspect_err(|_| stop.store(true, Ordering::Relaxed));
                workers.push(begun.map_err(PlantError::Thread)?);
            }
            let since = Instant::now();
            let cause = supervisor.watch(&mut || {
                let asked = self.signals.reload.swap(false, Ordering::Relaxed) || (!refused && replacements.poll());
                trials.poll();
                if let Some(repaired) = self.writer.take_repaired() {
                    records.tell_opening(&repaired);
                }
                let due = refused && since.elapsed() >= RETRY;
                if reload.poll(asked) {
                    Some(Cause::Reload)
                } else {
                    (due && (no_lines.is_some() || files.iter().any(ShelfFile::has_changed))).then_some(Cause::Retry)
                }
            });
            stop.store(true, Ordering::Relaxed);
            see_off(&workers, stations);
            Ok::<Cause, PlantError>(cause)
        })?;
        trials.close();
        outfit.drain(FAREWELL);
        Notice::busy();
        supervisor.close();
        if let Err(unsaved) = self.writer.flush(FAREWELL) {
            tracing::error!("{unsaved}");
        }
        Notice::busy();
        let newer = reload.into_config();
        drop((page, board));
        self.ring(None);
        if let Some(publisher) = publisher.and_then(Arc::into_inner) {
            publisher.close(FAREWELL);
        }
        Ok((cause, newer))
    }

    /// A tally for each station; those of earlier generations go on.
    fn count_stations(&mut self) {
        for station in &self.config.station {
            let fresh = || Arc::new(Tally::new(&station.name));
            self.tallies.entry(station.name.clone()).or_insert_with(fresh);
        }
    }

    /// Whom the journal wakes after a commit.
    fn ring(&self, publisher: Option<Arc<Publisher>>) {
        *self.bell.lock().unwrap_or_else(PoisonError::into_inner) = publisher;
    }

    fn publisher(
        &self,
        crews: &[Crew<'_>],
        clears: &Clears,
        pulses: Option<Arc<Pulses>>,
    ) -> Result<Option<Arc<Publisher>>, PlantError> {
        let Some(mqtt) = &self.config.mqtt else { return Ok(None) };
        let names = self.config.station_names();
        let feeds: Vec<(Option<Arc<Feed>>, AtomicU64)> = crews
            .iter()
            .map(|crew| (crew.feed.clone().filter(|_| crew.is_asked_by_message()), AtomicU64::new(0)))
            .collect();
        let (known, clears) = (names.clone(), Arc::clone(clears));
        let commands = move |command: Command| match command {
            Command::Trigger { station, at } => {
                let place = known.iter().position(|name| *name == station);
                if let Some((Some(feed), count)) = place.map(|place| &feeds[place]) {
                    let number = count.fetch_add(1, Ordering::Relaxed) + 1;
                    feed.trigger(Trigger { number, at });
                }
            }
            Command::Clear { station } => {
                if let Some(pulses) = &pulses {
                    pulses.clear();
                }
                if let Some(place) = known.iter().position(|name| *name == station) {
                    clears[place].fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        let Config { site, device, .. } = &self.config;
        let outbox = Arc::clone(&self.outbox) as Arc<_>;
        Ok(Some(Arc::new(Publisher::start(mqtt, site, device, &names, outbox, commands)?)))
    }
}

/// Tells which refusals of the generation `before` are over `now`.
fn tell_recovered(before: Vec<(String, EventFault)>, now: &[(String, EventFault)], records: &Records<'_>) {
    for (name, fault) in before {
        let lasts = now.iter().any(|(station, now)| (station, &now.code) == (&name, &fault.code));
        if let Some(station) = records.config.station(&name).filter(|_| !lasts) {
            records.tell_of(station, EventKind::Recovered, fault);
        }
    }
}

/// Waits while the stations finish the parts that they owe. One that hangs is the watchdog's.
fn see_off(workers: &[thread::ScopedJoinHandle<'_, ()>], stations: &[Station]) {
    let deadline = stations.iter().map(|station| station.deadline_ms).max().unwrap_or_default();
    let most = Duration::from_millis(deadline.into()) + FAREWELL;
    Notice::while_busy(most, |most| have_ended(workers, most));
}

/// Whether all threads have ended within `most`.
fn have_ended(workers: &[thread::ScopedJoinHandle<'_, ()>], most: Duration) -> bool {
    let begun = Instant::now();
    while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
        if begun.elapsed() >= most {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

fn clear_all(clears: &Clears) -> impl FnMut() + Send + 'static + use<> {
    let clears = Arc::clone(clears);
    move || {
        for clear in clears.iter() {
            clear.fetch_add(1, Ordering::Relaxed);
        }
    }
}
