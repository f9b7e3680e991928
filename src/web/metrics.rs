//! The metrics, from a snapshot.

use super::exposition::{Exposition, Kind};
use crate::status::{Histogram, Phase, Snapshot, StationSnapshot};

/// The whole page.
pub(super) fn text(snapshot: &Snapshot) -> String {
    let mut page = Exposition::default();
    program(&mut page, snapshot);
    counters(&mut page, &snapshot.stations);
    gauges(&mut page, &snapshot.stations);
    latency(&mut page, &snapshot.stations);
    page.into_text()
}

fn truth(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}

fn program(page: &mut Exposition, snapshot: &Snapshot) {
    let mut single = |name: &str, kind, help: &str, value: f64| {
        page.metric(name, kind, help);
        page.sample(name, &[], value);
    };
    single("shelfwatch_ready", Kind::Gauge, "1 when every station judges parts.", truth(snapshot.ready()));
    let help = "When the program started, in seconds since 1970.";
    single("shelfwatch_start_time_seconds", Kind::Gauge, help, snapshot.started);
    if let Some(run_ok) = snapshot.run_ok {
        single("shelfwatch_run_ok", Kind::Gauge, "1 while the heartbeat output toggles.", truth(run_ok));
    }
    if let Some(broker) = &snapshot.broker {
        let help = "1 while the MQTT broker is connected.";
        single("shelfwatch_mqtt_connected", Kind::Gauge, help, truth(broker.connected));
        let help = "Connections to the MQTT broker that were made.";
        single("shelfwatch_mqtt_connections_total", Kind::Counter, help, broker.connections as f64);
        let help = "1 while something hinders the MQTT connection.";
        single("shelfwatch_mqtt_trouble", Kind::Gauge, help, truth(broker.trouble.is_some()));
    }
    let help = "Events that wait for the broker.";
    single("shelfwatch_outbox_waiting", Kind::Gauge, help, snapshot.outbox_waiting as f64);
    let help = "1 while something hinders the journal.";
    single("shelfwatch_journal_trouble", Kind::Gauge, help, truth(snapshot.journal_trouble.is_some()));
    page.metric("shelfwatch_build_info", Kind::Gauge, "The version of the program, as a label.");
    page.sample("shelfwatch_build_info", &[("version", &snapshot.version)], 1.0);
}

fn counters(page: &mut Exposition, stations: &[StationSnapshot]) {
    page.metric("shelfwatch_parts_total", Kind::Counter, "Parts by verdict; a fault is an inspection that failed.");
    for station in stations {
        for (verdict, count) in [
            ("pass", station.passed),
            ("review", station.review),
            ("reject", station.rejected),
            ("fault", station.failed),
        ] {
            let labels = [("station", station.station.as_str()), ("verdict", verdict)];
            page.sample("shelfwatch_parts_total", &labels, count as f64);
        }
    }
    page.metric("shelfwatch_faults_total", Kind::Counter, "Faults that began, by code.");
    for station in stations {
        for (code, count) in &station.faults {
            let labels = [("station", station.station.as_str()), ("code", code.as_str())];
            page.sample("shelfwatch_faults_total", &labels, *count as f64);
        }
    }
    let help = "Images that were not judged because newer ones waited.";
    each(page, "shelfwatch_frames_dropped_total", Kind::Counter, help, stations, |station| station.dropped as f64);
    let help = "Verdicts that came after their deadline.";
    each(page, "shelfwatch_late_results_total", Kind::Counter, help, stations, |station| station.late as f64);
}

fn gauges(page: &mut Exposition, stations: &[StationSnapshot]) {
    let help = "1 when the station judges parts.";
    each(page, "shelfwatch_station_ready", Kind::Gauge, help, stations, |station| truth(station.phase == Phase::Ready));
    page.metric("shelfwatch_fault", Kind::Gauge, "1 for a fault that is there now, by code.");
    for station in stations {
        if let Some(fault) = &station.fault {
            let labels = [("station", station.station.as_str()), ("code", fault.code.as_str())];
            page.sample("shelfwatch_fault", &labels, 1.0);
        }
    }
    let help = "Images that wait to be judged.";
    each(page, "shelfwatch_queue_depth", Kind::Gauge, help, stations, |station| station.queue as f64);
    let help = "Images judged a second, over the last minute.";
    each(page, "shelfwatch_frames_per_second", Kind::Gauge, help, stations, |station| station.fps);
    page.metric(
        "shelfwatch_score",
        Kind::Gauge,
        "Score that a share of recent parts lies below; low means unfamiliar.",
    );
    for station in stations {
        for (share, score) in &station.scores {
            let share = share.to_string();
            let labels = [("station", station.station.as_str()), ("quantile", share.as_str())];
            page.sample("shelfwatch_score", &labels, *score);
        }
    }
}

fn each(
    page: &mut Exposition,
    name: &str,
    kind: Kind,
    help: &str,
    stations: &[StationSnapshot],
    value: impl Fn(&StationSnapshot) -> f64,
) {
    page.metric(name, kind, help);
    for station in stations {
        page.sample(name, &[("station", &station.station)], value(station));
    }
}

fn latency(page: &mut Exposition, stations: &[StationSnapshot]) {
    let name = "shelfwatch_latency_seconds";
    page.metric(name, Kind::Histogram, "Time from trigger (or capture) to verdict.");
    let (bucket, sum, count) = (format!("{name}_bucket"), format!("{name}_sum"), format!("{name}_count"));
    for station in stations {
        let name = station.station.as_str();
        let latency: &Histogram = &station.latency;
        for (bound, below) in latency.cumulative() {
            let bound = (bound / 1e3).to_string();
            page.sample(&bucket, &[("station", name), ("le", &bound)], below as f64);
        }
        page.sample(&bucket, &[("station", name), ("le", "+Inf")], latency.count() as f64);
        page.sample(&sum, &[("station", name)], latency.sum_ms() / 1e3);
        page.sample(&count, &[("station", name)], latency.count() as f64);
    }
}
