//! TLS to a real Mosquitto, with certificates made here by `openssl`: what is right connects, what is wrong is named.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod mosquitto;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mosquitto::{Broker, Listener, Memory, config, file, find, output, until};
use rumqttc::{MqttOptions, PublishOptions, Transport};
use shelfwatch::alert::mqtt::{MqttError, Publisher, check, probe};
use shelfwatch::config::Mqtt;
use tempfile::TempDir;

/// Makes keys and certificates in a folder.
struct Authority {
    openssl: PathBuf,
    folder: PathBuf,
}

impl Authority {
    fn openssl(&self, arguments: &str) {
        output(Command::new(&self.openssl).current_dir(&self.folder).args(arguments.split_whitespace()));
    }

    /// `<name>.pem` and `<name>.key`, which sign others.
    fn authority(&self, name: &str) {
        self.key(name);
        self.openssl(&format!(
            "req -x509 -new -key {name}.key -out {name}.pem -subj /CN={name} -days 30 -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"
        ));
    }

    /// `<name>.pem`, signed by `by`, valid for a day from `from` (`openssl ca` notation), for those alternative names.
    fn signed(&self, name: &str, by: &str, from: &str, until: &str, extensions: &str) {
        self.key(name);
        self.openssl(&format!("req -new -key {name}.key -out {name}.csr -subj /CN={name}"));
        file(&self.folder, &format!("{name}.ext"), &format!("basicConstraints=CA:FALSE\n{extensions}\n"));
        file(&self.folder, "index.txt", "");
        let rules = "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\n\
                     policy=p\nunique_subject=no\n[p]\ncommonName=supplied\n";
        file(&self.folder, "ca.conf", rules);
        self.openssl(&format!(
            "ca -batch -notext -config ca.conf -cert {by}.pem -keyfile {by}.key -in {name}.csr -out {name}.pem -startdate {from} -enddate {until} -extfile {name}.ext"
        ));
    }

    fn key(&self, name: &str) {
        self.openssl(&format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key"));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

const LONG_AGO: &str = "20200101000000Z";
const LAST_YEAR: &str = "20210101000000Z";
const FAR: &str = "20990101000000Z";

/// Certificates of every kind, or `None` without `openssl`.
fn certificates() -> Option<(TempDir, Authority)> {
    let folder = TempDir::new().unwrap();
    let authority = Authority { openssl: find("openssl")?, folder: folder.path().to_owned() };
    let local = "subjectAltName=IP:127.0.0.1,DNS:localhost";
    let client = "extendedKeyUsage=clientAuth";
    authority.authority("ca");
    authority.authority("foreign");
    authority.signed("server", "ca", LONG_AGO, FAR, local);
    authority.signed("elsewhere", "ca", LONG_AGO, FAR, "subjectAltName=DNS:broker.example");
    authority.signed("expired", "ca", LONG_AGO, LAST_YEAR, local);
    authority.signed("future", "ca", "20980101000000Z", FAR, local);
    authority.signed("client", "ca", LONG_AGO, FAR, client);
    authority.signed("old-client", "ca", LONG_AGO, LAST_YEAR, client);
    authority.signed("foreign-client", "foreign", LONG_AGO, FAR, client);
    Some((folder, authority))
}

fn rules(certificate: &str, more: &str) -> String {
    format!(
        "cafile {{folder}}/ca.pem\ncertfile {{folder}}/{certificate}.pem\nkeyfile {{folder}}/{certificate}.key\n\
         allow_anonymous true\npersistence false\n{more}"
    )
}

fn start(config: &Mqtt, outbox: &Arc<Memory>) -> Result<Publisher, MqttError> {
    let outbox: Arc<Memory> = Arc::clone(outbox);
    Publisher::start(config, "plant", "dev1", &["left".to_owned()], outbox, |_| {})
}

fn reaches(config: &Mqtt) {
    let outbox = Arc::new(Memory::default());
    outbox.file("left", 1);
    let publisher = start(config, &outbox).unwrap();
    until("an empty outbox", || {
        assert_eq!(publisher.trouble(), None);
        outbox.left() == 0
    });
    assert!(publisher.close(Duration::from_mins(1)));
}

fn fails(config: &Mqtt, words: &str) {
    let outbox = Arc::new(Memory::default());
    let publisher = start(config, &outbox).unwrap();
    until("trouble", || publisher.trouble().is_some());
    let trouble = publisher.trouble().unwrap();
    println!("{trouble}");
    assert!(trouble.contains(words), "{trouble}");
    assert!(!publisher.connected());
}

#[test]
fn the_broker_must_prove_who_it_is() {
    let Some((folder, authority)) = certificates() else { return };
    let ca = authority.path("ca.pem");
    let foreign = authority.path("foreign.pem");
    let Some(mut broker) = Broker::in_folder(folder, &rules("server", "")) else { return };
    let secure = Mqtt { ca_file: Some(ca), ..config(broker.port) };
    reaches(&secure);
    probe(&secure, "plant", "dev1", Duration::from_mins(1)).unwrap();
    reaches(&Mqtt { host: "localhost".to_owned(), ..secure.clone() });
    fails(&Mqtt { ca_file: Some(foreign), ..secure.clone() }, "the authority in mqtt.ca_file has not signed; ");
    fails(&config(broker.port), "if this is its TLS port, give mqtt.ca_file");
    for (certificate, words) in [
        ("elsewhere", "other names (broker.example); "),
        ("expired", "has expired; renew it on the broker"),
        ("future", "not valid yet; check this device's clock"),
    ] {
        broker.kill();
        broker.configure(&rules(certificate, ""));
        broker.run();
        fails(&secure, words);
        assert!(probe(&secure, "plant", "dev1", Duration::from_mins(1)).unwrap_err().contains(words));
    }
    // A port without TLS.
    broker.kill();
    broker.configure("allow_anonymous true\npersistence false\n");
    broker.run();
    fails(&secure, "TLS on this port");
}

#[test]
fn we_must_prove_who_we_are() {
    let Some((folder, authority)) = certificates() else { return };
    let path = |name: &str| Some(authority.path(name));
    let Some(broker) = Broker::in_folder(folder, &rules("server", "require_certificate true\n")) else { return };
    let secure = Mqtt { ca_file: path("ca.pem"), ..config(broker.port) };
    let with = |name: &str| Mqtt {
        client_cert: path(&format!("{name}.pem")),
        client_key: path(&format!("{name}.key")),
        ..secure.clone()
    };
    reaches(&with("client"));
    fails(&secure, "wants a client certificate; give mqtt.client_cert");
    fails(&with("foreign-client"), "does not know the authority of our certificate; ");
    fails(&with("old-client"), "our certificate has expired; renew mqtt.client_cert");
}

#[test]
fn files_are_checked_at_the_start() {
    let Some((folder, authority)) = certificates() else { return };
    let path = |name: &str| Some(authority.path(name));
    let folder = folder.path();
    authority.openssl("pkey -in client.key -aes128 -passout pass:secret -out locked.key");
    file(folder, "empty", "");
    file(folder, "text.pem", "hello\n");
    let broken = fs::read_to_string(authority.path("ca.pem")).unwrap().replacen("MII", "M!I", 1);
    file(folder, "broken.pem", &broken);
    file(folder, "junk.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let plain = config(1);
    let secure = Mqtt { ca_file: path("ca.pem"), ..plain.clone() };
    let with =
        |certificate: &str, key: &str| Mqtt { client_cert: path(certificate), client_key: path(key), ..secure.clone() };
    let authority_file = |name: &str| Mqtt { ca_file: path(name), ..plain.clone() };
    for (config, code, words) in [
        (authority_file("none.pem"), "mqtt-file", "mqtt.ca_file"),
        (authority_file("text.pem"), "mqtt-file-content", "holds no certificate; "),
        (authority_file("broken.pem"), "mqtt-file-content", "is damaged"),
        (authority_file("junk.pem"), "mqtt-file-content", "is none"),
        (with("none.pem", "client.key"), "mqtt-file", "mqtt.client_cert"),
        (with("client.pem", "none.key"), "mqtt-file", "mqtt.client_key"),
        (with("client.pem", "server.key"), "mqtt-key-mismatch", "issued together"),
        (with("client.pem", "client.pem"), "mqtt-file-content", "holds no private key; "),
        (with("client.pem", "locked.key"), "mqtt-file-content", "is encrypted; "),
        (with("junk.pem", "client.key"), "mqtt-file-content", "mqtt.client_cert"),
        (Mqtt { client_key: None, ..with("client.pem", "client.key") }, "mqtt-setting", "; give mqtt.client_key"),
        (Mqtt { client_cert: None, ..with("client.pem", "client.key") }, "mqtt-setting", "; give mqtt.client_cert"),
        (Mqtt { ca_file: None, ..with("client.pem", "client.key") }, "mqtt-setting", "; give mqtt.ca_file"),
        (Mqtt { password_file: path("text.pem"), ..plain.clone() }, "mqtt-setting", "; give mqtt.user"),
        (
            Mqtt { user: Some("u".into()), password_file: path("empty"), ..plain.clone() },
            "mqtt-file-content",
            "empty first line; ",
        ),
        (Mqtt { user: Some("u".into()), password_file: path("none"), ..plain.clone() }, "mqtt-file", "password_file"),
        (Mqtt { host: "mqtt://host".into(), ..plain.clone() }, "mqtt-host", "without a scheme"),
        (Mqtt { host: String::new(), ..plain.clone() }, "mqtt-host", "; "),
        (Mqtt { prefix: "a//b".into(), ..plain.clone() }, "mqtt-name", "mqtt.prefix"),
    ] {
        let error = start(&config, &Arc::new(Memory::default())).unwrap_err();
        assert_eq!(check(&config, "plant", "dev1", &[]).unwrap_err().to_string(), error.to_string());
        println!("{error}");
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.to_string().contains("; "), "{error}");
    }
}

/// Our sample, with paths and port of the test.
#[test]
fn the_sample_configuration_confines_each_device_to_its_own_topics() {
    let Some((folder, authority)) = certificates() else { return };
    let Some(passwords) = find("mosquitto_passwd") else { return };
    let sample = |name: &str| fs::read_to_string(mosquitto::root_folder().join("firmware-config").join(name)).unwrap();
    let list = file(folder.path(), "passwd", "dev1:one\ndev2:two\nhomeassistant:three\ncontroller:four\n");
    output(Command::new(passwords).arg("-U").arg(&list));
    file(folder.path(), "shelfwatch.acl", &sample("mosquitto.acl"));
    let secrets: Vec<PathBuf> = ["one", "two"].map(|text| file(folder.path(), text, text)).into();
    let rules = sample("mosquitto.conf")
        .replace("listener 8883\n", "")
        .replace("/etc/mosquitto/certs", "{folder}")
        .replace("/etc/mosquitto", "{folder}")
        .replace("/var/lib/mosquitto/", "{folder}/");
    let Some(broker) = Broker::in_folder(folder, &rules) else { return };
    let ca = fs::read(authority.path("ca.pem")).unwrap();
    let person = |name: &str, password: &str| {
        let mut options = MqttOptions::new(name, ("localhost", broker.port));
        options.set_credentials(name, password.to_owned());
        options.set_transport(Transport::tls(ca.clone(), None, None));
        options
    };
    let reader = Listener::with(person("homeassistant", "three"), "shelfwatch/#");
    let controller = Listener::with(person("controller", "four"), "nothing/at/all");

    let device = |number: usize| Mqtt {
        user: Some(format!("dev{number}")),
        password_file: Some(secrets[number - 1].clone()),
        ca_file: Some(authority.path("ca.pem")),
        ..config(broker.port)
    };
    let outbox = Arc::new(Memory::default());
    outbox.file("left", 1);
    let commands = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&commands);
    let heard = move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    };
    let stations = ["left".to_owned()];
    let first = Publisher::start(&device(1), "plant", "dev1", &stations, outbox.clone(), heard).unwrap();
    until("dev1's event", || reader.heard().iter().any(|heard| heard.topic == "shelfwatch/plant/dev1/left/event"));
    reader.wait_for("shelfwatch/plant/dev1/availability", "online");
    let trigger = "shelfwatch/plant/dev1/left/trigger";
    controller.client.publish(trigger, "", PublishOptions::at_least_once()).unwrap();
    until("the command", || commands.load(Ordering::SeqCst) == 1);

    // The second device under the first one's name.
    outbox.file("left", 2);
    let liar = Publisher::start(&device(2), "plant", "dev1-", &stations, outbox.clone(), |_| {}).unwrap();
    until("an empty outbox", || outbox.left() == 0);
    assert!(liar.close(Duration::from_mins(1)));
    assert!(first.close(Duration::from_mins(1)));
    reader.wait_for("shelfwatch/plant/dev1/availability", "offline");
    assert!(!reader.heard().iter().any(|heard| heard.topic.contains("dev1-")));
}
