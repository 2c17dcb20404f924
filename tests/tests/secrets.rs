//! A secret stays where it is needed: nobody finds it in what a host says, in what the
//! machine says of the host, or in what a crash leaves. Against a `tgtd` that wants
//! CHAP.
//!
//! What is not protected: what an operator wrote to a file or an environment is
//! readable for who may read those, and root may read everything.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use vcp_tests::client::Clients;
use vcp_tests::lab::Lab;
use vcp_tests::process::{command, must, poll, run};
use vcp_tests::requires;
use vcp_tests::tgtd::{Lun, Tgtd, Unit};
use vcp_tests::user::{LIMIT, User};
use vcp_tests::vcp::{self, Vcp, binary};
use vcp_tests::wiring::{Family, Wiring};

const SECRET: &str = "a-secret-of-chap";
const USER: &str = "alice";

/// A target that wants to know the secret.
struct Guarded {
    lun: Lun,
    wiring: Wiring,
    tgtd: Tgtd,
    lab: Lab,
    /// Its own: what another test puts on a command line is seen for a moment, by this
    /// one's `ps` too.
    secret: String,
}

impl Guarded {
    fn new() -> Self {
        static GUARDED: AtomicU16 = AtomicU16::new(0);
        let number = GUARDED.fetch_add(1, Ordering::Relaxed);
        let secret = format!("a-secret-of-{number:04}");
        let wiring = Wiring::host(Family::V4);
        let lab = wiring.lab();
        let tgtd = Tgtd::start(&lab);
        let target = tgtd.target("iqn.2026-11.test:secrets");
        let lun = target.unit(1, Unit::new(8 << 20));
        target.account(USER, &secret);
        Self {
            lun,
            wiring,
            tgtd,
            lab,
            secret,
        }
    }

    /// The words of `vcp run` without name and secret.
    fn plain(&self) -> Vec<String> {
        self.words(&self.lun.url(self.wiring.portal))
    }

    fn words(&self, url: &str) -> Vec<String> {
        let mut words = vec!["run".to_owned()];
        words.extend(self.wiring.arguments_for(url, &self.lab.nbd()));
        words
    }

    /// A host that logs all it can, with its control socket in the lab.
    fn start(&self, words: &[String], environment: &[(&str, &str)]) -> Vcp {
        let mut command = self.lab.command(self.wiring.side, binary());
        command.args(words).envs(environment.iter().copied());
        command
            .env("VCP_LOG", "trace")
            .env("VCP_CONTROL_DIR", self.lab.dir().join("control"))
            .current_dir(self.lab.dir());
        Vcp::start(command, self.lab.dir())
    }

    fn ask(&self, words: &str) -> String {
        let mut ask = command(binary());
        ask.args(words.split(' '))
            .env("VCP_CONTROL_DIR", self.lab.dir().join("control"))
            .env("VCP_LOG", "trace");
        let outcome = run(ask, self.lab.dir(), LIMIT);
        outcome.stdout + &outcome.stderr
    }

    /// Everything that can be learned of a host without looking into its memory.
    fn everything(&self, host: &Vcp) -> Vec<(&'static str, String)> {
        let asked = [
            "ps --json",
            "inspect iscsi",
            "inspect iscsi --json",
            "logs iscsi",
            "logs iscsi --json",
            "logs iscsi --crash last",
            "logs iscsi --crash last --json",
            "metrics",
            "top --once --plain",
        ];
        let mut all: Vec<_> = asked.map(|words| (words, self.ask(words))).into();
        let of = |what: &str| {
            let path = format!("/proc/{}/{what}", host.pid());
            let bytes = fs::read(path).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        all.push(("cmdline", of("cmdline")));
        all.push(("status", of("status")));
        all.push(("ps auxww", must("ps", &["auxww"])));
        all.push(("logs", host.logs()));
        for name in fs::read_dir(self.lab.dir().join("control"))
            .into_iter()
            .flatten()
        {
            let name = name.expect("it is there").file_name();
            all.push(("control", name.to_string_lossy().into_owned()));
        }
        all
    }

    /// It serves, crashes, and tells nothing.
    fn tells_nothing(&self, how: &str, words: &[String], environment: &[(&str, &str)]) {
        let host = self.start(words, environment);
        Clients::new(self.lab.dir()).qemu_io(&host.uri(), &["write -P 3 0 64k"]);
        let said = self.ask("inject iscsi trap");
        assert!(said.contains("injected"), "{said}");
        let reported = || {
            let crashes = self.ask("logs iscsi --json");
            crashes.contains("\"number\": 1").then_some(())
        };
        assert!(poll(LIMIT, reported).is_some(), "no crash report");
        Clients::new(self.lab.dir()).qemu_io(&host.uri(), &["read -P 3 0 64k"]);
        for (where_, text) in self.everything(&host) {
            assert!(!text.is_empty(), "{how}: nothing at all in {where_}");
            assert!(
                !text.contains(&self.secret),
                "{how}: a secret is in {where_}"
            );
        }
        let core = self.ask("logs iscsi --crash last --core core.wasm");
        assert!(core.contains("no core dump"), "{how}: {core}");
        host.shut_down();
        let mut dump = command(binary());
        dump.args(words)
            .arg("--dump-config")
            .envs(environment.iter().copied());
        let dump = run(dump, self.lab.dir(), LIMIT).expect_success("--dump-config");
        assert!(
            dump.contains("[vcp.iscsi]") && !dump.contains(&self.secret),
            "{how}: {dump}"
        );
        assert_eq!(self.tgtd.known(1, &self.lun.iqn).sessions(), 0);
    }
}

fn private(path: &Path, text: &str) {
    fs::write(path, text).expect("writing a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("just made");
}

#[test]
fn of_a_file_and_of_the_environment() {
    requires!(Root, "tgtd", "qemu-io", "ps");
    let bed = Guarded::new();
    let file = bed.lab.dir().join("secret");
    private(&file, &bed.secret);
    let mut words = bed.plain();
    words.push(format!("user={USER}"));
    words.push(format!("password-file={}", file.display()));
    bed.tells_nothing("from a file", &words, &[]);
    let environment = [
        ("LIBISCSI_CHAP_USERNAME", USER),
        ("LIBISCSI_CHAP_PASSWORD", bed.secret.as_str()),
    ];
    bed.tells_nothing("from the environment", &bed.plain(), &environment);
}

/// It is seen for a moment by who looks at the right one, and not after that.
#[test]
fn of_the_command_line() {
    requires!(Root, "tgtd", "qemu-io", "ps");
    let bed = Guarded::new();
    let url = bed.lun.url_as(USER, &bed.secret, bed.wiring.portal);
    bed.tells_nothing("from a URL", &bed.words(&url), &[]);
    let mut words = bed.plain();
    words.extend([format!("user={USER}"), format!("password={}", bed.secret)]);
    bed.tells_nothing("from a setting", &words, &[]);
}

#[test]
fn of_a_configuration_file() {
    requires!(Root, "tgtd", "qemu-io", "ps");
    let bed = Guarded::new();
    let url = bed.lun.url_as(USER, &bed.secret, bed.wiring.portal);
    let text = format!(
        "[vcp.iscsi]\nmodule = \"iscsi\"\n{}\nconfig = {{ target = \"{url}\" }}\n\
         [export.iscsi]\nnbd = \"{}\"\n",
        bed.wiring.table(),
        bed.lab.nbd()
    );
    let file = bed.lab.dir().join("disk.toml");
    private(&file, &text);
    let words = ["run".to_owned(), file.display().to_string()];
    bed.tells_nothing("from a configuration", &words, &[]);
}

/// A host whose kernel would write a core dump.
fn dumping(user: &User, options: &[&str]) -> Vcp {
    let mut dumping = command("prlimit");
    dumping.arg("--core=unlimited").arg(binary());
    dumping.args(["run", "ramdisk", "size=8MiB"]).args(options);
    dumping
        .env("VCP_CONTROL_DIR", user.sockets())
        .env("XDG_RUNTIME_DIR", user.dir())
        .current_dir(user.dir());
    Vcp::start(dumping, user.dir())
}

/// The memory of a host that crashes is written nowhere, unless that was asked for.
#[test]
fn of_a_crash_of_the_host() {
    requires!("prlimit");
    let user = User::new();
    let outcome = dumping(&user, &[]).stop(Signal::ABORT);
    assert_eq!(outcome.code(), 128 + 6, "{outcome:?}");
    assert!(!outcome.status.core_dumped(), "{outcome:?}");
    let outcome = dumping(&user, &["--host", "core-dumps=yes"]).stop(Signal::ABORT);
    assert_eq!(outcome.code(), 128 + 6, "{outcome:?}");
    assert!(
        outcome.status.core_dumped(),
        "the test can't tell: {outcome:?}"
    );
}

/// Another process of the same user can't read the environment or the memory of a host;
/// a process that is not closed like that shows that it could.
#[test]
fn of_a_process_of_the_same_user() {
    requires!(Root, "setpriv");
    let user = User::new();
    let start = |options: &[&str]| {
        let mut host = vcp::unprivileged(user.dir(), None);
        host.args(["run", "ramdisk", "size=8MiB", "--control", "none"]);
        host.args(options).env("LIBISCSI_CHAP_PASSWORD", SECRET);
        Vcp::start(host, user.dir())
    };
    let read = |host: &Vcp, what: &str| {
        let path = format!("/proc/{}/{what}", host.pid());
        let mut cat = Command::new("setpriv");
        cat.args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--inh-caps=-all",
        ]);
        let output = cat
            .args(["--", "cat", &path])
            .output()
            .expect("setpriv is there");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let closed = start(&[]);
    for what in ["environ", "maps"] {
        assert_eq!(read(&closed, what), "", "{what} can be read");
    }
    assert!(!read(&closed, "cmdline").is_empty(), "it does run");
    closed.shut_down();
    let open = start(&["--host", "core-dumps=yes"]);
    assert!(
        read(&open, "environ").contains(SECRET),
        "the test can't tell"
    );
    open.shut_down();
}

/// A directory for control sockets that somebody else made first is not used, nor one
/// that everybody could put another in the place of; the host serves all the same.
#[test]
fn a_directory_of_somebody_else() {
    requires!(Root, "setpriv");
    let user = User::new();
    let start = |temporary: &Path| {
        let mut host = vcp::unprivileged(user.dir(), None);
        host.args(["run", "ramdisk", "size=8MiB"])
            .env("TMPDIR", temporary);
        Vcp::start(host, user.dir())
    };
    let temporary = |name: &str, mode: u32| {
        let path = user.dir().join(name);
        fs::create_dir(&path).expect("a new one");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("just made");
        path
    };
    let squatted = temporary("squatted", 0o1777);
    let theirs = squatted.join("vcp-control-65534");
    fs::create_dir(&theirs).expect("a new one");
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o777)).expect("just made");
    let open = temporary("open", 0o777);
    for (place, why) in [(&squatted, "belongs to another user"), (&open, "everybody")] {
        let host = start(place);
        let told = || host.logs().contains(why).then_some(());
        assert!(
            poll(Duration::from_secs(5), told).is_some(),
            "{why}: {}",
            host.logs()
        );
        let directory = place.join("vcp-control-65534");
        let sockets = fs::read_dir(&directory).into_iter().flatten().count();
        assert_eq!(sockets, 0, "{}", directory.display());
        host.shut_down();
    }
}
