//! A load that verifies itself and runs beside the test: fio writes blocks that
//! carry their checksum, reads among them, and reads them again.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::process::{Running, command};

/// A running fio.
#[derive(Debug)]
pub struct Load {
    fio: Running,
    time: Duration,
}

/// How long fio may take beyond its time, to read what it wrote, however slow the
/// machine.
const EXTRA: Duration = Duration::from_secs(120);

impl Load {
    /// Blocks of 4 to 256 KiB, 32 at a time, for `time` of whole seconds.
    #[must_use]
    pub fn start(dir: &Path, uri: &str, time: Duration) -> Self {
        Self::with(dir, uri, time, &[])
    }

    /// The same in the first `size` bytes.
    #[must_use]
    pub fn start_within(dir: &Path, uri: &str, time: Duration, size: u64) -> Self {
        Self::with(dir, uri, time, &[format!("--size={size}")])
    }

    fn with(dir: &Path, uri: &str, time: Duration, more: &[String]) -> Self {
        let mut fio = command("fio");
        fio.args([
            "--name=load",
            // Jobs that are processes outlive a fio that is killed, and then load a
            // machine for nothing.
            "--thread",
            "--ioengine=nbd",
            "--output-format=json",
            "--time_based",
            "--rw=randrw",
            "--rwmixread=30",
            "--bsrange=4k-256k",
            "--bs_unaligned=0",
            "--blockalign=4k",
            "--iodepth=32",
            "--verify=crc32c",
            "--verify_fatal=1",
            "--verify_backlog=256",
            "--random_generator=tausworthe64",
        ]);
        fio.arg(format!("--runtime={}", time.as_secs()))
            .arg(format!("--uri={uri}"))
            .args(more)
            .current_dir(dir);
        Self {
            fio: Running::start(fio, dir, "fio"),
            time,
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.fio.ended().is_none()
    }

    /// Waits for its end, which must be a good one; its report of the job.
    ///
    /// # Panics
    /// When a request or a checksum failed, or nothing was done.
    pub fn finish(self) -> Value {
        let output = self.fio.outcome(self.time + EXTRA).expect_success("fio");
        // Notes come before the report when there are any.
        let json = &output[output.find('{').unwrap_or(0)..];
        let report: Value = serde_json::from_str(json)
            .unwrap_or_else(|error| panic!("fio's report: {error}\n{output}"));
        let job = report["jobs"][0].clone();
        assert_eq!(job["error"], 0, "fio: {job}");
        for direction in ["read", "write"] {
            assert!(
                job[direction]["total_ios"].as_u64() > Some(0),
                "fio did no {direction}: {job}"
            );
        }
        job
    }
}
