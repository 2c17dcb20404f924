//! A host with figures that are all different.

use vcp_meter::{
    Budget, Counters, Export, Histogram, Limit, Log, Process, Processor, Snapshot, Stalls, Vcp,
};

/// A snapshot after this many seconds of a steady load.
pub(crate) fn snapshot(seconds: u64) -> Snapshot {
    Snapshot {
        version: "1.2.3".into(),
        pid: 4711,
        unix_ms: 1_795_000_000_000 + seconds * 1000,
        monotonic_ns: 77_000_000_000 + seconds * 1_000_000_000,
        process: Process {
            resident_bytes: 120 << 20,
            cpu_ns: seconds * 452_000_000,
            open_fds: 34,
            threads: 9,
        },
        log: Log {
            lost: 12,
            left_out: seconds,
        },
        vcps: vec![
            vcp("disk0", "ready", seconds),
            vcp("back\\slash \"quoted\"\nline", "held", 0),
        ],
        exports: vec![Export {
            name: "disk0-ro".into(),
            vcp: "disk0".into(),
            clients: 3,
            requests: seconds * 900,
            bytes: seconds << 20,
            limit: Limit {
                iops: Some(1000),
                bytes: None,
                burst_ns: 1_000_000_000,
            },
            limited_ns: seconds * 123_456_789,
        }],
    }
}

fn vcp(name: &str, state: &str, seconds: u64) -> Vcp {
    Vcp {
        name: name.into(),
        state: state.into(),
        generation: 4,
        module: "./disk.wasm".into(),
        processor: Processor {
            cpus: vec![1],
            beside: vec!["disk1".into()],
        },
        budget: Budget {
            share: 3333,
            period_ns: 10_000_000,
            slack_weight: 33,
        },
        counters: Counters {
            cpu_ns: seconds * 298_000_000,
            cpu_reserved_ns: seconds * 290_000_000,
            cpu_slack_ns: seconds * 8_000_000,
            fuel: seconds * 5_000_000_000,
            calls: seconds * 400,
            entries: seconds * 1000,
            completed: seconds * 950,
            frames_in: seconds * 11,
            frames_out: seconds * 12,
            frames_dropped: seconds,
            read_bytes: seconds * 2_500_000,
            written_bytes: seconds * 1_000_000,
            faults: 5,
            restarts: 3,
            low_space: 2,
        },
        stalls: Stalls {
            throttled_ns: seconds * 420_000_000,
            waiting_ns: seconds * 17_000_000,
            limited_ns: 1,
            queue_full_ns: 2,
            no_instance_ns: 1_500_000_000,
        },
        clients: 2,
        unanswered: 31,
        held: 27,
        queue_depth: 128,
        batches: Histogram::new([0, 4, 3, 2, 1], 25),
        depths: Histogram::new([7, 0, 0, 1], 5),
        memory_bytes: 48 << 20,
        memory_limit_bytes: 64 << 20,
    }
}
