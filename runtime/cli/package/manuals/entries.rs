//! The parts of pages that neither help nor the reference has: examples, files, and what
//! to read next. Each example is parsed as the command would parse it.

use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;

use crate::args::Arguments;

/// These parts of one page.
pub(crate) struct Entry {
    /// The page's name, such as `vcp-run`.
    pub(crate) page: &'static str,
    /// Titles, and the lines to type.
    pub(crate) examples: &'static [(&'static str, &'static str)],
    /// Related pages, such as `mount(8)`.
    pub(crate) see_also: &'static [&'static str],
}

/// The meaning of the exit codes of every command.
pub(crate) const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "It is done."),
    (
        "1",
        "It failed. A line on standard error says what and where.",
    ),
    ("2", "The command line makes no sense."),
];

/// The effect of `VCP_LOG` on every command.
pub(crate) const VCP_LOG: &str = "What is logged on standard error: error, warn, info, debug or \
     trace, or such a level for each part of the program, as in vcp::guest=debug.";

/// Paths, their contents, and the commands that use them. Commands that ask a host use
/// its control socket as well.
const FILES: &[(&str, &str, &[&str])] = &[
    (
        "/etc/vcp/host.toml",
        "What vcp-host(1) runs on this machine: vcp-host.toml(5).",
        &["vcp", "host", "reload"],
    ),
    (
        "/etc/vcp/conf.d/*.toml",
        "More of the same configuration, in the order of the names.",
        &["vcp", "host", "reload"],
    ),
    (
        "/var/lib/vcp",
        "What VCPs of the service may keep in files.",
        &["vcp", "host"],
    ),
    (
        "/var/cache/vcp",
        "Modules as the service has compiled them for this machine.",
        &["vcp", "host"],
    ),
    (
        "$XDG_CACHE_HOME/vcp, ~/.cache/vcp",
        "Modules as they were compiled for this machine.",
        &["run", "check", "demo", "discover", "host"],
    ),
    (
        "/run/vcp/attach",
        "Locks of the devices that are attached.",
        &["attach", "detach", "host"],
    ),
    (
        "/sys/block/nbdX/backend",
        "What an attached device belongs to.",
        &["attach", "detach"],
    ),
    (
        "/run/vcp/mount, $VCP_MOUNT_DIR",
        "What vcp-mount(1) did, to be undone.",
        &["mount", "umount"],
    ),
    (
        "/usr/share/doc/vcp/examples",
        "Drop-ins for the unit, which allow it links and devices, and a socket unit.",
        &["host", "attach"],
    ),
    (
        "/sys/devices/system",
        "Where the CPUs of this machine are described.",
        &["doctor"],
    ),
];

const CONTROL: (&str, &str) = (
    "/run/vcp/control/PID.sock, $XDG_RUNTIME_DIR/vcp/control/PID.sock",
    "Where a host of root, or of another user, is asked.",
);

/// The files of one command.
pub(crate) fn files_of(
    command: &str,
    asks: bool,
) -> impl Iterator<Item = (&'static str, &'static str)> {
    let asks = asks || ["run", "host"].contains(&command);
    let control = asks.then_some(CONTROL).into_iter();
    let own = FILES.iter().filter(move |(_, _, of)| of.contains(&command));
    own.map(|(path, about, _)| (*path, *about)).chain(control)
}

/// The entry for a page, with examples that the command line accepts.
pub(crate) fn of(page: &str) -> Result<&'static Entry> {
    let entry = ENTRIES.iter().find(|entry| entry.page == page);
    let entry = entry.context("it has no examples: see entries.rs")?;
    for (_, lines) in entry.examples {
        for line in lines.lines().filter(|line| line.starts_with("vcp ")) {
            let parsed = Arguments::try_parse_from(words(line));
            let help = line.ends_with("--help");
            ensure!(help || parsed.is_ok(), "{line}: not understood");
        }
    }
    Ok(entry)
}

/// Splits a line as a shell does, with quotes and comments but nothing else.
fn words(line: &str) -> Vec<String> {
    let line = line.split_once(" #").map_or(line, |(line, _)| line);
    let mut words = Vec::new();
    for (number, piece) in line.split('\'').enumerate() {
        match number % 2 {
            0 => words.extend(piece.split_whitespace().map(str::to_owned)),
            _ => words.push(piece.to_owned()),
        }
    }
    words
}

const ENTRIES: &[Entry] = &[
    Entry {
        page: "vcp",
        examples: &[
            (
                "See the whole path at work, without anything else",
                "vcp demo",
            ),
            (
                "Serve an iSCSI disk to NBD clients, and see how it does",
                "vcp run iscsi target=iscsi://10.77.0.1/iqn.2026-11.example:disk/1 --link host \
                 --nbd unix:/run/disk.sock\nvcp ps",
            ),
        ],
        see_also: &[
            "vcp-host.toml(5)",
            "qemu-img(1)",
            "nbdinfo(1)",
            "nbdcopy(1)",
        ],
    },
    Entry {
        page: "vcp-run",
        examples: &[
            (
                "Serve an iSCSI disk on a unix socket, over the TCP of this machine",
                "vcp run iscsi target=iscsi://10.77.0.1/iqn.2026-11.example:disk/1 --link host \
                 --nbd unix:/run/disk.sock",
            ),
            (
                "Fill a disk in memory, and end with that",
                "vcp run ramdisk size=64MiB --run 'nbdcopy disk.img $uri'",
            ),
            ("Run what a file says", "vcp run disks.toml"),
        ],
        see_also: &[
            "vcp-host(1)",
            "vcp-host.toml(5)",
            "vcp-ps(1)",
            "vcp-attach(1)",
        ],
    },
    Entry {
        page: "vcp-host",
        examples: &[
            (
                "See what the configuration of this machine amounts to",
                "vcp host --dump-config",
            ),
            (
                "Have it run, now and after every boot",
                "systemctl enable --now vcp",
            ),
            (
                "Have changes to the configuration hold",
                "systemctl reload vcp",
            ),
        ],
        see_also: &[
            "vcp-host.toml(5)",
            "vcp-reload(1)",
            "vcp-ps(1)",
            "systemctl(1)",
            "systemd.service(5)",
            "systemd.socket(5)",
        ],
    },
    Entry {
        page: "vcp-demo",
        examples: &[
            ("With ten crashes on the way", "vcp demo --crashes 10"),
            (
                "See what is on the wire",
                "vcp demo --pcap demo.pcap\ntshark -r demo.pcap",
            ),
        ],
        see_also: &["vcp-run(1)", "tshark(1)"],
    },
    Entry {
        page: "vcp-discover",
        examples: &[
            ("Ask a portal", "vcp discover iscsi://10.77.0.1"),
            (
                "Ask one that wants a login",
                "vcp discover iscsi://joe%secret@10.77.0.1:3261",
            ),
        ],
        see_also: &["vcp-run(1)"],
    },
    Entry {
        page: "vcp-check",
        examples: &[
            ("Look at a component", "vcp check ./mine.wasm"),
            ("Look at a module of this build", "vcp check iscsi"),
        ],
        see_also: &["vcp-run(1)", "vcp-reload(1)"],
    },
    Entry {
        page: "vcp-ps",
        examples: &[("What runs", "vcp ps"), ("For a program", "vcp ps --json")],
        see_also: &[
            "vcp-inspect(1)",
            "vcp-top(1)",
            "vcp-clients(1)",
            "vcp-logs(1)",
        ],
    },
    Entry {
        page: "vcp-inspect",
        examples: &[
            ("All about a VCP", "vcp inspect disk0"),
            (
                "That of one host where several have one of this name",
                "vcp inspect 4711/disk0",
            ),
        ],
        see_also: &["vcp-ps(1)", "vcp-logs(1)", "vcp-set(1)"],
    },
    Entry {
        page: "vcp-logs",
        examples: &[
            ("What it has died of", "vcp logs disk0"),
            (
                "The last of it, with the memory of the instance",
                "vcp logs disk0 --crash last --core core.wasm",
            ),
        ],
        see_also: &["vcp-inspect(1)", "vcp-inject(1)", "journalctl(1)"],
    },
    Entry {
        page: "vcp-reload",
        examples: &[
            (
                "Try another version of a module",
                "vcp reload disk0 ./mine.wasm",
            ),
            (
                "Have the service read its configuration again",
                "vcp reload --all",
            ),
        ],
        see_also: &["vcp-restart(1)", "vcp-host(1)", "vcp-host.toml(5)"],
    },
    Entry {
        page: "vcp-restart",
        examples: &[("Start anew", "vcp restart disk0")],
        see_also: &["vcp-reload(1)", "vcp-stop(1)", "vcp-logs(1)"],
    },
    Entry {
        page: "vcp-rescan",
        examples: &[("After a disk has grown", "vcp rescan disk0")],
        see_also: &["vcp-inspect(1)", "resize2fs(8)", "xfs_growfs(8)"],
    },
    Entry {
        page: "vcp-clients",
        examples: &[
            ("Who is connected", "vcp clients disk0"),
            (
                "End the connection of client 3",
                "vcp clients disk0 --end 3",
            ),
        ],
        see_also: &["vcp-ps(1)", "vcp-inspect(1)"],
    },
    Entry {
        page: "vcp-stop",
        examples: &[("Let it take its leave", "vcp stop disk0")],
        see_also: &["vcp-detach(1)", "vcp-restart(1)", "vcp-host(1)"],
    },
    Entry {
        page: "vcp-inject",
        examples: &[
            ("See it recover", "vcp inject disk0 trap\nvcp logs disk0"),
            (
                "Fail a thousand units of fuel into its next call",
                "vcp inject disk0 cut:1000",
            ),
        ],
        see_also: &["vcp-logs(1)", "vcp-ps(1)"],
    },
    Entry {
        page: "vcp-set",
        examples: &[
            (
                "Reserve it a third of a CPU, and nothing beyond that",
                "vcp set disk0 cpu.share=33% cpu.slack=no",
            ),
            (
                "Limit what clients may ask for",
                "vcp set disk0 limit.iops=1000",
            ),
        ],
        see_also: &["vcp-top(1)", "vcp-inspect(1)", "vcp-host.toml(5)"],
    },
    Entry {
        page: "vcp-attach",
        examples: &[
            (
                "Make a disk a device and mount it",
                "vcp attach disk0             # prints the device, say /dev/nbd0\nmount /dev/nbd0 /mnt",
            ),
            (
                "With a number that is known before",
                "vcp attach disk0 /dev/nbd5",
            ),
        ],
        see_also: &[
            "vcp-detach(1)",
            "vcp-mount(1)",
            "vcp-host.toml(5)",
            "modprobe(8)",
        ],
    },
    Entry {
        page: "vcp-detach",
        examples: &[
            ("Give it back", "umount /mnt\nvcp detach disk0"),
            (
                "A device whose host is gone for good",
                "vcp detach --force /dev/nbd0",
            ),
        ],
        see_also: &["vcp-attach(1)", "vcp-umount(1)", "umount(8)"],
    },
    Entry {
        page: "vcp-top",
        examples: &[
            ("On a screen", "vcp top"),
            ("One table, for a program", "vcp top --once"),
        ],
        see_also: &["vcp-ps(1)", "vcp-set(1)", "vcp-metrics(1)"],
    },
    Entry {
        page: "vcp-metrics",
        examples: &[
            ("Once", "vcp metrics"),
            ("Of the host of one VCP", "vcp metrics disk0"),
        ],
        see_also: &["vcp-top(1)", "vcp-host(1)"],
    },
    Entry {
        page: "vcp-mount",
        examples: &[
            ("Mount a disk", "vcp mount disk0 /mnt/disk0 -o noatime"),
            (
                "Where the kernel has no NBD",
                "vcp mount disk0 /mnt/disk0 --via fuse",
            ),
        ],
        see_also: &["vcp-umount(1)", "vcp-attach(1)", "mount(8)", "nbdfuse(1)"],
    },
    Entry {
        page: "vcp-umount",
        examples: &[
            ("By its name", "vcp umount disk0"),
            (
                "When the target does not answer",
                "vcp umount --force /mnt/disk0",
            ),
        ],
        see_also: &["vcp-mount(1)", "vcp-detach(1)", "umount(8)"],
    },
    Entry {
        page: "vcp-doctor",
        examples: &[
            ("Look at this machine", "vcp doctor"),
            ("What the service may do", "vcp doctor --service"),
        ],
        see_also: &["vcp-host.toml(5)", "vcp-set(1)", "lscpu(1)"],
    },
];
