//! The report in a real browser, where one is installed: it is laid out without a script, and it fits narrow screens.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod evaluation_line;

use std::path::{Path, PathBuf};
use std::process::Command;

use shelfwatch::evaluate::{CollapseFigures, Criteria, Nc5, Thumbnail, evaluate, to_html};
use shelfwatch::frame::Frame;
use shelfwatch::heat_map::{HeatMap, Seen, overlay};
use shelfwatch::image_file::{encode_png, read};

fn browser() -> Option<PathBuf> {
    let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(|name| {
        let paths = std::env::var_os("PATH")?;
        std::env::split_paths(&paths).map(|folder| folder.join(name)).find(|path| path.is_file())
    });
    if found.is_none() {
        println!("skipped: no chromium on the path");
    }
    found
}

fn run(browser: &Path, home: &Path, arguments: &[String]) -> String {
    let profile = format!("--user-data-dir={}", home.join("profile").display());
    let fixed = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        &profile,
    ];
    let output = Command::new(browser).args(fixed).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A part with a bright spot, and the heat map over it.
fn picture(path: &str) -> Thumbnail {
    let (width, height) = (160_u32, 120_u32);
    let shade = |i: u32| {
        let (x, y) = (f64::from(i % width) - 80.0, f64::from(i / width) - 60.0);
        let ring = (x.hypot(y) - 36.0).abs() < 14.0;
        let spot = (x - 30.0).hypot(y - 18.0) < 7.0;
        if spot {
            235
        } else if ring {
            130
        } else {
            70
        }
    };
    let rgb = (0..width * height).flat_map(|i| [shade(i); 3]).collect();
    let frame = Frame::new(width, height, rgb).unwrap();
    let mut values = vec![-0.1; 64];
    values[5 * 8 + 5] = 1.0;
    let map = HeatMap { values: &values, height: 8, width: 8 };
    let heat = overlay(&frame, &map, Seen::whole(&frame), 1.0).unwrap();
    Thumbnail { path: path.to_owned(), png: encode_png(&frame).unwrap(), heat: Some(encode_png(&heat.frame).unwrap()) }
}

#[test]
fn the_report_is_laid_out_and_fits_narrow_screens() {
    let Some(browser) = browser() else { return };
    let (shelf, good, sets) = evaluation_line::line();
    let collapse = CollapseFigures {
        nc1: Some(0.031),
        nc2_equinorm: Some(0.128),
        nc2_equiangular: Some(0.127),
        nc5: vec![Nc5 { set: "unknown parts".to_owned(), value: 0.08 }],
        effective_rank: Some(41.2),
        dead_channels: 3,
        words: vec!["the backbone is collapsed (NC1 0.031): NECO is at home here".to_owned()],
    };
    let evaluation = evaluate(shelf, Some(collapse), &good, &sets, Criteria::default());
    let examples = evaluation.worst_misses.iter().chain(&evaluation.worst_false_alarms);
    let thumbnails: Vec<Thumbnail> = examples.map(|example| picture(&example.path)).collect();
    let home = tempfile::tempdir().unwrap();
    let keep = std::env::var_os("SHELFWATCH_SCREENSHOTS").map(PathBuf::from);
    let folder = keep.unwrap_or_else(|| home.path().to_owned());
    let page = folder.join("report.html");
    std::fs::write(&page, to_html(&evaluation, &thumbnails)).unwrap();
    let url = format!("file://{}", page.display());
    for (name, size) in [("wide", "1280,5200"), ("narrow", "500,9000")] {
        let picture = folder.join(format!("report-{name}.png"));
        let arguments = [format!("--screenshot={}", picture.display()), format!("--window-size={size}"), url.clone()];
        run(&browser, home.path(), &arguments);
        let frame = read(&picture).unwrap();
        let colours: std::collections::BTreeSet<&[u8]> = frame.rgb().chunks(3).collect();
        assert!(colours.len() > 50, "{name}: only {} colours", colours.len());
    }
    // A frame of 400 pixels inside a page reports the width that the report needs.
    let html = std::fs::read_to_string(&page).unwrap();
    let probe = folder.join("probe.html");
    let measured = "<script>document.documentElement.setAttribute('data-width',\
                    document.documentElement.scrollWidth+' of '+innerWidth)</script></body>";
    let inner = folder.join("inner.html");
    let open = html.replace("default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';");
    std::fs::write(&inner, open.replace("</body>", measured)).unwrap();
    let outer = format!(
        "<body style='margin:0'><iframe id=f style='border:0;width:400px;height:9000px' src='file://{}'></iframe>\
         <script>addEventListener('message',e=>document.body.dataset.width=e.data)</script></body>",
        inner.display()
    );
    let inner_html = std::fs::read_to_string(&inner).unwrap();
    let posting = "parent.postMessage(document.documentElement.scrollWidth+' of '+innerWidth,'*')</script></body>";
    std::fs::write(&inner, inner_html.replace("</script></body>", &format!(";{posting}"))).unwrap();
    std::fs::write(&probe, outer).unwrap();
    let arguments =
        ["--dump-dom".to_owned(), "--virtual-time-budget=3000".to_owned(), format!("file://{}", probe.display())];
    let dom = run(&browser, home.path(), &arguments);
    assert!(dom.contains("data-width=\"400 of 400\""), "{dom}");
}
