//! A real SSH server on the loopback, with keys of its own, on which `shelfwatch` is the program under test.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PROGRAM: &str = "/usr/sbin/sshd";

/// A running server; dropping it ends it.
pub(crate) struct Server {
    child: Child,
    client: String,
}

impl Server {
    /// `None`, and a line that says why, where there is no server to start.
    pub(crate) fn start(folder: &Path) -> Option<Self> {
        let has_client = Command::new("ssh").arg("-V").stderr(Stdio::null()).status().is_ok();
        if !has_client || !Path::new(PROGRAM).exists() {
            println!("skipped: installing over ssh; install openssh-client and openssh-server");
            return None;
        }
        fs::create_dir_all(folder).unwrap();
        // The server insists on it when root starts it.
        drop(fs::create_dir_all("/run/sshd"));
        let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        for key in ["host", "user"] {
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &at(key)]).status();
            assert!(made.unwrap().success());
        }
        fs::copy(at("user.pub"), at("authorized")).unwrap();
        fs::set_permissions(at("authorized"), fs::Permissions::from_mode(0o600)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let programs = Path::new(env!("CARGO_BIN_EXE_shelfwatch")).parent().unwrap().display();
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nPidFile none\nSetEnv PATH={programs}:/usr/bin:/bin\n",
            at("host"),
            at("authorized")
        );
        fs::write(at("config"), config).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let child = Command::new(PROGRAM).args(["-D", "-e", "-f", &at("config")]).stderr(log).spawn().unwrap();
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "{}", fs::read_to_string(at("log")).unwrap());
            thread::sleep(Duration::from_millis(20));
        }
        let known = at("known");
        let client = format!(
            "ssh -F none -p {port} -i {} -o UserKnownHostsFile={known} -o StrictHostKeyChecking=no -o LogLevel=ERROR \
             -o BatchMode=yes",
            at("user")
        );
        Some(Self { child, client })
    }

    /// The client's command, without the device.
    pub(crate) fn client(&self) -> &str {
        &self.client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
