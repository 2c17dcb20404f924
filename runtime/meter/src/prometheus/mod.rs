//! A snapshot as the text that Prometheus reads: exposition format 0.0.4,
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.
//!
//! Names and units follow Prometheus' conventions: base units (seconds, bytes),
//! `_total` for counters, one family for what can be summed over its labels.

mod text;

use crate::histogram::Histogram;
use crate::snapshot::{Export, Snapshot, Vcp};
use text::{Kind, Text, Value};

/// The states that a VCP can have; another one is shown, too.
const STATES: [&str; 7] = [
    "starting",
    "ready",
    "suspended",
    "restarting",
    "held",
    "stopping",
    "stopped",
];

/// The metrics of a host, as text.
pub fn prometheus(snapshot: &Snapshot) -> String {
    let mut text = Text::default();
    host(&mut text, snapshot);
    let vcps = &snapshot.vcps;
    states(&mut text, vcps);
    places(&mut text, vcps);
    for family in &VCP_FAMILIES {
        text.family(family.name, family.help, family.kind);
        for vcp in vcps {
            let labels = [("vcp", vcp.name.as_str())];
            text.sample(family.name, &labels, (family.value)(vcp));
        }
    }
    stalls(&mut text, vcps);
    let help = "Queue entries given to the VCP in one call.";
    histograms(&mut text, "vcp_batch_size", help, vcps, |vcp| &vcp.batches);
    let help = "Queue entries that the VCP held, each time it had run.";
    histograms(&mut text, "vcp_queue_depth", help, vcps, |vcp| &vcp.depths);
    exports(&mut text, &snapshot.exports);
    text.finish()
}

/// A family with one sample for each VCP.
struct Family<T> {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    value: fn(&T) -> Value,
}

const fn counter<T>(name: &'static str, help: &'static str, value: fn(&T) -> Value) -> Family<T> {
    let kind = Kind::Counter;
    Family {
        name,
        help,
        kind,
        value,
    }
}

const fn gauge<T>(name: &'static str, help: &'static str, value: fn(&T) -> Value) -> Family<T> {
    let kind = Kind::Gauge;
    Family {
        name,
        help,
        kind,
        value,
    }
}

const VCP_FAMILIES: [Family<Vcp>; 28] = [
    gauge("vcp_generation", "Number of the VCP's instance.", |v| {
        Value::Count(v.generation.into())
    }),
    gauge(
        "vcp_cpu_share_ratio",
        "Reserved share of one CPU; 0: nothing is reserved.",
        |v| Value::Ratio(v.budget.share),
    ),
    gauge(
        "vcp_cpu_period_seconds",
        "Time over which the share holds.",
        |v| Value::Nanos(v.budget.period_ns),
    ),
    gauge(
        "vcp_cpu_slack_weight",
        "Weight where slack is divided; 0: the VCP has none of it.",
        |v| Value::Count(v.budget.slack_weight.into()),
    ),
    counter(
        "vcp_cpu_seconds_total",
        "CPU time charged to the VCP.",
        |v| Value::Nanos(v.counters.cpu_ns),
    ),
    counter(
        "vcp_cpu_reserved_seconds_total",
        "CPU time charged to the VCP that was reserved for it.",
        |v| Value::Nanos(v.counters.cpu_reserved_ns),
    ),
    counter(
        "vcp_cpu_slack_seconds_total",
        "CPU time charged to the VCP that nobody else had reserved or used.",
        |v| Value::Nanos(v.counters.cpu_slack_ns),
    ),
    counter("vcp_fuel_total", "Fuel used by the VCP.", |v| {
        Value::Count(v.counters.fuel)
    }),
    counter("vcp_calls_total", "Calls into the VCP.", |v| {
        Value::Count(v.counters.calls)
    }),
    counter(
        "vcp_entries_total",
        "Queue entries given to the VCP.",
        |v| Value::Count(v.counters.entries),
    ),
    counter(
        "vcp_requests_completed_total",
        "Client requests answered.",
        |v| Value::Count(v.counters.completed),
    ),
    counter(
        "vcp_frames_received_total",
        "Frames that the VCP received.",
        |v| Value::Count(v.counters.frames_in),
    ),
    counter("vcp_frames_sent_total", "Frames that the VCP sent.", |v| {
        Value::Count(v.counters.frames_out)
    }),
    counter(
        "vcp_frames_dropped_total",
        "Frames dropped for want of room.",
        |v| Value::Count(v.counters.frames_dropped),
    ),
    counter(
        "vcp_read_bytes_total",
        "Bytes that clients asked to read.",
        |v| Value::Count(v.counters.read_bytes),
    ),
    counter(
        "vcp_written_bytes_total",
        "Bytes that clients asked to write.",
        |v| Value::Count(v.counters.written_bytes),
    ),
    counter("vcp_faults_total", "Instances of the VCP that died.", |v| {
        Value::Count(v.counters.faults)
    }),
    counter(
        "vcp_restarts_total",
        "Instances of the VCP that took the place of another.",
        |v| Value::Count(v.counters.restarts),
    ),
    counter(
        "vcp_low_space_total",
        "Times that the device said that the space behind it runs out.",
        |v| Value::Count(v.counters.low_space),
    ),
    gauge("vcp_clients", "Clients attached.", |v| {
        Value::Count(v.clients)
    }),
    gauge(
        "vcp_requests_unanswered",
        "Client requests not answered yet.",
        |v| Value::Count(v.unanswered),
    ),
    gauge("vcp_queue_held", "Queue entries that the VCP holds.", |v| {
        Value::Count(v.held)
    }),
    gauge(
        "vcp_queue_limit",
        "Most queue entries that the VCP may hold.",
        |v| Value::Count(v.queue_depth),
    ),
    gauge("vcp_memory_bytes", "Linear memory of the VCP.", |v| {
        Value::Count(v.memory_bytes)
    }),
    gauge(
        "vcp_memory_limit_bytes",
        "Most linear memory that the VCP may have.",
        |v| Value::Count(v.memory_limit_bytes),
    ),
    gauge(
        "vcp_processor_vcps",
        "VCPs on the same channel processor, this one among them.",
        |v| Value::Count(v.processor.beside.len() as u64 + 1),
    ),
    gauge("vcp_ready", "Whether the VCP serves.", |v| {
        Value::Count((v.state == "ready").into())
    }),
    gauge(
        "vcp_processor_pinned",
        "Whether the VCP's channel processor is kept on certain CPUs.",
        |v| Value::Count((!v.processor.cpus.is_empty()).into()),
    ),
];

const EXPORT_FAMILIES: [Family<Export>; 4] = [
    gauge(
        "vcp_export_clients",
        "Clients attached to the export.",
        |e| Value::Count(e.clients),
    ),
    counter(
        "vcp_export_requests_total",
        "Requests made to the export.",
        |e| Value::Count(e.requests),
    ),
    counter(
        "vcp_export_bytes_total",
        "Bytes that clients asked to read, write, discard or zero.",
        |e| Value::Count(e.bytes),
    ),
    counter(
        "vcp_export_limited_seconds_total",
        "Time that clients waited for the limit of the export.",
        |e| Value::Nanos(e.limited_ns),
    ),
];

fn host(text: &mut Text, snapshot: &Snapshot) {
    text.family(
        "vcp_build_info",
        "The program; the value is always 1.",
        Kind::Gauge,
    );
    text.sample(
        "vcp_build_info",
        &[("version", &snapshot.version)],
        Value::Count(1),
    );
    let process = &snapshot.process;
    for (name, help, kind, value) in [
        (
            "vcp_process_resident_memory_bytes",
            "Memory of the host in RAM.",
            Kind::Gauge,
            Value::Count(process.resident_bytes),
        ),
        (
            "vcp_process_cpu_seconds_total",
            "CPU time of the host, all threads.",
            Kind::Counter,
            Value::Nanos(process.cpu_ns),
        ),
        (
            "vcp_process_open_fds",
            "Open file descriptors of the host.",
            Kind::Gauge,
            Value::Count(process.open_fds),
        ),
        (
            "vcp_process_threads",
            "Threads of the host.",
            Kind::Gauge,
            Value::Count(process.threads),
        ),
        (
            "vcp_log_lost_total",
            "Lines of the host's log lost, as nobody read them in time.",
            Kind::Counter,
            Value::Count(snapshot.log.lost),
        ),
        (
            "vcp_log_left_out_total",
            "Messages left out of the host's log, as there were too many of their kind.",
            Kind::Counter,
            Value::Count(snapshot.log.left_out),
        ),
    ] {
        text.family(name, help, kind);
        text.sample(name, &[], value);
    }
}

fn states(text: &mut Text, vcps: &[Vcp]) {
    let name = "vcp_state";
    text.family(
        name,
        "1 for the state that the VCP is in, 0 for the others.",
        Kind::Gauge,
    );
    for vcp in vcps {
        let other = (!STATES.contains(&vcp.state.as_str())).then_some(vcp.state.as_str());
        for state in STATES.into_iter().chain(other) {
            let labels = [("vcp", vcp.name.as_str()), ("state", state)];
            text.sample(name, &labels, Value::Count((vcp.state == state).into()));
        }
    }
}

fn places(text: &mut Text, vcps: &[Vcp]) {
    let name = "vcp_module_info";
    text.family(
        name,
        "What the VCP runs; the value is always 1.",
        Kind::Gauge,
    );
    for vcp in vcps {
        let labels = [("vcp", vcp.name.as_str()), ("module", &vcp.module)];
        text.sample(name, &labels, Value::Count(1));
    }
    let name = "vcp_processor_cpu";
    text.family(name, "1 for each CPU that the VCP is kept on.", Kind::Gauge);
    for vcp in vcps {
        for cpu in &vcp.processor.cpus {
            let labels = [("vcp", vcp.name.as_str()), ("cpu", &cpu.to_string())];
            text.sample(name, &labels, Value::Count(1));
        }
    }
}

fn stalls(text: &mut Text, vcps: &[Vcp]) {
    let name = "vcp_stall_seconds_total";
    let help = "Time that the VCP or requests to it could not go on, by cause; causes overlap.";
    text.family(name, help, Kind::Counter);
    for vcp in vcps {
        for (cause, nanos) in vcp.stalls.causes() {
            let labels = [("vcp", vcp.name.as_str()), ("cause", cause)];
            text.sample(name, &labels, Value::Nanos(nanos));
        }
    }
}

fn histograms(text: &mut Text, name: &str, help: &str, vcps: &[Vcp], of: fn(&Vcp) -> &Histogram) {
    text.family(name, help, Kind::Histogram);
    for vcp in vcps {
        let sizes = of(vcp);
        let label = ("vcp", vcp.name.as_str());
        let bucket = format!("{name}_bucket");
        for (largest, count) in sizes.cumulative() {
            if let Some(largest) = largest {
                let labels = [label, ("le", &largest.to_string())];
                text.sample(&bucket, &labels, Value::Count(count));
            }
        }
        // This bucket is there even if the host counts nothing.
        text.sample(
            &bucket,
            &[label, ("le", "+Inf")],
            Value::Count(sizes.count()),
        );
        text.sample(&format!("{name}_sum"), &[label], Value::Count(sizes.sum));
        text.sample(
            &format!("{name}_count"),
            &[label],
            Value::Count(sizes.count()),
        );
    }
}

fn exports(text: &mut Text, exports: &[Export]) {
    let labels =
        |export: &'_ Export| [("export", export.name.clone()), ("vcp", export.vcp.clone())];
    for family in &EXPORT_FAMILIES {
        text.family(family.name, family.help, family.kind);
        for export in exports {
            let labels = labels(export);
            let labels = labels
                .each_ref()
                .map(|(name, value)| (*name, value.as_str()));
            text.sample(family.name, &labels, (family.value)(export));
        }
    }
    type LimitOf = fn(&Export) -> Option<u64>;
    let limits: [(&str, &str, LimitOf); 2] = [
        (
            "vcp_export_limit_requests_per_second",
            "Requests a second that the export lets through; absent: no limit.",
            |e| e.limit.iops,
        ),
        (
            "vcp_export_limit_bytes_per_second",
            "Bytes a second that the export lets through; absent: no limit.",
            |e| e.limit.bytes,
        ),
    ];
    for (name, help, limit) in limits {
        text.family(name, help, Kind::Gauge);
        for export in exports {
            if let Some(limit) = limit(export) {
                let labels = labels(export);
                let labels = labels
                    .each_ref()
                    .map(|(name, value)| (*name, value.as_str()));
                text.sample(name, &labels, Value::Count(limit));
            }
        }
    }
}
