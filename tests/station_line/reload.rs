//! SIGHUP: a good configuration is taken over, a bad one or a bad shelf leaves the old one at work.

use std::fs;

use shelfwatch::event::EventKind;

use crate::station::{Line, good, shelf, strange};

/// What is done to a line's files.
type Spoil<'a> = Box<dyn Fn(&Line) + 'a>;

const REFUSED: Option<&str> = Some("config-refused");
const TAKEN: &str = "the new configuration is taken over";

#[test]
fn a_good_configuration_is_taken_over_and_a_bad_one_is_not() {
    let (good, strange) = (good(4), strange(4));
    let mut line = Line::new();
    let own = line.at("own.shelf");
    fs::copy(shelf(), &own).unwrap();
    let cap = line.folder_station("cap").replace(shelf().to_str().unwrap(), own.to_str().unwrap());
    line.configure(&cap, "");
    line.start_ready();
    let mut parts = [0, 0, 0, 0];
    let mut work = |line: &mut Line, round: usize| {
        line.put("cap", &format!("{round}-good.png"), &good[round % 4].png);
        line.put("cap", &format!("{round}-strange.png"), &strange[round % 4].png);
        (parts[0], parts[2]) = (parts[0] + 1, parts[2] + 1);
        line.until("both parts are judged", |line| line.parts("cap") == parts && line.is_green());
    };
    work(&mut line, 0);

    // Two rejecting readings make a signal now; the counters go on.
    line.configure(&format!("{cap}[station.decide]\nhold_ms = 10\n{}", line.folder_station("lid")), "");
    line.signal("HUP");
    line.until("the new configuration", |line| line.log().matches(TAKEN).count() == 1 && line.is_green());
    work(&mut line, 1);
    line.put("lid", "good.png", &good[0].png);
    line.until("the new station judges", |line| line.parts("lid") == [1, 0, 0, 0]);

    let bad: [(&str, Spoil<'_>); 4] = [
        ("an unknown key", Box::new(|line| line.configure(&format!("{cap}tiemout_ms = 3000\n"), ""))),
        ("no configuration", Box::new(|line| fs::write(line.at("station.toml"), "[[[").unwrap())),
        (
            "a shelf of garbage",
            Box::new(|line| {
                fs::write(line.at("other.shelf"), vec![7; 100_000]).unwrap();
                line.configure(&cap.replace("own.shelf", "other.shelf"), "");
            }),
        ),
        (
            "the same shelf, cut short",
            Box::new(|line| {
                let whole = fs::read(shelf()).unwrap();
                fs::write(line.at("own.shelf"), &whole[..whole.len() - 1]).unwrap();
                line.configure(&cap, "");
            }),
        ),
    ];
    for (number, (what, change)) in (1..).zip(bad) {
        change(&line);
        line.signal("HUP");
        line.until(what, |line| line.count(EventKind::Fault, REFUSED) == number);
        assert!(line.is_green(), "{what}");
        work(&mut line, 1 + number);
        assert_eq!(line.log().matches(TAKEN).count(), 1, "{what}");
    }
    line.until("the refusals are counted", |line| {
        line.metric("shelfwatch_faults_total{station=\"cap\",code=\"config-refused\"}") == 4
    });
    assert_eq!(line.count(EventKind::Recovered, REFUSED), 0);

    fs::copy(shelf(), &own).unwrap();
    line.signal("HUP");
    line.until("a good one again", |line| line.log().matches(TAKEN).count() == 2 && line.is_green());
    work(&mut line, 6);
    assert_eq!(line.stop(), 0);
    assert_eq!(line.count(EventKind::Recovered, REFUSED), 1);
    let configs: std::collections::BTreeSet<String> =
        line.events().into_iter().map(|stored| stored.event.config).collect();
    assert_eq!(configs.len(), 2, "every event names the configuration that was at work");
}
