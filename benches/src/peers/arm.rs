//! One of those compared: a process that serves an NBD URI.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use vcp_tests::client::Clients;

use crate::sample::Sample;
use crate::workload::Workload;

/// Of /proc/PID/stat, which counts in these on every Linux architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// See the module.
#[derive(Debug)]
pub(crate) struct Arm {
    name: &'static str,
    pid: u32,
    uri: String,
    clients: Clients,
}

impl Arm {
    pub(crate) fn new(name: &'static str, pid: u32, uri: &str, dir: &Path) -> Self {
        Self {
            name,
            pid,
            uri: uri.to_owned(),
            clients: Clients::new(dir),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Puts the load on for `time`.
    pub(crate) fn measure(&self, workload: &Workload, time: Duration) -> Sample {
        let arguments = workload.arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let before = self.cpu_seconds();
        let begun = Instant::now();
        let report = self.clients.fio(&self.uri, time, &arguments);
        let cpu = self.cpu_seconds() - before;
        let wall = begun.elapsed().as_secs_f64();
        let job = &report["jobs"][0];
        assert_eq!(job["error"], 0, "fio: {job}");
        let sum = |figure: &str| number(&job["read"][figure]) + number(&job["write"][figure]);
        let requests = sum("total_ios");
        Sample {
            requests_per_second: sum("iops"),
            bytes_per_second: sum("bw_bytes"),
            cpu_per_request: cpu / requests,
            cores: cpu / wall,
        }
    }

    /// User and system time of the process and all its threads.
    fn cpu_seconds(&self) -> f64 {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).expect("the process runs");
        // The second field is a name in parentheses that may hold anything.
        let after_name = stat.rsplit_once(')').expect("a name").1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |index: usize| fields[index].parse::<f64>().expect("a number");
        (ticks(11) + ticks(12)) / TICKS_PER_SECOND
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("fio reports a number")
}
