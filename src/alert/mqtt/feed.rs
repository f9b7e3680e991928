//! What goes out over one connection. Events are read from the outbox a few at a time and in order; they leave it once
//! the broker has acknowledged them and all before them. After a new connection everything from the first
//! unacknowledged one goes out again, in order: a reader that ignores ids it has seen gets each event once, in order.

use std::cell::Cell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rumqttc::{AsyncClient, ClientError, PublishNotice, PublishOptions};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::board::{Board, Notice};
use super::discovery::Discovery;
use super::topic::Topics;
use super::trouble::Trouble;
use crate::event::{Outbox, Waiting};

/// Events that may be unacknowledged.
pub(super) const WINDOW: usize = 32;
/// Events that are read from the outbox at once.
const BATCH: usize = 64;
/// Acknowledged numbers that the outbox may be behind, when it cannot write, before no more is sent.
const MOST_OWED: usize = 1024;
/// An outbox that failed is asked again after this time.
const RETRY: Duration = Duration::from_secs(1);
/// The outbox is looked into now and then even if nobody woke us.
const LOOK: Duration = Duration::from_secs(10);

const READ: usize = 0;
const WRITE: usize = 1;

/// When the broker last acknowledged something, and how much is open.
#[derive(Debug)]
pub(super) struct Progress {
    at: Cell<Instant>,
    open: Cell<usize>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { at: Cell::new(Instant::now()), open: Cell::new(0) }
    }

    /// Since when the broker owes an acknowledgement.
    pub(super) fn owing(&self) -> Duration {
        if self.open.get() == 0 { Duration::ZERO } else { self.at.get().elapsed() }
    }

    fn sent(&self) {
        if self.open.get() == 0 {
            self.at.set(Instant::now());
        }
        self.open.set(self.open.get() + 1);
    }

    fn acknowledged(&self) {
        self.at.set(Instant::now());
        self.open.set(self.open.get().saturating_sub(1));
    }
}

/// What the outbox still has to be told, and its last word; it outlives connections.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    owed: Vec<i64>,
}

/// The sending side of one connection.
pub(super) struct Feed<'a> {
    pub(super) client: AsyncClient,
    pub(super) board: &'a Board,
    pub(super) outbox: &'a dyn Outbox,
    pub(super) topics: &'a Topics,
    pub(super) progress: &'a Progress,
    pub(super) ledger: &'a mut Ledger,
    /// Events that were sent, in order: number, and whether it is acknowledged.
    window: VecDeque<(i64, bool)>,
    /// Events that were read and not sent yet.
    ready: VecDeque<Waiting>,
    /// The last event that was read.
    after: i64,
    /// Whether the outbox may have more than was read.
    more: bool,
    /// What hinders reading, and writing, of the outbox.
    hindered: [bool; 2],
    /// It is not asked again before.
    again: Instant,
    open: JoinSet<Option<i64>>,
    others: usize,
}

impl<'a> Feed<'a> {
    pub(super) fn new(
        client: AsyncClient,
        board: &'a Board,
        outbox: &'a dyn Outbox,
        topics: &'a Topics,
        progress: &'a Progress,
        ledger: &'a mut Ledger,
    ) -> Self {
        let after = ledger.owed.last().copied().unwrap_or(i64::MIN);
        Self {
            client,
            board,
            outbox,
            topics,
            progress,
            ledger,
            window: VecDeque::with_capacity(WINDOW),
            ready: VecDeque::with_capacity(BATCH),
            after,
            more: true,
            hindered: [false; 2],
            again: Instant::now(),
            open: JoinSet::new(),
            others: 0,
        }
    }

    /// Sends until everything is sent and an end is wished; then the farewell is acknowledged.
    pub(super) async fn run(&mut self, discovery: &Discovery) -> Result<(), Trouble> {
        self.greet(discovery).await?;
        let mut stopping = false;
        loop {
            self.settle();
            self.tell().await?;
            let empty = self.fill().await?;
            if stopping && empty && self.open.is_empty() && self.board.nothing_to_send() {
                return self.farewell().await;
            }
            let pause = if self.hindered == [false; 2] { LOOK } else { RETRY };
            tokio::select! {
                Some(done) = self.open.join_next() => {
                    self.acknowledged(done.ok().flatten());
                    while let Some(done) = self.open.try_join_next() {
                        self.acknowledged(done.ok().flatten());
                    }
                }
                () = self.board.news() => self.more = true,
                () = self.board.stop_wished(), if !stopping => (stopping, self.more) = (true, true),
                () = sleep(pause) => self.more = true,
            }
        }
    }

    async fn greet(&mut self, discovery: &Discovery) -> Result<(), Trouble> {
        for (topic, config) in discovery.configs() {
            self.send(None, topic.to_owned(), config.to_owned(), true).await?;
        }
        self.send(None, self.topics.availability(), "online".to_owned(), true).await
    }

    async fn farewell(&mut self) -> Result<(), Trouble> {
        self.send(None, self.topics.availability(), "offline".to_owned(), true).await?;
        while let Some(done) = self.open.join_next().await {
            self.acknowledged(done.ok().flatten());
        }
        Ok(())
    }

    /// Tells the outbox what the broker has, some at once, for an outbox on disk writes through to it each time.
    fn settle(&mut self) {
        while let Some((number, true)) = self.window.front() {
            self.ledger.owed.push(*number);
            self.window.pop_front();
        }
        let owed = &mut self.ledger.owed;
        let few = owed.len() < WINDOW / 2 && !self.window.is_empty();
        if owed.is_empty() || few || self.again > Instant::now() {
            return;
        }
        match self.outbox.acknowledged(owed) {
            Ok(()) => {
                owed.clear();
                self.outbox_works(WRITE);
            }
            Err(error) => self.outbox_failed(WRITE, &error),
        }
    }

    /// States and figures; while some are under way, newer ones wait and replace each other.
    async fn tell(&mut self) -> Result<(), Trouble> {
        if self.others > 0 {
            return Ok(());
        }
        for notice in self.board.take() {
            let (topic, text, retained) = match notice {
                Notice::State { station, json } if self.topics.knows(&station) => {
                    (self.topics.of(&station, "state"), json, true)
                }
                Notice::Stats { station, json } if self.topics.knows(&station) => {
                    (self.topics.of(&station, "stats"), json, false)
                }
                Notice::Stale { topic } => (topic, String::new(), true),
                Notice::State { .. } | Notice::Stats { .. } => continue,
            };
            self.send(None, topic, text, retained).await?;
        }
        Ok(())
    }

    /// Sends events while there is room; whether every event was sent. A freed place is filled at once: what we send
    /// carries the confirmation of TCP without which the broker may hold its next acknowledgements back.
    async fn fill(&mut self) -> Result<bool, Trouble> {
        while self.window.len() < WINDOW && self.ledger.owed.len() < MOST_OWED {
            if self.ready.is_empty() && self.more && self.again <= Instant::now() {
                self.read();
            }
            let Some(event) = self.ready.pop_front() else { break };
            self.window.push_back((event.number, false));
            let topic = self.topics.event(&event.station);
            self.send(Some(event.number), topic, event.json, false).await?;
        }
        Ok(self.ready.is_empty() && !self.more && self.ledger.owed.is_empty())
    }

    fn read(&mut self) {
        match self.outbox.waiting(self.after, BATCH) {
            Ok(events) => {
                self.more = events.len() >= BATCH;
                self.after = events.last().map_or(self.after, |event| event.number);
                self.ready.extend(events);
                self.outbox_works(READ);
            }
            Err(error) => self.outbox_failed(READ, &error),
        }
    }

    fn outbox_works(&mut self, what: usize) {
        self.hindered[what] = false;
        if self.hindered == [false; 2] {
            self.board.outbox_trouble(None);
        }
    }

    fn outbox_failed(&mut self, what: usize, error: &str) {
        self.hindered[what] = true;
        self.again = Instant::now() + RETRY;
        let verb = if what == READ { "read" } else { "written" };
        let text = format!("the outbox cannot be {verb} ({error}); events wait on this device until it can");
        if self.board.outbox_trouble(Some(text.clone())) {
            tracing::warn!("{text}");
        }
    }

    async fn send(&mut self, event: Option<i64>, topic: String, text: String, retained: bool) -> Result<(), Trouble> {
        let options = PublishOptions::at_least_once().retain(retained);
        let notice = self.client.publish_tracked(topic, text, options).await.map_err(|error| unsent(&error))?;
        self.progress.sent();
        self.others += usize::from(event.is_none());
        self.open.spawn(acknowledgement(notice, event));
        Ok(())
    }

    fn acknowledged(&mut self, event: Option<i64>) {
        self.progress.acknowledged();
        let Some(number) = event else {
            self.others = self.others.saturating_sub(1);
            return;
        };
        if let Some(slot) = self.window.iter_mut().find(|slot| slot.0 == number) {
            slot.1 = true;
        }
        self.board.count(|counts| counts.events += 1);
    }
}

/// Comes back when the broker has the message, and never when the connection ends before.
async fn acknowledgement(notice: PublishNotice, event: Option<i64>) -> Option<i64> {
    if notice.wait_completion_async().await.is_err() {
        std::future::pending::<()>().await;
    }
    event
}

fn unsent(error: &ClientError) -> Trouble {
    Trouble::plain(format!("a message could not be handed to the client ({error}); please report this"))
}
