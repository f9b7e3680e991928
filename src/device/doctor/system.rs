//! Checks of the machine: clock, memory, heat and power, and the user's groups.

use std::fs;
use std::path::Path;

use jiff::Timestamp;

use crate::config::{Config, Source, Trigger};

use super::finding::Finding;

/// 2026-01-01, before which no device ran this program, in seconds since 1970.
const FIRST_SECOND: i64 = 1_767_225_600;

/// Memory below which a larger backbone may not fit, in megabytes.
const LEAST_MEGABYTES: u64 = 200;

/// Boards begin to slow down at 80 to 85 °C.
const HOT: f64 = 80.0;

pub(super) fn clock(root: &Path) -> Finding {
    let now = Timestamp::now();
    if now.as_second() < FIRST_SECOND {
        return Finding::failed(
            "clock",
            &format!("it says {now:.0}; set it, by a time server or a clock with a battery"),
        );
    }
    let text = format!("{now:.0}");
    let exists = |path: &str| root.join(path).exists();
    if exists("run/systemd/timesync/synchronized") {
        Finding::ok("clock", format!("{text}, set by a time server"))
    } else if exists("run/chrony") || exists("run/chronyd.pid") || exists("run/ntpd.pid") {
        Finding::ok("clock", format!("{text}, another time service runs"))
    } else {
        let words = format!("{text}, set by no time server; enable systemd-timesyncd, else the times in records drift");
        Finding::warning("clock", &words)
    }
}

pub(super) fn memory(root: &Path) -> Finding {
    let table = fs::read_to_string(root.join("proc/meminfo")).unwrap_or_default();
    let megabytes = |key: &str| {
        let line = table.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()?.saturating_mul(1024) / 1_000_000)
    };
    let (Some(all), Some(free)) = (megabytes("MemTotal"), megabytes("MemAvailable")) else {
        return Finding::skipped("memory", "the kernel does not say".to_owned());
    };
    let text = format!("{free} MB of {all} MB are available");
    if free < LEAST_MEGABYTES {
        Finding::warning("memory", &format!("{text}; end other programs, or use a smaller backbone"))
    } else {
        Finding::ok("memory", text)
    }
}

pub(super) fn heat(root: &Path) -> Finding {
    let zones = fs::read_dir(root.join("sys/class/thermal")).into_iter().flatten().flatten();
    let temperature = |path: &Path| fs::read_to_string(path.join("temp")).ok()?.trim().parse::<f64>().ok();
    let hottest = zones
        .filter(|zone| zone.file_name().to_string_lossy().starts_with("thermal_zone"))
        .filter_map(|zone| temperature(&zone.path()))
        .map(|thousandths| thousandths / 1000.0)
        .fold(None, |most: Option<f64>, one| Some(most.map_or(one, |most| most.max(one))));
    let throttled = throttled(root);
    let text = match (hottest, throttled) {
        (None, None) => return Finding::skipped("heat", "the kernel does not say".to_owned()),
        (Some(hottest), _) => format!("{hottest:.0} °C"),
        (None, _) => "no thermometer".to_owned(),
    };
    // The Raspberry Pi's firmware: now in the low bits, since the start of the board in the high ones.
    match throttled.unwrap_or(0) {
        bits if bits & 0x1 != 0 => {
            Finding::failed("heat", &format!("{text}, the supply voltage is too low; use a stronger supply"))
        }
        bits if bits & 0xe != 0 => Finding::warning("heat", &format!("{text}, the processor is slowed down; cool it")),
        bits if bits & 0xf_0000 != 0 => {
            let words = format!(
                "{text}, the processor was slowed down since the board was started (0x{bits:x}); look at supply and cooling"
            );
            Finding::warning("heat", &words)
        }
        _ if hottest.is_some_and(|hottest| hottest >= HOT) => {
            Finding::warning("heat", &format!("{text}, where boards begin to slow down; cool it"))
        }
        _ => Finding::ok("heat", text),
    }
}

fn throttled(root: &Path) -> Option<u32> {
    let text = fs::read_to_string(root.join("sys/devices/platform/soc/soc:firmware/get_throttled")).ok()?;
    u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
}

/// Whether the user that the station will run as may use its devices.
pub(super) fn user(config: &Config, root: &Path) -> Finding {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let (status, users, groups) = (read("proc/self/status"), read("etc/passwd"), read("etc/group"));
    let numbers = |key: &str| -> Vec<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap_or_default().split_whitespace().filter_map(|number| number.parse().ok()).collect()
    };
    let Some(own) = numbers("Uid:").get(1).copied() else {
        return Finding::skipped("user", "the kernel does not say".to_owned());
    };
    let name =
        |id: u32| users.lines().map(fields).find(|user| number(user, 2) == Some(id)).map(|user| user[0].to_owned());
    let name = name(own).unwrap_or_else(|| own.to_string());
    if own == 0 {
        let words = "root may do everything, so that missing rights do not show; run it as the service's user: sudo -u shelfwatch shelfwatch doctor";
        return Finding::warning("user", words);
    }
    let mut mine = numbers("Groups:");
    mine.extend(numbers("Gid:").get(1));
    let is_in = |wanted: &str| {
        let group = groups.lines().map(fields).find(|group| group.first() == Some(&wanted));
        group.is_some_and(|group| number(&group, 2).is_some_and(|id| mine.contains(&id)))
    };
    let missing: Vec<&str> = needed(config).into_iter().filter(|group| !is_in(group)).collect();
    if missing.is_empty() {
        return Finding::ok("user", format!("{name} is in all groups that it needs"));
    }
    let words =
        format!("{name} is not in the group {}; usermod -aG {} {name}", missing.join(" and "), missing.join(","));
    Finding::warning("user", &words)
}

fn needed(config: &Config) -> Vec<&'static str> {
    let video = config.station.iter().any(|station| matches!(station.source, Source::V4l2 { .. }));
    let of_station = config.station.iter().any(|station| {
        station.reject.is_some() || station.review.is_some() || matches!(station.trigger, Trigger::Gpio { .. })
    });
    let gpio = of_station || config.run_ok.is_some() || config.clear.is_some();
    [("video", video), ("gpio", gpio)].into_iter().filter(|(_, needed)| *needed).map(|(group, _)| group).collect()
}

fn fields(line: &str) -> Vec<&str> {
    line.split(':').collect()
}

fn number(fields: &[&str], at: usize) -> Option<u32> {
    fields.get(at)?.parse().ok()
}
