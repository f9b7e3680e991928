//! Folder, command and HTTP sources through their public door: whole images come out, hostile input is named and never
//! hangs, and a source that ends says why.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use shelfwatch::camera::{Camera, CameraError, Delivery, Feed, FeedOptions, Pace, Wanted, decode, open};
use shelfwatch::capture::{Capture, PixelFormat};
use shelfwatch::config::{After, Frames, Source};
use shelfwatch::frame::Frame;
use shelfwatch::image_file::{MAX_FILE, encode_jpeg};
use tempfile::TempDir;

/// Long enough on any machine; nothing waits for it unless the test fails.
const LONG: Duration = Duration::from_mins(1);
const WANTED: Wanted = Wanted { width: 64, height: 48 };

/// A picture that differs from every other number's.
fn jpeg(number: u8) -> Vec<u8> {
    let rgb = (0..64 * 48 * 3_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 / 2 + number * 20).collect();
    encode_jpeg(&Frame::new(64, 48, rgb).unwrap(), 80).unwrap()
}

fn opened(source: &Source) -> Box<dyn Camera> {
    open(source, WANTED).unwrap()
}

/// The next image.
fn image(camera: &mut dyn Camera) -> Capture {
    let mut capture = Capture::empty();
    camera.next(LONG, &mut capture).unwrap();
    capture
}

/// The next error that is not the mere lack of an image.
fn error(camera: &mut dyn Camera) -> CameraError {
    camera.next(LONG, &mut Capture::empty()).unwrap_err()
}

fn assert_no_image(camera: &mut dyn Camera, within: Duration) {
    let outcome = camera.next(within, &mut Capture::empty());
    assert!(matches!(outcome, Err(CameraError::NoImage { .. })), "{outcome:?}");
}

fn assert_remedy(error: &CameraError) {
    assert!(error.to_string().contains(';') || error.to_string().contains("said"), "no remedy: {error}");
}

// Folder.

fn folder(after: After) -> (TempDir, PathBuf, Source) {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("in");
    fs::create_dir(&path).unwrap();
    let moved_to = (after == After::Move).then(|| place.path().join("judged"));
    let source = Source::Folder { path: path.clone(), after, moved_to };
    (place, path, source)
}

fn name(capture: &Capture) -> String {
    capture.file.as_ref().unwrap().file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_file_is_taken_when_it_is_complete() {
    let (_place, path, source) = folder(After::Delete);
    let mut camera = opened(&source);
    let whole = jpeg(1);
    let mut file = File::create(path.join("a.jpg")).unwrap();
    // Each look follows a write, so that none finds the file unchanged, however long it took.
    for piece in whole.chunks(whole.len().div_ceil(10)) {
        file.write_all(piece).unwrap();
        file.flush().unwrap();
        assert_no_image(camera.as_mut(), Duration::ZERO);
        thread::sleep(Duration::from_millis(60));
    }
    file.set_modified(SystemTime::now()).unwrap();
    let capture = image(camera.as_mut());
    assert!(name(&capture) == "a.jpg" && capture.bytes == whole);
    assert!(decode(&capture, None, Vec::new()).is_ok());
    assert_no_image(camera.as_mut(), Duration::from_millis(400));
}

#[test]
fn files_come_by_time_then_by_name_and_unfinished_names_never() {
    let (_place, path, source) = folder(After::Delete);
    let old = SystemTime::now() - Duration::from_mins(1);
    for (number, (name, age)) in
        [("c.jpg", 0), ("b.jpg", 10), ("a.jpg", 0), ("z.jpg", 20), ("x.png", 0)].iter().enumerate()
    {
        let mut file = File::create(path.join(name)).unwrap();
        file.write_all(&jpeg(number as u8)).unwrap();
        file.set_modified(old - Duration::from_secs(*age)).unwrap();
    }
    for name in [".hidden.jpg", "d.jpg.part", "e.TMP", "f.filepart"] {
        fs::write(path.join(name), jpeg(4)).unwrap();
    }
    let mut camera = opened(&source);
    let names: Vec<String> = (0..5).map(|_| name(&image(camera.as_mut()))).collect();
    assert_eq!(names, ["z.jpg", "b.jpg", "a.jpg", "c.jpg", "x.png"]);
    assert_no_image(camera.as_mut(), Duration::from_millis(400));
    fs::rename(path.join("d.jpg.part"), path.join("d.jpg")).unwrap();
    assert_eq!(name(&image(camera.as_mut())), "d.jpg");
}

/// Everything that is no plain, whole file, by name.
fn hostile(path: &Path) -> Vec<&'static str> {
    symlink("/dev/zero", path.join("link.jpg")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path.join("pipe.jpg"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    drop(UnixListener::bind(path.join("socket.jpg")).unwrap());
    File::create(path.join("empty.jpg")).unwrap();
    File::create(path.join("huge.jpg")).unwrap().set_len(MAX_FILE + 1).unwrap();
    vec!["empty.jpg", "huge.jpg", "link.jpg", "pipe.jpg", "socket.jpg"]
}

#[test]
fn hostile_files_are_named_once_and_do_not_block() {
    for after in [After::Move, After::Delete] {
        let (place, path, source) = folder(after);
        let mut names = hostile(&path);
        fs::create_dir(path.join("sub.jpg")).unwrap();
        let locked = path.join("locked.jpg");
        fs::write(&locked, jpeg(3)).unwrap();
        fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o0)).unwrap();
        if File::open(&locked).is_ok() {
            println!("skipped: an unreadable file (this user reads everything)");
            fs::remove_file(&locked).unwrap();
        } else {
            names.push("locked.jpg");
        }
        names.sort_unstable();
        fs::write(path.join("good.jpg"), jpeg(1)).unwrap();
        let mut camera = opened(&source);
        let (mut told, mut good, begun) = (Vec::new(), 0, Instant::now());
        // An empty file is given five seconds.
        while told.len() < names.len() + 1 && begun.elapsed() < LONG {
            let mut capture = Capture::empty();
            match camera.next(Duration::from_millis(200), &mut capture) {
                Ok(()) => {
                    assert_eq!(name(&capture), "good.jpg");
                    good += 1;
                }
                Err(error @ CameraError::File { .. }) => {
                    assert_remedy(&error);
                    assert_eq!(error.code(), "image-damaged");
                    let CameraError::File { path, .. } = error else { unreachable!() };
                    told.push(path.file_name().unwrap().to_str().unwrap().to_owned());
                }
                Err(error) => assert!(matches!(error, CameraError::NoImage { .. }), "{error}"),
            }
        }
        told.retain(|name| name != "sub.jpg");
        told.sort_unstable();
        assert_eq!(told, names);
        assert_eq!(good, 1);
        assert_no_image(camera.as_mut(), Duration::from_millis(600));
        assert!(path.join("sub.jpg").is_dir(), "folders are left alone");
        for name in names {
            let kept = if after == After::Move { place.path().join("judged/unreadable") } else { path.clone() };
            assert!(kept.join(name).symlink_metadata().is_ok(), "{name} is kept");
            assert_eq!(path.join(name).symlink_metadata().is_ok(), after == After::Delete);
        }
    }
}

fn feed(source: Source) -> Feed {
    let pace = Pace::Free { min_interval: Duration::ZERO };
    let options = FeedOptions {
        name: "test".to_owned(),
        source,
        wanted: WANTED,
        timeout: Duration::from_secs(2),
        pace,
        queue: 2,
    };
    Feed::start(options).unwrap()
}

fn fed(feed: &Feed) -> Capture {
    match feed.receive(LONG) {
        Some(Delivery::Image(capture)) => capture,
        other => panic!("{other:?}"),
    }
}

#[test]
fn judged_files_are_moved_without_overwriting() {
    let (place, path, source) = folder(After::Move);
    let feed = feed(source);
    for number in 0..4 {
        fs::write(path.join("same.jpg"), jpeg(number)).unwrap();
        let capture = fed(&feed);
        assert!(capture.bytes == jpeg(number));
        feed.settle(&capture).unwrap();
        assert!(!path.join("same.jpg").exists());
        feed.give_back(capture);
    }
    for (number, name) in (0..4).zip(["same.jpg", "same-1.jpg", "same-2.jpg", "same-3.jpg"]) {
        assert!(fs::read(place.path().join("judged").join(name)).unwrap() == jpeg(number));
    }
    // What turned out to be no image goes elsewhere.
    fs::write(path.join("text.jpg"), "no image").unwrap();
    let capture = fed(&feed);
    assert!(decode(&capture, None, Vec::new()).is_err());
    assert!(feed.set_aside(&capture).unwrap().contains("judged/unreadable/text.jpg"));
    assert!(place.path().join("judged/unreadable/text.jpg").exists());
}

#[test]
fn a_file_is_deleted_only_as_it_was_read() {
    let (_place, path, source) = folder(After::Delete);
    let feed = feed(source);
    let file = path.join("a.jpg");
    fs::write(&file, jpeg(1)).unwrap();
    let first = fed(&feed);
    // The camera writes the next image under the same name before the first was judged.
    fs::write(&file, [jpeg(2), vec![0]].concat()).unwrap();
    feed.settle(&first).unwrap();
    let second = fed(&feed);
    assert!(second.bytes[..second.bytes.len() - 1] == jpeg(2));
    feed.settle(&second).unwrap();
    assert!(!file.exists());
    // Twice does no harm.
    feed.settle(&second).unwrap();
    assert!(feed.receive(Duration::from_millis(400)).is_none());
}

#[test]
fn files_wait_on_disk_and_none_is_dropped() {
    let (_place, path, source) = folder(After::Delete);
    for number in 0..20 {
        fs::write(path.join(format!("{number:02}.jpg")), jpeg(1)).unwrap();
    }
    let feed = feed(source);
    let mut found = Vec::new();
    while found.len() < 20 {
        let capture = fed(&feed);
        feed.settle(&capture).unwrap();
        found.push(name(&capture));
        feed.give_back(capture);
        thread::sleep(Duration::from_millis(3));
    }
    let mut names = found.clone();
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), feed.dropped()), (20, 0));
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
}

#[test]
fn a_folder_that_goes_away_is_an_outage_and_an_empty_one_is_not() {
    let (place, path, source) = folder(After::Move);
    let feed = feed(source.clone());
    assert!(feed.receive(Duration::from_millis(2500)).is_none(), "longer than the time-out");
    fs::rename(&path, place.path().join("elsewhere")).unwrap();
    match feed.receive(LONG) {
        Some(Delivery::Lost(error)) => assert_eq!(error.code(), "camera-lost"),
        other => panic!("{other:?}"),
    }
    fs::create_dir(&path).unwrap();
    assert!(matches!(feed.receive(LONG), Some(Delivery::Back)));
    fs::write(path.join("a.jpg"), jpeg(1)).unwrap();
    assert!(fed(&feed).bytes == jpeg(1));
    // Settings that could not work are refused at once.
    for moved_to in [None, Some(path.clone()), Some(path.join("../in"))] {
        let source = Source::Folder { path: path.clone(), after: After::Move, moved_to };
        assert_eq!(open(&source, WANTED).err().unwrap().code(), "source-refused");
    }
    let missing = Source::Folder { path: path.join("missing"), after: After::Delete, moved_to: None };
    assert_eq!(open(&missing, WANTED).err().unwrap().code(), "camera-lost");
}

// Command.

fn shell(script: &str) -> Source {
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    Source::Command { command, frames: Frames::Mjpeg }
}

/// A folder with `0.jpg`, `1.jpg`, …
fn album() -> (TempDir, String) {
    let place = tempfile::tempdir().unwrap();
    for number in 0..4 {
        fs::write(place.path().join(format!("{number}.jpg")), jpeg(number)).unwrap();
    }
    let path = place.path().to_str().unwrap().to_owned();
    (place, path)
}

#[test]
fn a_command_gives_its_images_and_its_end_says_why() {
    let (_place, album) = album();
    let script = format!(
        "cd {album}; cat 0.jpg; printf 'noise \\377\\330 noise'; cat 1.jpg 2.jpg; head -c 500 0.jpg; cat 1.jpg 3.jpg; \
         echo starting >&2; echo no camera found >&2; exit 3"
    );
    let mut camera = opened(&shell(&script));
    let (mut found, mut damaged) = (Vec::new(), 0);
    let end = loop {
        let mut capture = Capture::empty();
        match camera.next(LONG, &mut capture) {
            Ok(()) => found.push(capture.bytes),
            Err(CameraError::Damaged { .. }) => damaged += 1,
            Err(error) => break error,
        }
    };
    // The image that was cut short may cost the one after it, never more.
    let numbers: Vec<Option<u8>> = found.iter().map(|bytes| (0..4).find(|&number| *bytes == jpeg(number))).collect();
    assert!(numbers.starts_with(&[Some(0), Some(1), Some(2)]) && numbers.ends_with(&[Some(3)]), "{numbers:?}");
    assert!(numbers.len() <= 5 && damaged >= 1, "{numbers:?}, {damaged} damaged");
    let text = end.to_string();
    assert_eq!(end.code(), "camera-lost");
    assert!(text.contains("exit code 3") && text.contains("starting / no camera found"), "{text}");
    let killed = error(opened(&shell("kill -9 $$")).as_mut()).to_string();
    assert!(killed.contains("signal 9"), "{killed}");
}

/// Whether a process still runs; one that has ended but was not waited for counts as running only for its own children.
fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn a_hanging_command_times_out_and_ends_with_all_its_children() {
    let (place, album) = album();
    let stubborn = "trap '' TERM; sleep 1000 & echo $! > child; echo $$ > parent; mv parent ready; wait; sleep 1000";
    let mut camera = opened(&shell(&format!("cd {album}; cat 0.jpg; {stubborn}")));
    assert!(image(camera.as_mut()).bytes == jpeg(0));
    let begun = Instant::now();
    while !place.path().join("ready").exists() && begun.elapsed() < LONG {
        assert_no_image(camera.as_mut(), Duration::from_millis(100));
    }
    let pids = ["child", "ready"].map(|name| fs::read_to_string(place.path().join(name)).unwrap());
    assert!(pids.iter().all(|pid| runs(pid)));
    drop(camera);
    assert!(!Path::new(&format!("/proc/{}", pids[1].trim())).exists(), "the program was reaped");
    let begun = Instant::now();
    while runs(&pids[0]) {
        assert!(begun.elapsed() < LONG, "its child still runs");
        thread::sleep(Duration::from_millis(20));
    }
    // A program that ended while its child holds the pipe open.
    let end = error(opened(&shell("sleep 1000 & exit 4")).as_mut());
    assert!(end.to_string().contains("exit code 4"), "{end}");
}

#[test]
fn complaints_do_not_keep_images_waiting() {
    let (_place, album) = album();
    let mut camera = opened(&shell(&format!("cd {album}; yes complaint >&2 & while :; do cat 0.jpg 1.jpg; done")));
    for number in 0..200 {
        assert!(image(camera.as_mut()).bytes == jpeg(number % 2));
    }
}

#[test]
fn raw_frames_have_their_size() {
    let raw = |script: &str, format: &str, width, height| Source::Command {
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        frames: Frames::Raw { format: format.to_owned(), width, height },
    };
    for (word, format, length) in [
        ("yuyv", PixelFormat::Yuyv, 5 * 12),
        ("grey", PixelFormat::Grey, 5 * 5),
        ("nv12", PixelFormat::Nv12, 8 * 6),
        ("rgb24", PixelFormat::Rgb24, 5 * 15),
    ] {
        let script = format!("head -c {} /dev/zero", length * 3 + 7);
        let mut camera = opened(&raw(&script, word, 5, 5));
        let mut capture = Capture::empty();
        for _ in 0..3 {
            match camera.next(LONG, &mut capture) {
                Ok(()) => {}
                Err(error) => panic!("{word}: {error}"),
            }
            assert_eq!((capture.format, capture.width, capture.height), (format, 5, 5));
            assert!(decode(&capture, None, Vec::new()).is_ok());
        }
        assert_eq!(error(camera.as_mut()).code(), "camera-lost");
    }
    for bad in [raw("", "jpeg", 5, 5), raw("", "grey", 0, 5), raw("", "rgb24", 16_000, 16_000)] {
        let error = open(&bad, WANTED).err().unwrap();
        assert_eq!(error.code(), "source-refused");
        assert_remedy(&error);
    }
    let none = Source::Command { command: Vec::new(), frames: Frames::Mjpeg };
    assert_eq!(open(&none, WANTED).err().unwrap().code(), "source-refused");
    let missing = Source::Command { command: vec!["/missing/program".to_owned()], frames: Frames::Mjpeg };
    // Under user-mode emulation a process is forked where a kernel would say that there is nothing to run.
    let error = open(&missing, WANTED).map_or_else(|refused| refused, |mut camera| error(camera.as_mut()));
    assert!(error.code() == "camera-lost" && error.to_string().contains("/missing/program"), "{error}");
}

// HTTP.

/// Answers the connections one after the other, each by the next function, which gets the request's text.
fn server(answers: Vec<fn(&str, &mut TcpStream) -> std::io::Result<()>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept() else { return };
            thread::spawn(move || {
                let (mut request, mut byte) = (Vec::new(), [0]);
                while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
                    request.push(byte[0]);
                }
                // A client that has gone is no failure of the server.
                _ = answer(&String::from_utf8_lossy(&request), &mut stream);
            });
        }
    });
    address
}

fn http(address: &str, path: &str) -> Source {
    Source::Http { url: format!("http://{address}{path}") }
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=";

#[test]
fn multipart_comes_with_and_without_lengths() {
    let address = server(vec![
        |_, stream| {
            write!(stream, "{HEAD}\"--frame\"\r\n\r\n")?;
            for number in 0..3 {
                let image = jpeg(number);
                write!(stream, "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", image.len())?;
                stream.write_all(&image)?;
                write!(stream, "\r\n")?;
            }
            write!(stream, "--frame--\r\n")
        },
        |_, stream| {
            write!(stream, "{HEAD}frame\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for number in 0..4 {
                let cut = if number == 1 { 300 } else { usize::MAX };
                let image = jpeg(number);
                let image = &image[..image.len().min(cut)];
                let part = [b"--frame\r\nContent-Type: image/jpeg\r\n\r\n", image, b"\r\n"].concat();
                for piece in part.chunks(700) {
                    write!(stream, "{:x}\r\n", piece.len())?;
                    stream.write_all(piece)?;
                    write!(stream, "\r\n")?;
                }
            }
            // The next boundary comes only when the next image does.
            thread::sleep(LONG);
            Ok(())
        },
    ]);
    let mut camera = opened(&http(&address, "/video"));
    for number in 0..3 {
        assert!(image(camera.as_mut()).bytes == jpeg(number));
    }
    let end = error(camera.as_mut());
    assert!(end.code() == "camera-lost" && end.to_string().contains("closed the stream"), "{end}");
    let mut camera = opened(&http(&address, "/video"));
    assert!(image(camera.as_mut()).bytes == jpeg(0));
    assert_eq!(error(camera.as_mut()).code(), "image-damaged");
    assert!(image(camera.as_mut()).bytes == jpeg(2));
    assert!(image(camera.as_mut()).bytes == jpeg(3));
    assert_no_image(camera.as_mut(), Duration::from_millis(300));
    let begun = Instant::now();
    drop(camera);
    assert!(begun.elapsed() < Duration::from_secs(20), "a reading thread does not hold the end up");
}

#[test]
fn credentials_follow_a_redirect_on_the_same_host() {
    let address = server(vec![
        |request, stream| {
            assert!(request.starts_with("GET /old?x=1 "), "{request}");
            write!(stream, "HTTP/1.1 302 Found\r\nLocation: /new\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        },
        |request, stream| {
            // base64 of `us@er:pass:word`.
            let known = request.to_lowercase().contains("authorization: basic dxnazxi6cgfzczp3b3jk");
            if !request.starts_with("GET /new ") || !known {
                return write!(stream, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
            }
            write!(stream, "{HEAD}x\r\n\r\n--x\r\n\r\n")?;
            stream.write_all(&jpeg(1))?;
            write!(stream, "\r\n--x\r\n")
        },
    ]);
    let mut camera = opened(&Source::Http { url: format!("http://us%40er:pass:word@{address}/old?x=1") });
    assert!(!camera.name().contains("pass"), "{}", camera.name());
    assert!(image(camera.as_mut()).bytes == jpeg(1));
    let end = error(camera.as_mut()).to_string();
    assert!(!end.contains("pass:word"), "{end}");
}

#[test]
fn servers_that_do_not_serve_say_why() {
    let address = server(vec![
        |_, stream| write!(stream, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"),
        |_, stream| write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        |_, stream| write!(stream, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"),
        |_, stream| write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 0\r\n\r\n"),
        |_, stream| write!(stream, "HTTP/1.1 302 Found\r\nLocation: https://localhost/\r\nContent-Length: 0\r\n\r\n"),
        |_, stream| write!(stream, "garbage\r\n\r\n"),
        |_, stream| write!(stream, "{HEAD}x\r\n\r\n--x\r\nContent-Length: 99999999999\r\n\r\n"),
        |_, stream| write!(stream, "{HEAD}x\r\n\r\n--x\r\nContent-Length: 100\r\n\r\nabc"),
        |_, _| Ok(()),
    ]);
    for word in ["password", "404", "503", "Motion JPEG", "", "", "no number", "", ""] {
        let end = error(opened(&http(&address, "/")).as_mut());
        assert_eq!(end.code(), "camera-lost", "{end}");
        assert!(end.to_string().contains(word), "{word}: {end}");
        assert_remedy(&end);
    }
    // Nobody listens.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    assert_eq!(error(opened(&http(&closed, "/")).as_mut()).code(), "camera-lost");
    let tls = Source::Http { url: "https://localhost/".to_owned() };
    assert_eq!(open(&tls, WANTED).err().unwrap().code(), "source-refused");
}

#[test]
fn a_stalled_server_is_lost_and_found_again() {
    let stall: fn(&str, &mut TcpStream) -> std::io::Result<()> = |_, stream| {
        write!(stream, "{HEAD}x\r\n\r\n--x\r\n\r\n")?;
        stream.write_all(&jpeg(1))?;
        write!(stream, "\r\n--x\r\n")?;
        thread::sleep(LONG);
        Ok(())
    };
    let address = server(vec![stall, stall]);
    let feed = feed(http(&address, "/"));
    for round in 0..2 {
        if round == 1 {
            assert!(matches!(feed.receive(LONG), Some(Delivery::Back)));
        }
        assert!(fed(&feed).bytes == jpeg(1));
        match feed.receive(LONG) {
            Some(Delivery::Lost(error)) => assert!(error.to_string().contains("sent no image for"), "{error}"),
            other => panic!("{other:?}"),
        }
    }
}
