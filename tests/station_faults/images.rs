//! Images that show nothing: never a pass, a fault that lasts until the next good one.

use shelfwatch::event::EventKind;
use shelfwatch::frame::Frame;
use shelfwatch::image_file::encode_png;

use crate::station::{Line, good, jpeg};

fn level(value: u8) -> Vec<u8> {
    encode_png(&Frame::new(96, 96, vec![value; 96 * 96 * 3]).unwrap()).unwrap()
}

#[test]
fn an_image_that_shows_nothing_is_a_fault_until_the_next_good_one() {
    let good = good(10);
    let mut line = Line::new();
    line.configure(&(line.folder_station("cap") + "[station.health]\nfrozen_after = 3\n"), "");
    line.start_ready();
    let whole = jpeg(&good[0]);
    let cut = whole[..whole.len() / 2].to_vec();
    let text = b"this is no image".to_vec();
    let mut parts = [0; 4];
    for (number, (code, bytes)) in
        [("image-damaged", cut), ("image-damaged", text), ("image-black", level(3)), ("image-overexposed", level(255))]
            .into_iter()
            .enumerate()
    {
        line.put("cap", &format!("bad-{number}.jpg"), &bytes);
        line.until(code, |line| line.is_red(code));
        parts[3] += 1;
        assert_eq!(line.parts("cap"), parts, "{code}");
        assert_eq!(line.metric("shelfwatch_ready"), 0);
        assert_eq!(line.metric(&format!("shelfwatch_fault{{station=\"cap\",code=\"{code}\"}}")), 1);
        line.put("cap", &format!("good-{number}.png"), &good[number].png);
        line.until("it is over", Line::is_green);
        parts[0] += 1;
        assert_eq!(line.parts("cap"), parts);
    }

    // Three times the same: the first two may be two parts, the third is none.
    for n in 0..5 {
        line.put("cap", &format!("frozen-{n}.png"), &good[8].png);
        let judged = parts.iter().sum::<u64>() + n + 1;
        line.until("it is judged", |line| line.parts("cap").iter().sum::<u64>() == judged);
    }
    line.until("frozen", |line| line.is_red("image-frozen"));
    (parts[0], parts[3]) = (parts[0] + 2, parts[3] + 3);
    assert_eq!(line.parts("cap"), parts);
    line.put("cap", "moving.png", &good[9].png);
    line.until("it is over", Line::is_green);

    line.until("files that are no images are set aside", |line| {
        crate::station::names(&line.at("cap/done/unreadable")) == ["bad-0.jpg", "bad-1.jpg"]
    });
    assert_eq!(line.stop(), 0);
    for (code, times) in [("image-damaged", 2), ("image-black", 1), ("image-overexposed", 1), ("image-frozen", 1)] {
        assert_eq!(line.count(EventKind::Fault, Some(code)), times, "{code}");
        assert_eq!(line.count(EventKind::Recovered, Some(code)), times, "{code}");
    }
}
