//! Configurations, command lines, URIs and values.

use super::Seeds;

const FILE: &str = r#"
[vcp.disk0]
module = "iscsi"
cpu = { pin = [1], share = "50%", period = "10ms", slack = 25, poll = "50us", priority = "fifo:1", cgroup = "vcp/a" }
memory = "64MiB"
queue-depth = 64
restart = { policy = "always", min-run = "50ms", backoff = "10ms..5s" }
config = { target = "iscsi://user@10.77.0.1/iqn.2026-11.example:disk/1", header-digest = "CRC32C" }
net = { link = "tap:vcp0", address = ["10.77.0.2/24", "fd00::2/64"], gateway = "10.77.0.254", mtu = 1500, offload = "tso", pcap = "/tmp/x.pcap" }

[vcp.ram]
module = "ramdisk"
config = { size = "1GiB" }
files = [{ host = "/srv", guest = "/data", read-only = true }]

[export.disk0]
nbd = ["unix:/run/vcp/disk0.sock", "tcp:[::1]:10809"]
read-only = true
limit = { iops = 1000, bytes = "100MiB", burst = "2s" }

[export.other]
vcp = "ram"
nbd = "tcp:127.0.0.1:10810"
"#;

const WORDS: &str = "iscsi
target=iscsi://user%25secret@10.77.0.1:3260/iqn.2026-11.example:disk/1
--link tap:vcp0,address=10.77.0.2/24,gateway=10.77.0.1,mtu=9000,offload=csum
--nbd unix:/run/disk.sock
--nbd tcp:localhost:10809
--cpu 0,2-3,share=25%,period=5ms,slack=false
--memory 32MiB
--files /srv:/data:ro
--name disk
--queue-depth 128
--read-only";

const URIS: &[(&str, &str)] = &[
    ("uri-plain", "iscsi://10.0.0.1/iqn.2026-11.example:disk/0"),
    (
        "uri-full",
        "iscsi://user%pass%40word@[fe80::1]:3261/eui.02004567A425678D/16383",
    ),
    (
        "uri-name",
        "iscsi://storage.example/iqn.2001-04.com.example%3Adisk/7",
    ),
    ("uri-discovery", "iscsi://user@storage.example:3260"),
    ("nbd-unix", "unix:/run/vcp/a b.sock"),
    ("nbd-tcp", "tcp:[::1]:10809"),
    (
        "link-packet",
        "packet:eth0,address=fd00::2/64,mac=02:00:00:00:00:01,host-address=fd00::1/64",
    ),
    (
        "link-pipe",
        "pipe:wire,address=10.0.0.2/24,pcap=/tmp/a.pcap",
    ),
    ("link-host", "host"),
];

const VALUES: &[(&str, &str)] = &[
    ("interval", "1500us"),
    ("backoff", "10ms..5s"),
    ("size", "64MiB"),
    ("percent", "12.5%"),
    ("cpus", "0,2-4,7"),
    ("pin", "core"),
    ("sibling", "sibling-of:3"),
    ("slack", "250"),
    ("fifo", "fifo:10"),
    ("cgroup", "vcp/disk0"),
    ("change-share", "cpu.share=12.5%"),
    ("change-none", "limit.bytes=none"),
    ("change-burst", "limit.burst=250ms"),
    ("change-depth", "queue-depth=4096"),
    ("mac", "02:aa:bb:cc:dd:ee"),
    ("address", "192.0.2.1/24"),
    ("module-oci", "oci:registry.example/vcp/iscsi:1.0"),
    ("module-file", "./guest.wasm"),
    ("grant", "/srv:/data:ro"),
];

pub(crate) fn write(seeds: &Seeds) {
    seeds.add("file", &[&[0], FILE.as_bytes()]);
    seeds.add("words", &[&[1], WORDS.as_bytes()]);
    for (name, text) in URIS {
        seeds.add(name, &[&[2], text.as_bytes()]);
    }
    for (name, text) in VALUES {
        seeds.add(name, &[&[3], text.as_bytes()]);
    }
}
