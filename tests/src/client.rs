//! Stock NBD clients, on whatever an NBD URI leads to.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::image;
use crate::process::{command, run};
use crate::scale::Scale;
use crate::tgtd::Lun;

/// Clients that keep their files in one directory.
#[derive(Debug, Clone)]
pub struct Clients {
    dir: PathBuf,
    scale: Scale,
}

impl Clients {
    /// With scratch files in `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            scale: Scale::from_env(),
        }
    }

    /// `qemu-img convert` of an image in and out again; equal, and equal too in
    /// the target's own file.
    pub fn convert_both_ways(&self, uri: &str, lun: &Lun) {
        let [image, back] = self.images("convert", lun.size, 1);
        self.qemu_img(&[
            "convert",
            "-n",
            "-f",
            "raw",
            "-O",
            "raw",
            &text(&image),
            uri,
        ]);
        image::assert_equal(&image, &lun.file);
        self.qemu_img(&["compare", "-f", "raw", "-F", "raw", &text(&image), uri]);
        self.qemu_img(&["convert", "-f", "raw", "-O", "raw", uri, &text(&back)]);
        image::assert_equal(&image, &back);
        discard([image, back]);
    }

    /// `nbdcopy` of an image in and out again; equal.
    pub fn copy_both_ways(&self, uri: &str, lun: &Lun) {
        let [image, back] = self.images("nbdcopy", lun.size, 2);
        self.succeed("nbdcopy", &["--flush", &text(&image), uri]);
        image::assert_equal(&image, &lun.file);
        self.succeed("nbdcopy", &[uri, &text(&back)]);
        image::assert_equal(&image, &back);
        discard([image, back]);
    }

    /// `fio` writes blocks of 4 KiB to 1 MiB that carry their checksum, 32 at a
    /// time, reads among them, and reads all of it again.
    pub fn verify_load(&self, uri: &str) {
        let report = self.fio(
            uri,
            self.scale.load,
            &[
                "--rw=randrw",
                "--rwmixread=30",
                "--bsrange=4k-1m",
                "--bs_unaligned=0",
                "--blockalign=4k",
                "--iodepth=32",
                "--verify=crc32c",
                "--verify_fatal=1",
                "--verify_backlog=256",
                "--random_generator=tausworthe64",
            ],
        );
        let job = &report["jobs"][0];
        assert_eq!(job["error"], 0, "fio: {job}");
        let written = job["write"]["total_ios"].as_u64().unwrap_or(0);
        let read = job["read"]["total_ios"].as_u64().unwrap_or(0);
        assert!(
            written > 0 && read > 0,
            "fio did nothing: {written} writes, {read} reads"
        );
    }

    /// Where it keeps its files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs fio's nbd engine for `time`; its report.
    ///
    /// # Panics
    /// When it fails or does not end.
    #[must_use]
    pub fn fio(&self, uri: &str, time: Duration, arguments: &[&str]) -> Value {
        self.fio_under(&[], uri, time, arguments)
    }

    /// The same with fio as the last arguments of another program's command line,
    /// such as one that observes something meanwhile.
    ///
    /// # Panics
    /// When it fails or does not end.
    #[must_use]
    pub fn fio_under(
        &self,
        under: &[&str],
        uri: &str,
        time: Duration,
        arguments: &[&str],
    ) -> Value {
        let runtime = format!("--runtime={}ms", time.as_millis());
        let program = *under.first().unwrap_or(&"fio");
        let mut fio = command(program);
        if let [_, rest @ ..] = under {
            fio.args(rest).arg("fio");
        }
        fio.args([
            "--name=load",
            "--thread",
            "--ioengine=nbd",
            "--output-format=json",
            "--time_based",
            &runtime,
        ]);
        fio.arg(format!("--uri={uri}"))
            .args(arguments)
            .current_dir(&self.dir);
        let output = self.succeed_as("fio", fio, time * 4);
        // Notes come before the report when there are any.
        let json = &output[output.find('{').unwrap_or(0)..];
        serde_json::from_str(json).unwrap_or_else(|error| panic!("fio's report: {error}\n{output}"))
    }

    /// What `nbdinfo` sees of one export.
    #[must_use]
    pub fn info(&self, uri: &str) -> Value {
        let output = self.succeed("nbdinfo", &["--json", uri]);
        let info: Value = serde_json::from_str(&output).expect("nbdinfo prints JSON");
        info["exports"][0].clone()
    }

    /// Size, block sizes and flags are those of the LUN.
    pub fn check_info(&self, uri: &str, lun: &Lun) {
        let export = self.info(uri);
        assert_eq!(export["export-size"], lun.size, "{export}");
        assert_eq!(export["is_read_only"], lun.read_only, "{export}");
        assert_eq!(export["can_flush"], true, "{export}");
        assert_eq!(export["can_multi_conn"], true, "{export}");
        assert!(lun.read_only || export["can_fua"] == true, "{export}");
        for able in ["can_trim", "can_zero"] {
            assert_eq!(export[able], !lun.read_only, "{able} of {export}");
        }
        let preferred = export["block_size_preferred"]
            .as_u64()
            .expect("a preferred block size");
        let minimum = export["block_size_minimum"]
            .as_u64()
            .expect("a minimum block size");
        assert!(
            preferred >= u64::from(lun.sector) && preferred.is_power_of_two(),
            "{export}"
        );
        assert!(
            minimum <= u64::from(lun.sector) && minimum.is_power_of_two(),
            "{export}"
        );
        let maximum = export["block_size_maximum"]
            .as_u64()
            .expect("a maximum block size");
        assert!(maximum >= 1 << 20, "{export}");
    }

    /// `qemu-io` commands on an export, all of which must succeed; a `read -P`
    /// whose bytes are others does not, whatever the exit code.
    ///
    /// # Panics
    /// When one fails.
    pub fn qemu_io(&self, uri: &str, commands: &[&str]) {
        let mut arguments = vec!["-f", "raw"];
        for command in commands {
            arguments.extend(["-c", command]);
        }
        arguments.push(uri);
        let said = self.succeed("qemu-io", &arguments);
        assert!(
            !said.to_lowercase().contains("failed"),
            "qemu-io {commands:?}: {said}"
        );
    }

    /// A script with libnbd: `h` is a handle that is not connected, `URI` the
    /// export's address. What it prints; an exception is a failure.
    pub fn script(&self, uri: &str, script: &str) -> String {
        let prelude = format!("import nbd\nURI = {uri:?}\nh = nbd.NBD()\n");
        // Debian's own interpreter: another first on PATH has no libnbd.
        self.succeed("/usr/bin/python3", &["-c", &format!("{prelude}{script}")])
    }

    /// A client program that must succeed; its output.
    pub fn succeed(&self, program: &str, arguments: &[&str]) -> String {
        let mut client = command(program);
        client.args(arguments);
        self.succeed_as(program, client, Duration::ZERO)
    }

    fn qemu_img(&self, arguments: &[&str]) {
        self.succeed("qemu-img", arguments);
    }

    fn succeed_as(&self, what: &str, client: Command, extra: Duration) -> String {
        let line = format!("{what} {:?}", client.get_args().skip(4).collect::<Vec<_>>());
        run(client, &self.dir, self.scale.limit() + extra).expect_success(&line)
    }

    /// An image to write and the name of another to read back into.
    fn images(&self, name: &str, size: u64, seed: u64) -> [PathBuf; 2] {
        let image = self.dir.join(format!("{name}.raw"));
        image::write(&image, size, seed);
        [image, self.dir.join(format!("{name}-back.raw"))]
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn discard(files: [PathBuf; 2]) {
    for file in files {
        let _ = std::fs::remove_file(file);
    }
}
