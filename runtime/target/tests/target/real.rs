//! Real initiators over loopback TCP: libiscsi's tools and qemu's block driver.

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;

use vcp_target::Target;
use vcp_target::chap::{Chap, Credentials};
use vcp_target::config::{DigestPolicy, TargetConfig, TargetNode};
use vcp_target::disk::{FileDisk, SparseMemory};
use vcp_target::lun::{LogicalUnit, Node, UnitOptions};
use vcp_target::serve::{TcpServer, serve_tcp};

use crate::client::{Change, NAME, pattern, target_of};

/// Whether the programs that a test needs are installed. A test that does not run says
/// so, and fails where everything is supposed to be installed.
fn has(test: &str, programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |program: &str| std::env::split_paths(&path).any(|dir| dir.join(program).exists());
    let Some(missing) = programs.iter().find(|program| !found(program)) else {
        return true;
    };
    println!("skipped: {test} needs {missing}");
    assert_ne!(
        std::env::var("CI").as_deref(),
        Ok("true"),
        "{test} needs {missing}"
    );
    false
}

fn serve(target: &Arc<Target>) -> (TcpServer, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = serve_tcp(listener, Arc::clone(target)).unwrap();
    let address = server.address().to_string();
    (server, address)
}

fn memory(size: u64, block_size: u32) -> Arc<LogicalUnit> {
    let options = UnitOptions {
        block_size,
        ..UnitOptions::default()
    };
    Arc::new(LogicalUnit::new(Box::new(SparseMemory::new(size)), options).unwrap())
}

/// Runs a program for a minute at most; returns its output, and whether it succeeded.
fn run(program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("timeout")
        .arg("60")
        .arg(program)
        .args(arguments)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

fn must(program: &str, arguments: &[&str]) -> String {
    let (ok, text) = run(program, arguments);
    assert!(ok, "{program} {arguments:?}: {text}");
    text
}

/// The violations except libiscsi's known one: it takes the StatSN of an R2T as used up,
/// and expects the next one.
fn violations(target: &Target) -> Vec<String> {
    let all = target
        .violations()
        .into_iter()
        .map(|violation| violation.text);
    all.filter(|text| !text.starts_with("ExpStatSN")).collect()
}

#[test]
fn libiscsi_tools_see_the_disk() {
    if !has(
        "libiscsi_tools_see_the_disk",
        &["iscsi-ls", "iscsi-inq", "iscsi-readcapacity16"],
    ) {
        return;
    }
    let target = target_of(&memory(3 << 40, 4096), |_| ());
    let (_server, address) = serve(&target);
    let list = must("iscsi-ls", &["-s", &format!("iscsi://{address}/")]);
    assert!(
        list.contains(NAME) && list.contains("DIRECT_ACCESS"),
        "{list}"
    );
    let url = format!("iscsi://{address}/{NAME}/0");
    let inquiry = must("iscsi-inq", &[&url]);
    assert!(inquiry.contains("VIRTUAL-DISK"), "{inquiry}");
    for page in ["0", "0x80", "0x83", "0xb0", "0xb1", "0xb2"] {
        must("iscsi-inq", &["-e", "1", "-c", page, &url]);
    }
    let capacity = must("iscsi-readcapacity16", &[&url]);
    assert!(
        capacity.contains(&format!("Total size:{}", 3_u64 << 40)),
        "{capacity}"
    );
    assert!(capacity.contains("BYTES:4096"), "{capacity}");
    assert_eq!(violations(&target), Vec::<String>::new());
}

#[test]
fn qemu_img_copies_in_and_out() {
    if !has("qemu_img_copies_in_and_out", &["qemu-img"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (source, back) = (path("source"), path("back"));
    let mut image = vec![0; 24 << 20];
    image[3 << 20..15 << 20].copy_from_slice(&pattern(12 << 20));
    image[20 << 20..][..512].fill(7);
    std::fs::write(&source, &image).unwrap();
    let size = image.len() as u64;
    let file = || {
        let disk = FileDisk::open(&directory.path().join("disk"), size).unwrap();
        Arc::new(LogicalUnit::new(Box::new(disk), UnitOptions::default()).unwrap())
    };
    let configs: [(Arc<LogicalUnit>, Change<TargetConfig>); 5] = [
        (memory(size, 512), |_| ()),
        (memory(size, 4096), |c| c.policy.initial_r2t = true),
        (memory(size, 512), |c| {
            c.policy.immediate_data = false;
            c.policy.max_burst = 16384;
            c.policy.first_burst = 512;
            c.policy.max_recv_data_segment = 8192;
        }),
        (memory(size, 512), |c| c.policy.collapse_status = false),
        (file(), |c| c.policy.command_window = 3),
    ];
    for (unit, change) in configs {
        let target = target_of(&unit, change);
        let (_server, address) = serve(&target);
        let url = format!("iscsi://{address}/{NAME}/0");
        must(
            "qemu-img",
            &["convert", "-n", "-f", "raw", "-O", "raw", &source, &url],
        );
        must(
            "qemu-img",
            &["convert", "-f", "raw", "-O", "raw", &url, &back],
        );
        assert!(std::fs::read(&back).unwrap() == image);
        let mut held = vec![0; image.len()];
        unit.disk().read_at(0, &mut held).unwrap();
        assert!(held == image);
        assert_eq!(violations(&target), Vec::<String>::new());
    }
}

#[test]
fn qemu_io_reaches_every_command() {
    if !has("qemu_io_reaches_every_command", &["qemu-io"]) {
        return;
    }
    let unit = memory(3 << 40, 512);
    let target = target_of(&unit, |_| ());
    let (_server, address) = serve(&target);
    let end = (3_u64 << 40) - (1 << 20);
    let steps = [
        "write -P 0x55 1M 3M".to_owned(),
        "discard 2M 1M".to_owned(),
        "read -P 0 2M 1M".to_owned(),
        "read -P 0x55 3M 1M".to_owned(),
        "write -z -u 1M 512k".to_owned(),
        "write -z 1536k 64k".to_owned(),
        "read -P 0 1M 576k".to_owned(),
        "write -f -P 0x77 512 512".to_owned(),
        "flush".to_owned(),
        format!("write -P 0x99 {end} 1M"),
        format!("read -P 0x99 {end} 1M"),
    ];
    let url = format!("iscsi://{address}/{NAME}/0");
    let mut arguments = vec!["-f", "raw"];
    steps.iter().for_each(|step| arguments.extend(["-c", step]));
    arguments.push(&url);
    let text = must("qemu-io", &arguments);
    assert!(
        !text.contains("failed") && !text.contains("error"),
        "{text}"
    );
    let mut last = [0; 512];
    unit.disk().read_at((3 << 40) - 512, &mut last).unwrap();
    assert_eq!(last, [0x99; 512]);
    assert_eq!(violations(&target), Vec::<String>::new());
}

#[test]
fn read_only_units_stay_as_they_are() {
    if !has("read_only_units_stay_as_they_are", &["qemu-io"]) {
        return;
    }
    let options = UnitOptions {
        read_only: true,
        ..UnitOptions::default()
    };
    let disk = Box::new(SparseMemory::new(1 << 20));
    let unit = Arc::new(LogicalUnit::new(disk, options).unwrap());
    let target = target_of(&unit, |_| ());
    let (_server, address) = serve(&target);
    let url = format!("iscsi://{address}/{NAME}/0");
    must(
        "qemu-io",
        &["-r", "-f", "raw", "-c", "read -P 0 0 1M", &url],
    );
    assert!(!run("qemu-io", &["-f", "raw", "-c", "write -P 1 0 512", &url]).0);
    assert_eq!(violations(&target), Vec::<String>::new());
}

#[test]
fn libiscsi_authenticates_itself() {
    if !has("libiscsi_authenticates_itself", &["iscsi-inq"]) {
        return;
    }
    let chap = Chap::new(Credentials::new("user", "longer than twelve"));
    let target = target_of(&memory(1 << 20, 512), |c| c.chap = Some(chap));
    let (_server, address) = serve(&target);
    let inquiry = |who: &str| run("iscsi-inq", &[&format!("iscsi://{who}{address}/{NAME}/0")]);
    let right = inquiry("user%longer than twelve@");
    assert!(right.0, "{}", right.1);
    for wrong in ["", "user%longer than eleven@", "other%longer than twelve@"] {
        assert!(!inquiry(wrong).0, "{wrong}");
    }
    assert_eq!(violations(&target), Vec::<String>::new());
}

#[test]
fn libiscsi_proves_and_asks_for_proof() {
    if !has("libiscsi_proves_and_asks_for_proof", &["iscsi-inq"]) {
        return;
    }
    let secret = "the target's own";
    let target_credentials = Some(Credentials::new("disk", secret));
    let chap = Chap {
        target: target_credentials,
        ..Chap::new(Credentials::new("user", "longer than twelve"))
    };
    let target = target_of(&memory(1 << 20, 512), |c| c.chap = Some(chap));
    let (_server, address) = serve(&target);
    let url = format!("iscsi://user%longer than twelve@{address}/{NAME}/0");
    let inquiry = |secret: &str| {
        let mut command = Command::new("timeout");
        command.args(["60", "iscsi-inq", &url]);
        command.env("LIBISCSI_CHAP_TARGET_USERNAME", "disk");
        command.env("LIBISCSI_CHAP_TARGET_PASSWORD", secret);
        command.output().unwrap().status.success()
    };
    assert!(inquiry(secret));
    assert!(!inquiry("some other secret"));
}

#[test]
fn qemu_takes_digests() {
    if !has("qemu_takes_digests", &["qemu-io"]) {
        return;
    }
    let target = target_of(&memory(16 << 20, 512), |c| {
        c.policy.header_digest = DigestPolicy::Required;
    });
    let (_server, address) = serve(&target);
    let options = format!(
        "driver=iscsi,transport=tcp,portal={address},target={NAME},lun=0,header-digest=crc32c"
    );
    let image = format!("driver=raw,file.{}", options.replace(',', ",file."));
    let steps = ["-c", "write -P 3 0 2M", "-c", "read -P 3 0 2M"];
    must(
        "qemu-io",
        &[&["--image-opts"][..], &steps, &[image.as_str()]].concat(),
    );
    assert_eq!(violations(&target), Vec::<String>::new());
}

/// One family of libiscsi's own conformance tests.
fn conforms(test: &str, family: &str, block_size: u32) {
    if !has(test, &["iscsi-test-cu"]) {
        return;
    }
    let target = target_of(&memory(1 << 30, block_size), |_| ());
    let (_server, address) = serve(&target);
    let url = format!("iscsi://{address}/{NAME}/0");
    let text = must("iscsi-test-cu", &["-d", "-f", "-n", "-t", family, &url]);
    let summary = text
        .lines()
        .find(|line| line.trim_start().starts_with("asserts"));
    let summary: Vec<_> = summary.unwrap().split_whitespace().collect();
    assert!(summary[1] != "0" && summary[4] == "0", "{text}");
}

#[test]
fn libiscsi_finds_no_fault_with_scsi() {
    conforms("libiscsi_finds_no_fault_with_scsi", "SCSI", 512);
}

#[test]
fn libiscsi_finds_no_fault_with_large_blocks() {
    conforms("libiscsi_finds_no_fault_with_large_blocks", "SCSI", 4096);
}

#[test]
fn libiscsi_finds_no_fault_with_iscsi() {
    conforms("libiscsi_finds_no_fault_with_iscsi", "iSCSI", 512);
}

#[test]
fn several_units_and_nodes() {
    if !has("several_units_and_nodes", &["iscsi-ls"]) {
        return;
    }
    let mut units = Node::default();
    units.insert(1, memory(1 << 20, 512));
    units.insert(300, memory(2 << 20, 512));
    let mut config = TargetConfig::default();
    config.nodes.push(TargetNode::new(NAME, units.clone()));
    config
        .nodes
        .push(TargetNode::new("iqn.2026-11.example:second", units));
    let target = Target::new(config);
    let (_server, address) = serve(&target);
    let list = must("iscsi-ls", &["-s", &format!("iscsi://{address}/")]);
    // This is number 300 as libiscsi prints it: with the bits of flat addressing.
    for wanted in ["example:disk", "example:second", "Lun:1 ", "Lun:16684 "] {
        assert!(list.contains(wanted), "{list}");
    }
}
