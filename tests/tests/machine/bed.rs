//! A machine with the package, a target that it reaches, and a file system on the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vcp_tests::lab::Lab;
use vcp_tests::process::{Outcome, must};
use vcp_tests::tgtd::{Lun, Tgtd, Unit};
use vcp_tests::vcp::binary;
use vcp_tests::vm::Vm;
use vcp_tests::vm::debian::{DELIVERY, Debian, Shutdown, TARGET};
use vcp_tests::vm::warm::Warm;

use crate::AGENT;

/// Where the disk is mounted.
pub(crate) const MOUNT: &str = "/mnt/disk";
/// The disk's device.
pub(crate) const DEVICE: &str = "/dev/nbd0";
/// How long a machine may take to go down, whatever it was doing.
pub(crate) const SHUTDOWN: Duration = Duration::from_secs(100);
/// How long something may take that wants a moment on a machine with time.
pub(crate) const SOON: Duration = Duration::from_secs(90);

const IQN: &str = "iqn.2026-11.test:machine";
/// Where drop-ins of the unit lie.
pub(crate) const DROP_INS: &str = "/etc/systemd/system/vcp.service.d";
/// Where their examples are.
pub(crate) const EXAMPLES: &str = "/usr/share/doc/vcp/examples";

const CONFIGURATION: &str = r#"[vcp.disk0]
module = "iscsi"
net    = { link = "host" }
[vcp.disk0.config]
target = "iscsi://TARGET/IQN/1"
user   = "joe"
password-credential = "disk0-chap"

[export.disk0]
nbd    = "unix:/run/vcp/disk0.sock"
attach = { device = "/dev/nbd0" }
"#;

/// See the module.
pub(crate) struct Bed {
    pub(crate) machine: Debian,
    target: Option<Tgtd>,
    lun: Lun,
    lab: Lab,
}

impl Bed {
    /// A machine on which the package was installed and configured as the book says; the
    /// service is enabled and has not been started yet.
    pub(crate) fn install() -> Self {
        let lab = Lab::new();
        let (target, lun) = target(&lab, None);
        let deb = package();
        let mut files = vec![
            ("vcp.deb".to_owned(), deb.clone()),
            ("changed.deb".to_owned(), changed(&deb, &lab)),
        ];
        files.extend(cache(&lab));
        let mut bed = Self {
            machine: Debian::boot(&lab, AGENT, &files),
            target: Some(target),
            lun,
            lab,
        };
        bed.run(&format!("dpkg -i {DELIVERY}/vcp.deb"));
        let state = bed.ask("systemctl is-enabled vcp; systemctl is-active vcp");
        assert_eq!(state.stdout, "disabled\ninactive\n");
        bed.run(&format!(
            "mkdir -p -m 700 /var/cache/vcp {DROP_INS}
             cp {DELIVERY}/cache/* /var/cache/vcp/
             printf '%s\\n' 0123456789abcdef > /etc/vcp/disk0-chap
             chmod 600 /etc/vcp/disk0-chap
             printf '[Service]\\nLoadCredential=disk0-chap:/etc/vcp/disk0-chap\\n' \
                 > {DROP_INS}/chap.conf"
        ));
        let configuration = CONFIGURATION.replace("TARGET", TARGET).replace("IQN", IQN);
        bed.machine
            .write("/etc/vcp/conf.d/disk0.toml", &configuration);
        bed.run("systemctl enable vcp");
        bed
    }

    /// Copies the drop-in.
    pub(crate) fn allow_devices(&mut self) {
        self.run(&format!(
            "cp {EXAMPLES}/attach.conf {DROP_INS}/ && systemctl daemon-reload"
        ));
    }

    pub(crate) fn run(&mut self, script: &str) -> String {
        self.machine.run(script)
    }

    pub(crate) fn ask(&mut self, script: &str) -> Outcome {
        self.machine.ask(script, SOON)
    }

    /// Down within [`SHUTDOWN`], and up again.
    pub(crate) fn reboot(&mut self, why: &str) -> Shutdown {
        let shutdown = self.machine.reboot(&self.lab, SHUTDOWN);
        println!("{why}: down after {:.1} s", shutdown.took.as_secs_f32());
        shutdown
    }

    /// Until the kernel has a disk that can be used.
    pub(crate) fn wait_for_device(&mut self) {
        let there = format!("[ \"$(blockdev --getsize64 {DEVICE})\" -gt 0 ]");
        self.machine.until(&there, SOON);
    }

    pub(crate) fn mount(&mut self) {
        self.wait_for_device();
        self.run(&format!("mount {DEVICE} {MOUNT}"));
    }

    /// Writes a file that the kernel keeps to itself for half a minute, with its checksum
    /// on the machine's own disk.
    pub(crate) fn write_file(&mut self, name: &str, mebibytes: u32) {
        self.run(&format!(
            "head -c {mebibytes}M /dev/urandom | tee {MOUNT}/{name} | sha256sum > /root/{name}.sum"
        ));
    }

    /// What was written is there.
    pub(crate) fn check_file(&mut self, name: &str) {
        let sum = format!("sha256sum < {MOUNT}/{name} | cmp - /root/{name}.sum");
        let compared = self.ask(&sum);
        assert!(
            compared.status.success(),
            "{name}: not what was written: {compared:?}\n{}",
            self.run("dmesg | tail -n 30; journalctl -b -u vcp --no-pager | tail -n 30")
        );
    }

    /// The file system on the disk was left as one is that is unmounted.
    pub(crate) fn assert_clean(&mut self) {
        let log = self.run("dmesg | grep 'EXT4-fs (nbd0)'");
        // The root file system, too.
        let log = log + &self.run("dmesg | grep 'EXT4-fs (vda)'");
        let hurt = ["recovery", "error", "orphan"];
        let before = "journalctl -b -1 --no-pager -o short-monotonic | grep -e vcp -e nbd";
        assert!(
            !hurt.iter().any(|word| log.contains(word)),
            "{log}\n{}",
            self.run(&format!("{before} || true"))
        );
    }

    /// A process that stays in the directory for as long as it can.
    pub(crate) fn keep_busy(&mut self) {
        self.run(&format!(
            "cd {MOUNT} && setsid sleep 100000 > /dev/null 2>&1 < /dev/null & sleep 0.2"
        ));
    }

    /// The journal of the service: since a boot, 0 being this one.
    pub(crate) fn journal(&mut self, boot: i32) -> String {
        self.run(&format!(
            "journalctl -b {boot} -u vcp --no-pager -o short-monotonic"
        ))
    }

    pub(crate) fn kill_target(&mut self) {
        self.target = None;
    }

    /// A new one with the unit as the last has left it.
    pub(crate) fn start_target(&mut self) {
        let (target, _) = target(&self.lab, Some(&self.lun));
        self.target = Some(target);
    }
}

fn target(lab: &Lab, kept: Option<&Lun>) -> (Tgtd, Lun) {
    let tgtd = Tgtd::start(lab);
    let target = tgtd.target(IQN);
    let lun = match kept {
        None => target.unit(1, Unit::new(256 << 20)),
        Some(lun) => {
            target.keep(lun);
            lun.clone()
        }
    };
    target.account("joe", "0123456789abcdef");
    (tgtd, lun)
}

fn package() -> PathBuf {
    let built = binary()
        .parent()
        .and_then(Path::parent)
        .map(|target| target.join("debian/vcp.deb"));
    built
        .filter(|deb| deb.is_file())
        .expect("cargo xtask machine makes the package first")
}

/// The package in a later version, whose unit says something else.
fn changed(package: &Path, lab: &Lab) -> PathBuf {
    let (root, deb) = (lab.dir().join("package"), lab.dir().join("changed.deb"));
    let (at, from, to) = (text(&root), text(package), text(&deb));
    must("dpkg-deb", &["-R", &from, &at]);
    edit(&root.join("DEBIAN/control"), |line| {
        match line.strip_prefix("Version: ") {
            Some(version) => format!("Version: {version}+changed"),
            None => line.to_owned(),
        }
    });
    edit(
        &root.join("usr/lib/systemd/system/vcp.service"),
        |line| match line {
            "[Service]" => "[Service]\nEnvironment=VCP_TEST_CHANGED=1".to_owned(),
            _ => line.to_owned(),
        },
    );
    must("dpkg-deb", &["-Zgzip", "-z1", "-b", &at, &to]);
    deb
}

fn edit(path: &Path, line: impl Fn(&str) -> String) {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let lines = text.lines().map(|l| line(l) + "\n");
    fs::write(path, lines.collect::<String>()).expect("writing a file");
}

/// Modules compiled for the emulated CPU, which takes it minutes.
fn cache(lab: &Lab) -> Vec<(String, PathBuf)> {
    if Warm::find().is_none() {
        // It leaves them behind.
        Vm::boot(AGENT).shut_down();
    }
    let warm = Warm::find().expect("a machine has just made them");
    let files = warm.files().map(|(name, bytes)| {
        let path = lab.dir().join(name);
        fs::write(&path, bytes).expect("writing a file");
        (format!("cache/{name}"), path)
    });
    files.collect()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

impl Drop for Bed {
    /// What the service said, where a test fails.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let script = "journalctl -b -u vcp --no-pager -o short-monotonic | tail -n 40";
            eprintln!("{}", self.machine.ask(script, SOON).stdout);
        }
    }
}
