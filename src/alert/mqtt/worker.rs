//! The connection's thread: one connection after the other until the end is wished. It never gives up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, NetworkOptions, Packet, Publish, QoS, SubscribeFilter,
    SubscribeNoticeError, SubscribeReasonCode,
};
use tokio::time::sleep;

use super::Command;
use super::backoff::Backoff;
use super::board::{Board, Stop};
use super::discovery::Discovery;
use super::feed::{Feed, Ledger, Progress, WINDOW};
use super::login::{KEEP_ALIVE, Login};
use super::topic::Topics;
use super::trouble::{self, Trouble};
use crate::capture::Moment;
use crate::event::Outbox;

/// Seconds until an attempt to connect has failed.
const CONNECT_SECONDS: u64 = 10;
/// Time for the farewell to leave this machine.
const DISCONNECT: Duration = Duration::from_secs(2);

/// How a connection ended.
enum End {
    /// Everything was sent and the farewell said.
    Drained,
    /// There was no more time, or none was wanted.
    Stopped,
    /// Try again.
    Lost(Trouble),
}

/// Everything that the thread needs.
pub(super) struct Worker {
    login: Login,
    topics: Topics,
    discovery: Discovery,
    outbox: Arc<dyn Outbox>,
    commands: Box<dyn Fn(Command) + Send + Sync>,
    board: Arc<Board>,
    ledger: Ledger,
}

impl Worker {
    pub(super) fn new(
        login: Login,
        topics: Topics,
        discovery: Discovery,
        outbox: Arc<dyn Outbox>,
        commands: Box<dyn Fn(Command) + Send + Sync>,
        board: Arc<Board>,
    ) -> Self {
        Self { login, topics, discovery, outbox, commands, board, ledger: Ledger::default() }
    }

    pub(super) async fn run(mut self) {
        let board = Arc::clone(&self.board);
        let _gone = Gone(&board);
        let mut backoff = Backoff::default();
        loop {
            let mut since = None;
            let trouble = match self.connection(&mut since).await {
                End::Drained => return board.set_drained(),
                End::Stopped => return,
                End::Lost(trouble) => trouble,
            };
            if board.connection_lost(Some(trouble.text.clone())) {
                tracing::warn!("{}", trouble.text);
            }
            let lasted = since.map_or(Duration::ZERO, |since: Instant| since.elapsed());
            tokio::select! {
                () = sleep(backoff.wait(lasted, trouble.slow)) => {}
                () = board.stop_wished() => return,
            }
        }
    }

    /// One connection, from the first packet to the last. `since` is set when the broker has accepted us.
    async fn connection(&mut self, since: &mut Option<Instant>) -> End {
        let inflight = WINDOW as u16 + 32;
        let mut options = match self.login.options(inflight) {
            Ok(options) => options,
            Err(error) => return End::Lost(Trouble::plain(error.to_string())),
        };
        options.set_last_will(self.login.will());
        let (client, mut events) = AsyncClient::builder(options).capacity(usize::from(inflight)).build();
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(CONNECT_SECONDS);
        events.set_network_options(network);

        let first = tokio::select! {
            biased;
            () = self.board.stop_due() => return End::Stopped,
            first = events.poll() => first,
        };
        if let Err(error) = first {
            return End::Lost(Trouble::new(&error, &self.login, false));
        }
        *since = Some(Instant::now());
        self.board.connection_made();
        tracing::info!("connected to broker {}:{}", self.login.host(), self.login.port());

        let progress = Progress::new();
        let (board, outbox, topics) = (&*self.board, &*self.outbox, &self.topics);
        let mut feed = Feed::new(client.clone(), board, outbox, topics, &progress, &mut self.ledger);
        let talk = async {
            // Whoever sees `online` may send a command at once.
            subscribe(&client, topics, &self.discovery, board).await;
            feed.run(&self.discovery).await
        };
        // None of these is polled again once another is done, so that no request is lost between the two.
        let end = tokio::select! {
            biased;
            () = board.stop_due() => End::Stopped,
            error = listen(&mut events, topics, &self.discovery, board, &self.commands) => {
                End::Lost(Trouble::new(&error, &self.login, true))
            }
            () = silence(&progress) => {
                End::Lost(Trouble::plain(format!("broker {}:{} {}", self.login.host(), self.login.port(), trouble::silent())))
            }
            sent = talk => match sent {
                Ok(()) => End::Drained,
                Err(trouble) => End::Lost(trouble),
            },
        };
        if matches!(end, End::Drained) && client.disconnect_now().await.is_ok() {
            let leave = async { while events.poll().await.is_ok() {} };
            // The farewell is acknowledged already; a broker that does not let us go is simply left.
            drop(tokio::time::timeout(DISCONNECT, leave).await);
        }
        end
    }
}

/// However the thread ends, nobody may take it for connected afterwards.
struct Gone<'a>(&'a Board);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        let ended = self.0.stopping() == Stop::No;
        self.0.connection_lost(ended.then(|| "the thread for MQTT has ended; restart the program".to_owned()));
    }
}

/// Comes back when the broker has owed an acknowledgement for too long. Keep-alive alone does not see that while we
/// send: it starts anew with every packet that leaves.
async fn silence(progress: &Progress) {
    while progress.owing() < Duration::from_secs(2 * u64::from(KEEP_ALIVE)) {
        sleep(Duration::from_secs(1)).await;
    }
}

/// Subscribes to commands. What the broker refuses is said, and events flow all the same.
async fn subscribe(client: &AsyncClient, topics: &Topics, discovery: &Discovery, board: &Board) {
    let of = |station: &String| ["trigger", "clear"].map(|last| topics.of(station, last));
    let filters: Vec<String> = topics.stations.iter().flat_map(of).collect();
    let wanted = filters.iter().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce));
    let answer = match client.subscribe_many_tracked(wanted).await {
        Ok(notice) => notice.wait_completion_async().await,
        Err(_) => Ok(()),
    };
    if let Err(SubscribeNoticeError::V4SubAckFailure(codes)) = answer {
        let refused = filters.iter().zip(codes).filter(|(_, code)| *code == SubscribeReasonCode::Failure);
        let refused: Vec<&str> = refused.map(|(filter, _)| filter.as_str()).collect();
        let text = format!("the broker refuses us to read {}; allow it in the broker's ACL", refused.join(" and "));
        tracing::warn!("{text}");
        board.refused(text);
    }
    // Only housekeeping: a broker that refuses it loses nothing but the removal of old entries.
    drop(client.subscribe(discovery.filter(), QoS::AtLeastOnce).await);
}

/// Drives the connection and passes commands on, until it breaks.
async fn listen(
    events: &mut EventLoop,
    topics: &Topics,
    discovery: &Discovery,
    board: &Board,
    commands: &(dyn Fn(Command) + Send + Sync),
) -> ConnectionError {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::Publish(message))) => heard(&message, topics, discovery, board, commands),
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

fn heard(
    message: &Publish,
    topics: &Topics,
    discovery: &Discovery,
    board: &Board,
    commands: &(dyn Fn(Command) + Send + Sync),
) {
    let Ok(topic) = std::str::from_utf8(&message.topic) else { return };
    let Some((station, last)) = topics.split(topic) else {
        if message.retain && !message.payload.is_empty() && discovery.is_stale(topic) {
            board.stale(topic);
        }
        return;
    };
    let station = station.to_owned();
    let command = match last {
        "trigger" => Command::Trigger { station, at: Moment::now() },
        "clear" => Command::Clear { station },
        _ => return,
    };
    if message.retain {
        board.count(|counts| counts.retained += 1);
        return;
    }
    board.count(|counts| counts.commands += 1);
    commands(command);
}
