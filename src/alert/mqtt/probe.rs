//! One connection to see whether the broker would let us in. It uses another client identifier and no will, so that a
//! running station is not disturbed.

use std::time::Duration;

use rumqttc::{AsyncClient, NetworkOptions};

use super::error::MqttError;
use super::login::Login;
use super::topic::Topics;
use super::trouble::Trouble;
use crate::config::Mqtt;

/// Whether settings, names and files are right; nothing is connected.
///
/// # Errors
/// As [`Publisher::start`](super::Publisher::start).
pub fn check(config: &Mqtt, site: &str, device: &str, stations: &[String]) -> Result<(), MqttError> {
    let topics = Topics::new(&config.prefix, site, device, stations)?;
    Login::new(config, &topics).map(|_| ())
}

/// Connects to the broker, logs in and leaves.
///
/// # Errors
/// The setting or file that is wrong, or what hinders the connection, in words with the remedy.
pub fn probe(config: &Mqtt, site: &str, device: &str, patience: Duration) -> Result<(), String> {
    let words = |error: MqttError| error.to_string();
    let topics = Topics::new(&config.prefix, site, device, &[]).map_err(words)?;
    let login = Login::new(config, &topics).map_err(words)?;
    let mut options = login.options(1).map_err(words)?;
    options.set_client_id(format!("{}-probe-{}", options.client_id(), std::process::id()));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let result = runtime.block_on(async {
        let (client, mut events) = AsyncClient::builder(options).capacity(4).build();
        let mut network = NetworkOptions::new();
        network.set_connection_timeout(patience.as_secs().max(1));
        events.set_network_options(network);
        events.poll().await.map_err(|error| Trouble::new(&error, &login, false).text)?;
        // The answer is known; how the broker takes the farewell says nothing more.
        if client.disconnect_now().await.is_ok() {
            drop(events.poll().await);
        }
        Ok(())
    });
    runtime.shutdown_background();
    result
}
