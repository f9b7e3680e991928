//! Health and metrics over HTTP, on a thread of its own: `/healthz` and `/metrics`, read-only. It listens where the
//! configuration says, which is this machine only unless somebody changes it.

mod exposition;
mod metrics;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use thiserror::Error;
use tokio::sync::oneshot;

use crate::status::{Phase, Shown, Snapshot};

/// Time that open requests have when the server is closed.
const GRACE: Duration = Duration::from_secs(2);

/// Why nothing can be served.
#[derive(Debug, Error)]
pub enum WebError {
    /// Somebody else listens there.
    #[error("{0} is taken by another program; change web.listen or end the other one (`ss -ltnp` names it)")]
    Taken(SocketAddr),
    /// The system refuses the address.
    #[error(
        "cannot listen on {address} ({source}); set web.listen to an address of this device and a free port above 1023"
    )]
    Listen {
        /// The address of the configuration.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system gives no thread.
    #[error("cannot start the thread of the web server ({0}); free memory or processes")]
    Thread(io::Error),
}

impl WebError {
    /// A word that does not change.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Taken(_) => "web-address-taken",
            Self::Listen { .. } => "web-listen",
            Self::Thread(_) => "web-thread",
        }
    }
}

/// A running server; dropping it closes it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Where it listens; the port is the real one where 0 was asked for.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers the open requests, for two seconds at most, and ends.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The thread ends when the sender is gone; one that panicked has said so on standard error.
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Serves the state of `shown` at `listen` until closed.
///
/// # Errors
/// The address is taken or not ours; no thread.
pub fn serve(listen: SocketAddr, shown: Arc<dyn Shown>) -> Result<Server, WebError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => WebError::Taken(listen),
        _ => WebError::Listen { address: listen, source },
    };
    let listener = TcpListener::bind(listen).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(WebError::Thread)?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener).map_err(failed)?
    };
    let pages = Router::new().route("/healthz", get(health)).route("/metrics", get(metrics)).with_state(shown);
    let (end, ended) = oneshot::channel::<()>();
    let (closing, closed) = oneshot::channel::<()>();
    let work = async move {
        let serving = axum::serve(listener, pages).with_graceful_shutdown(async move {
            drop(ended.await);
            drop(closing);
        });
        let late = async {
            drop(closed.await);
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            result = serving.into_future() => {
                if let Err(error) = result {
                    tracing::warn!("the web server has ended ({error}); restart the program");
                }
            }
            () = late => {}
        }
    };
    let thread = std::thread::Builder::new()
        .name("web".to_owned())
        .spawn(move || {
            runtime.block_on(work);
            runtime.shutdown_background();
        })
        .map_err(WebError::Thread)?;
    Ok(Server { address, end: Some(end), thread: Some(thread) })
}

async fn metrics(State(shown): State<Arc<dyn Shown>>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, metrics::text(&shown.snapshot())).into_response()
}

async fn health(State(shown): State<Arc<dyn Shown>>) -> Response {
    let snapshot = shown.snapshot();
    let status = if snapshot.ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let kind = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, kind, health_text(&snapshot)).into_response()
}

/// `{"ready":…,"version":…,"stations":[{"station":…,"state":…,"shelf":…,"fault":{"code":…,"text":…}}]}` and a line feed.
fn health_text(snapshot: &Snapshot) -> String {
    let stations = snapshot.stations.iter().map(|station| {
        let fault = station.fault.as_ref().filter(|_| station.phase == Phase::Fault);
        json!({ "station": station.station, "state": station.phase, "shelf": station.shelf, "fault": fault })
    });
    let stations: Vec<_> = stations.collect();
    format!("{}\n", json!({ "ready": snapshot.ready(), "version": snapshot.version, "stations": stations }))
}
