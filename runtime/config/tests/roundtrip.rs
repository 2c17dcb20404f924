//! A printed configuration reads back as the same, and no text makes the parser panic.

use std::path::Path;

use proptest::prelude::*;
use vcp_config::{HostConfig, Shorthand};

/// Any string as TOML writes it.
fn quoted(text: &str) -> String {
    let escape = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", c as u32),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}

/// Some of these lines, as a table's contents.
fn some_of(lines: Vec<BoxedStrategy<String>>) -> impl Strategy<Value = String> {
    let maybe = lines
        .into_iter()
        .map(|line| proptest::option::of(line).boxed());
    maybe.collect::<Vec<_>>().prop_map(|lines| {
        lines
            .into_iter()
            .flatten()
            .map(|line| line + "\n")
            .collect()
    })
}

/// The keys about faults, hangs and reloads only.
fn any_recovery() -> Vec<BoxedStrategy<String>> {
    let timeout = prop_oneof![
        Just("\"never\"".to_owned()),
        (0u32..1_000_000).prop_map(|seconds| seconds.to_string()),
        (0u32..1_000_000).prop_map(|millis| format!("\"{millis}ms\"")),
    ];
    let timeout = timeout.prop_map(|timeout| format!("replacement-timeout = {timeout}"));
    let watchdog = (
        1u32..=3_600_000,
        1_000_000..=i64::MAX,
        "never|100ms|1h|75|60",
    )
        .prop_map(|(call, fuel, progress)| {
            format!(
                "watchdog = {{ call = \"{call}ms\", fuel = {fuel}, progress = \"{progress}\" }}"
            )
        });
    let reload = (0u32..=60_000, 10u32..=600_000, 0u32..=3600).prop_map(|(drain, ready, probation)| {
        format!("reload = {{ drain = \"{drain}ms\", ready = \"{ready}ms\", probation = \"{probation}s\" }}")
    });
    let reports = (0u32..=256, any::<bool>()).prop_map(|(keep, dumps)| {
        format!("crash-reports = {{ keep = {keep}, core-dumps = {dumps} }}")
    });
    vec![
        timeout.boxed(),
        watchdog.boxed(),
        reload.boxed(),
        reports.boxed(),
    ]
}

fn any_cpu() -> impl Strategy<Value = String> {
    let pin = "\\[[1-6]?[0-9], 70\\]|\"core\"|\"sibling-of:[0-9]\"|\"numa:[0-9]\"|7";
    let share = "([1-9]?[0-9]\\.[0-9][1-9]|100)%";
    let more = "|, poll = (0|\"never\"|\"20us\")|, coalesce = (0|\"never\"|\"20us\")|, priority = \"fifo:[1-9]\"|, cgroup = \"[a-z]{1,3}/[^\\pC/\"\\\\.]{1,3}\"";
    let slack = "true|false|[1-9][0-9]{0,2}";
    (pin, share, 1u32..1000, slack, more).prop_map(|(pin, share, period, slack, more)| {
        format!("cpu = {{ pin = {pin}, share = \"{share}\", period = \"{period}ms\", slack = {slack}{more} }}")
    })
}

fn any_limit() -> impl Strategy<Value = String> {
    (1u32..=10_000_000, 4096u64..=1 << 40, 10u32..=60_000).prop_map(|(iops, bytes, burst)| {
        format!("limit = {{ iops = {iops}, bytes = {bytes}, burst = \"{burst}ms\" }}")
    })
}

fn any_attach() -> impl Strategy<Value = String> {
    let device = "|device = \"/dev/nbd[1-9][0-9]?\", ";
    let timeout = "|timeout = (\"never\"|9|\"2min\"), ";
    (device, 1u32..=16, timeout, 0u32..86_400, "[^\\pC]{1,10}").prop_map(
        |(device, connections, timeout, dead, identifier)| {
            format!(
                "attach = {{ {device}{timeout}connections = {connections}, dead-timeout = {dead}, identifier = {} }}",
                quoted(&identifier)
            )
        },
    )
}

fn any_vcp() -> impl Strategy<Value = String> {
    let memory = (16u64..=65536).prop_map(|pages| format!("memory = {}", pages << 16));
    let restart = ("(always|never)", 0u32..1000, 1000u32..5000, any::<bool>()).prop_map(|(policy, low, high, spare)| {
        format!(
            "restart = {{ policy = \"{policy}\", min-run = \"{low}us\", backoff = \"{low}ms..{high}ms\", \
             limit = {high}, spare = {spare}, poison-after = {} }}",
            ["\"never\"".to_owned(), (high % 100 + 1).to_string()][usize::from(spare)]
        )
    });
    let setting =
        (any::<String>(), any::<i64>(), any::<bool>()).prop_map(|(text, number, truth)| {
            format!(
                "config = {{ a = {}, \"b.c\" = {number}, d = {truth}, x-password-file = \"/f\" }}",
                quoted(&text)
            )
        });
    let files =
        ("[^\\pC]{1,10}", "/[a-z]{1,8}", any::<bool>()).prop_map(|(host, guest, read_only)| {
            format!(
                "files = [{{ host = {}, guest = \"{guest}\", read-only = {read_only} }}]",
                quoted(&host)
            )
        });
    let net = (2u8..200, "(none|csum|tso)", 500u16.., "[^\\pC]{1,10}").prop_map(|(host, offload, mtu, pcap)| {
        format!(
            "net = {{ link = \"tap:t\", address = [\"10.0.0.{host}/24\", \"10.1.0.1/16\"], gateway = \"10.0.0.1\", \
             offload = \"{offload}\", mtu = {mtu}, pcap = {}, host-address = \"10.0.0.1/24\", mac = \"02:00:00:00:00:{host:02x}\" }}",
            quoted(&pcap)
        )
    });
    let depth = (1u32..=4096).prop_map(|depth| format!("queue-depth = {depth}"));
    let mut lines = vec![
        any_cpu().boxed(),
        memory.boxed(),
        restart.boxed(),
        setting.boxed(),
        files.boxed(),
        net.boxed(),
        depth.boxed(),
    ];
    lines.extend(any_recovery());
    some_of(lines).prop_map(|lines| format!("module = \"./x.wasm\"\n{lines}"))
}

/// Export names with characters that have a meaning in TOML, URIs or a shell.
fn any_export_name() -> impl Strategy<Value = String> {
    "[a-zÄ-ž日/:#?%&=.'\"\\\\~-]([a-zÄ-ž日/:#?%&=.'\"\\\\ ~-]{0,12}[a-zÄ-ž日/:#?%&=.'\"\\\\~-])?"
        .prop_filter("a slash in front is refused", |name| !name.starts_with('/'))
}

/// The sockets of an export, different from those of any other.
fn any_sockets() -> impl Strategy<Value = String> {
    let keys = "|\nsocket-mode = \"0?[0-7]{3}\"|\nsocket-group = \"([a-z]{1,9}|[0-9]{1,9})\"";
    keys.prop_map(|keys| keys.to_owned())
}

fn any_nbd_options() -> impl Strategy<Value = String> {
    let times = ("(never|2s|12h|77)", 100u32..=600_000, 100u32..=3_600_000);
    (1u32..=65_536, 1u32..=65_536, times, 33u64..=1 << 20).prop_map(
        |(connections, negotiations, (alive, handshake, half), memory)| {
            format!(
                "[host]\nnbd = {{ connections = {connections}, negotiations = {negotiations}, \
                 handshake = \"{handshake}ms\", keep-alive = \"{alive}\", \
                 half-request = \"{half}ms\", memory = \"{memory}MiB\" }}\n"
            )
        },
    )
}

fn any_export() -> impl Strategy<Value = String> {
    some_of(vec![
        any_limit().boxed(),
        prop_oneof![any_attach(), Just("attach = {}".to_owned())].boxed(),
        "nbd = \\[\"unix:/[a-z]{1,8}\", \"tcp:\\[::1\\]:[1-9]{1,4}\"\\]".boxed(),
        any::<bool>()
            .prop_map(|ro| format!("read-only = {ro}"))
            .boxed(),
        (33u64..=65536)
            .prop_map(|mib| format!("memory = \"{mib}MiB\""))
            .boxed(),
        "[^\\pC]{0,20}"
            .prop_map(|text| format!("description = {}", quoted(&text)))
            .boxed(),
    ])
}

proptest! {
    #[test]
    fn a_dump_reads_back(
        vcps in proptest::collection::vec((any_vcp(), any_export(), "[a-z.]{0,5}"), 1..4),
        exports in proptest::collection::btree_map(any_export_name(), any_sockets(), 0..4),
        host in prop_oneof![Just(String::new()), any_nbd_options()],
    ) {
        let mut text = host;
        for (index, (vcp, export, name)) in vcps.iter().enumerate() {
            let name = format!("{index}{name}");
            text += &format!("[vcp.\"{name}\"]\n{vcp}[export.e{index}]\nvcp = \"{name}\"\n{export}");
        }
        for (index, (name, sockets)) in exports.iter().enumerate() {
            let vcp = format!("0{}", vcps[0].2);
            text += &format!("[export.{}]\nvcp = \"{vcp}\"\nnbd = \"unix:/{index}\"{sockets}\n", quoted(name));
        }
        let config = HostConfig::parse(Path::new("a.toml"), &text)
            .map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        let dump = config.to_toml();
        let again = HostConfig::parse(Path::new("b.toml"), &dump)
            .map_err(|e| TestCaseError::fail(format!("{e}\n{dump}")))?;
        prop_assert_eq!(again, config);
    }

    #[test]
    fn a_shorthand_s_dump_reads_back(value: String, share in 1u32..=100, read_only: bool) {
        let config = HostConfig::shorthand(&Shorthand {
            module: "ramdisk".into(),
            settings: vec![format!("size={value}")],
            host: Some(format!("memory-lock=yes,core-dumps={read_only},oom-score-adjust=-{share}")),
            link: Some("pipe:p,address=fd77::2/64".into()),
            cpu: Some(format!("core,share={share}%")),
            replacement_timeout: Some(share.to_string()),
            spare: read_only,
            read_only,
            nbd: vec!["unix:/s".into()],
            export_memory: Some("34MiB".into()),
            socket_mode: Some("660".into()),
            socket_group: Some(share.to_string()),
            ..Shorthand::default()
        }).unwrap();
        prop_assert_eq!(HostConfig::parse(Path::new("b.toml"), &config.to_toml()), Ok(config));
    }

    #[test]
    fn no_text_panics(text: String, tail in "[\\[\\]{}=\".,a-z0-9 \n-]{0,80}") {
        for text in [text.clone(), tail.clone(), format!("[vcp.a]\nmodule = \"iscsi\"\n{tail}{text}")] {
            if let Err(error) = HostConfig::parse(Path::new("x"), &text) {
                prop_assert_eq!(error.to_string().lines().count(), 1);
            }
        }
    }
}
