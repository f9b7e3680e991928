//! Events, states and figures to an MQTT broker, and commands from it. Nothing here ever blocks the caller: a thread
//! of its own holds the connection, and events wait in the [`Outbox`] until the broker has acknowledged them.

mod backoff;
mod board;
mod discovery;
mod error;
mod feed;
mod login;
mod probe;
mod topic;
mod trouble;
mod worker;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::capture::Moment;
use crate::config::Mqtt;
use crate::event::Outbox;
use board::{Board, Stop};

pub use board::Counts;
pub use error::MqttError;
pub use probe::{check, probe};
pub use topic::{check_name, check_prefix};

/// What somebody asked for by a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take an image: a message on `…/<station>/trigger`. It comes for every station, also for those that are not
    /// triggered by MQTT.
    Trigger {
        /// Name of the station.
        station: String,
        /// When the message arrived.
        at: Moment,
    },
    /// Clear held outputs and faults that wait for a person: a message on `…/<station>/clear`.
    Clear {
        /// Name of the station.
        station: String,
    },
}

/// The connection to the broker. Dropping it without [`Publisher::close`] ends the connection as a crash would: the
/// broker publishes the last will.
#[derive(Debug)]
pub struct Publisher {
    board: Arc<Board>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Checks names and files, then connects in the background and stays connected until closed. `commands` is called
    /// on the connection's thread and must not wait.
    ///
    /// # Errors
    /// A name that cannot be part of a topic, a file that is missing or of the wrong kind, settings that exclude each
    /// other. A broker that cannot be reached is no error here: see [`Publisher::trouble`].
    pub fn start(
        config: &Mqtt,
        site: &str,
        device: &str,
        stations: &[String],
        outbox: Arc<dyn Outbox>,
        commands: impl Fn(Command) + Send + Sync + 'static,
    ) -> Result<Self, MqttError> {
        let topics = topic::Topics::new(&config.prefix, site, device, stations)?;
        let login = login::Login::new(config, &topics)?;
        let discovery = discovery::Discovery::new(&topics, config.home_assistant);
        let board = Arc::new(Board::default());
        let worker = worker::Worker::new(login, topics, discovery, outbox, Box::new(commands), Arc::clone(&board));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(MqttError::Thread)?;
        let thread = std::thread::Builder::new()
            .name("mqtt".to_owned())
            .spawn(move || {
                runtime.block_on(worker.run());
                // A look-up of a name may still hang in the system's resolver; it is not waited for.
                runtime.shutdown_background();
            })
            .map_err(MqttError::Thread)?;
        Ok(Self { board, thread: Some(thread) })
    }

    /// There may be new events in the outbox.
    pub fn wake(&self) {
        self.board.wake();
    }

    /// The state of a station as JSON. It is kept by the broker and sent again after every new connection; of several
    /// states that wait, only the last is sent. A station that was not named at the start is ignored.
    pub fn state(&self, station: &str, json: String) {
        self.board.state(station, json);
    }

    /// The figures of a station as JSON; of several that wait, only the last is sent.
    pub fn stats(&self, station: &str, json: String) {
        self.board.stats(station, json);
    }

    /// Whether the broker has accepted us and has not gone since.
    pub fn connected(&self) -> bool {
        self.board.connected()
    }

    /// What hinders the connection (or the reading of the outbox), in words with the remedy; `None` while all is well.
    pub fn trouble(&self) -> Option<String> {
        self.board.trouble()
    }

    /// What was counted since the start.
    pub fn counts(&self) -> Counts {
        self.board.counts()
    }

    /// Sends what waits, says `offline` and disconnects. Without a connection, or after `deadline`, it ends without:
    /// events stay in the outbox for the next start. Returns whether everything was sent and the farewell said.
    pub fn close(mut self, deadline: Duration) -> bool {
        self.board.stop(Stop::Drain(Instant::now() + deadline));
        self.join();
        self.board.drained()
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has already said so on standard error, and there is nothing left to end.
            drop(thread.join());
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.board.stop(Stop::Now);
            self.join();
        }
    }
}
