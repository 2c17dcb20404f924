//! One of those compared: a process that serves an NBD URI, whatever it is.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use vcp_tests::client::Clients;
use vcp_tests::peer::{Nbdkit, QemuNbd};
use vcp_tests::vcp::Vcp;

use crate::process::{Process, counted};
use crate::workload::Workload;

/// How long writing all of one may take.
const FILLED: Duration = Duration::from_secs(60);

/// Arms take turns; what measures one leaves the others idle.
#[derive(Debug)]
pub struct Arm {
    name: &'static str,
    process: Process,
    uri: String,
    clients: Clients,
    span: u64,
    server: Server,
    target: Option<Process>,
}

/// What serves.
#[derive(Debug)]
pub enum Server {
    /// Anything that says its URI as `vcp` does.
    Vcp(Vcp),
    /// libiscsi.
    QemuNbd(QemuNbd),
    /// A plugin of nbdkit.
    Nbdkit(Nbdkit),
}

/// One arm, one workload, once.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Requests answered a second.
    pub requests_per_second: f64,
    /// Bytes moved a second.
    pub bytes_per_second: f64,
    /// Mean time from asking to the answer, in seconds.
    pub latency: f64,
    /// 99 of 100 answers took no longer, in seconds.
    pub p99: f64,
    /// CPU seconds of the serving process for each request.
    pub cpu_per_request: f64,
    /// CPU seconds of it for each byte.
    pub cpu_per_byte: f64,
    /// CPU seconds of it a second.
    pub cores: f64,
    /// CPU seconds of the target behind it for each request; 0 where there is none.
    pub target_per_request: f64,
    /// CPU seconds of the load itself for each request.
    pub client_per_request: f64,
}

impl Arm {
    /// Loads are on the first `span` bytes of what it serves; `dir` is for the clients'
    /// files.
    #[must_use]
    pub fn new(name: &'static str, server: Server, span: u64, dir: &Path) -> Self {
        let (pid, uri) = match &server {
            Server::Vcp(vcp) => (vcp.pid(), vcp.uri()),
            Server::QemuNbd(qemu) => (qemu.pid(), qemu.uri().to_owned()),
            Server::Nbdkit(nbdkit) => (nbdkit.pid(), nbdkit.uri().to_owned()),
        };
        Self {
            name,
            process: Process::new(pid),
            uri,
            clients: Clients::new(dir),
            span,
            server,
            target: None,
        }
    }

    /// What it asks in turn is served by this one.
    #[must_use]
    pub fn with_target(self, target: Process) -> Self {
        Self {
            target: Some(target),
            ..self
        }
    }

    /// What it is called in tables.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The process that serves.
    #[must_use]
    pub fn process(&self) -> Process {
        self.process
    }

    /// Writes all that loads are on, so that all of it has memory, or room wherever it
    /// is kept.
    ///
    /// # Panics
    /// When a request fails.
    pub fn fill(&self) {
        let span = format!("--size={}", self.span);
        // Until it is done, and not for a time.
        let once = [
            &span,
            "--time_based=0",
            "--rw=write",
            "--bs=1m",
            "--iodepth=4",
        ];
        let report = self.clients.fio(&self.uri, FILLED, &once);
        let written = number(&report["jobs"][0]["write"]["io_bytes"]);
        let name = self.name;
        assert!(
            written >= self.span as f64,
            "{name}: {written} bytes written"
        );
    }

    /// Ends it; one that can end cleanly must.
    pub fn stop(self) {
        if let Server::Vcp(vcp) = self.server {
            vcp.shut_down();
        }
    }

    /// Puts the load on for `time`.
    ///
    /// # Panics
    /// When a request fails.
    #[must_use]
    pub fn measure(&self, workload: &Workload, time: Duration) -> Sample {
        let target = || self.target.map_or(0, |target| target.cpu());
        let before = (self.process.cpu(), target());
        let begun = Instant::now();
        let report = self.fio(&[], workload, time);
        let cpu = (self.process.cpu() - before.0) as f64 / 1e9;
        let target = (target() - before.1) as f64 / 1e9;
        let wall = begun.elapsed().as_secs_f64();
        let job = &report["jobs"][0];
        let requests = sum(job, "total_ios");
        Sample {
            requests_per_second: sum(job, "iops"),
            bytes_per_second: sum(job, "bw_bytes"),
            latency: latency(job, |clat| &clat["mean"]),
            p99: latency(job, |clat| &clat["percentile"]["99.000000"]),
            cpu_per_request: cpu / requests,
            cpu_per_byte: cpu / sum(job, "io_bytes"),
            cores: cpu / wall,
            target_per_request: target / requests,
            client_per_request: own(job) / requests,
        }
    }

    /// System calls of the process for each request, with the load on for `time`;
    /// `None` where they cannot be counted. Counting takes time itself: rates are
    /// taken without.
    ///
    /// # Panics
    /// When a request fails.
    #[must_use]
    pub fn calls_per_request(&self, workload: &Workload, time: Duration) -> Option<f64> {
        let file = self.clients.dir().join("calls");
        let counting = self.process.counting(&file.display().to_string());
        let counting: Vec<&str> = counting.iter().map(String::as_str).collect();
        let report = self.fio(&counting, workload, time);
        let calls = counted(&std::fs::read_to_string(file).ok()?)?;
        Some(calls / sum(&report["jobs"][0], "total_ios"))
    }

    fn fio(&self, under: &[&str], workload: &Workload, time: Duration) -> Value {
        let [pattern, block, depth] = workload.arguments();
        let span = format!("--size={}", self.span);
        let arguments = [&pattern, &block, &depth, &span].map(String::as_str);
        let report = self.clients.fio_under(under, &self.uri, time, &arguments);
        let job = &report["jobs"][0];
        assert_eq!(job["error"], 0, "{}: fio: {job}", self.name);
        let requests = sum(job, "total_ios");
        assert!(requests > 0.0, "{}: {workload}: no answer", self.name);
        report
    }
}

/// CPU seconds of the load itself.
fn own(job: &Value) -> f64 {
    let percent = number(&job["usr_cpu"]) + number(&job["sys_cpu"]);
    percent / 100.0 * number(&job["job_runtime"]) / 1e3
}

/// Reads and writes together.
fn sum(job: &Value, figure: &str) -> f64 {
    number(&job["read"][figure]) + number(&job["write"][figure])
}

/// Of the direction that has one, or the mean by requests of both.
fn latency<'a>(job: &'a Value, of: impl Fn(&'a Value) -> &'a Value) -> f64 {
    let directions = ["read", "write"].map(|direction| &job[direction]);
    let total = sum(job, "total_ios");
    let each = directions.into_iter().filter_map(|direction| {
        let requests = number(&direction["total_ios"]);
        (requests > 0.0).then(|| number(of(&direction["clat_ns"])) * requests / total)
    });
    each.sum::<f64>() / 1e9
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("fio reports a number")
}
