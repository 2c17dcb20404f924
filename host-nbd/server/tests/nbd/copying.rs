//! Whole images copied in and out, by several programs and several connections.

use crate::disk::Disk;
use crate::host::{Host, TestExport};
use crate::requires;
use crate::tool::{image, run};
use vcp_nbd::{Address, ServerOptions};

const SIZE: usize = 48 << 20;

fn host() -> Host {
    let disk = || TestExport::new(Disk::new(SIZE as u64, 512));
    Host::new([("disk", disk()), ("copy", disk())])
}

fn same(a: &std::path::Path, b: &std::path::Path) {
    assert!(
        std::fs::read(a).unwrap() == std::fs::read(b).unwrap(),
        "the copies differ"
    );
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn nbdcopy_both_ways() {
    requires!("nbdcopy");
    let host = host();
    let (source, back) = (host.file("source"), host.file("back"));
    image(&source, SIZE);
    for requests in ["--requests=1", "--requests=64"] {
        let connections = "--connections=4";
        run(
            "nbdcopy",
            &[connections, requests, text(&source), &host.uri("disk")],
        );
        run(
            "nbdcopy",
            &[connections, requests, &host.uri("disk"), &host.uri("copy")],
        );
        run(
            "nbdcopy",
            &[connections, requests, &host.uri("copy"), text(&back)],
        );
        same(&source, &back);
    }
    for export in ["disk", "copy"] {
        for ending in host.endings(export) {
            assert_eq!(ending, "disconnected");
        }
    }
}

#[test]
fn nbdcopy_over_tcp_and_with_large_requests() {
    requires!("nbdcopy");
    let disk = TestExport::new(Disk::new(SIZE as u64, 4096));
    let address = Address::Tcp {
        host: "127.0.0.1".into(),
        port: 0,
    };
    let host = Host::with(Some(address), ServerOptions::default(), [("disk", disk)]).unwrap();
    let (source, back) = (host.file("source"), host.file("back"));
    image(&source, SIZE);
    let size = "--request-size=33554432";
    run(
        "nbdcopy",
        &["--connections=2", size, text(&source), &host.uri("")],
    );
    run(
        "nbdcopy",
        &["--connections=2", size, &host.uri(""), text(&back)],
    );
    same(&source, &back);
}

#[test]
fn qemu_img_converts_and_compares() {
    requires!("qemu-img");
    let host = host();
    let (source, back) = (host.file("source"), host.file("back.qcow2"));
    image(&source, SIZE);
    let (disk, source) = (host.uri("disk"), text(&source));
    run(
        "qemu-img",
        &[
            "convert", "-n", "-f", "raw", "-O", "raw", "-W", "-m", "8", source, &disk,
        ],
    );
    run(
        "qemu-img",
        &["compare", "-f", "raw", "-F", "raw", source, &disk],
    );
    run(
        "qemu-img",
        &["convert", "-f", "raw", "-O", "qcow2", &disk, text(&back)],
    );
    run(
        "qemu-img",
        &["compare", "-f", "raw", "-F", "qcow2", source, text(&back)],
    );
}

#[test]
fn fio_verifies() {
    requires!("fio");
    let host = host();
    let uri = format!("--uri={}", host.uri("disk"));
    let report = run(
        "fio",
        &[
            "--name=mix",
            "--ioengine=nbd",
            &uri,
            "--rw=randrw",
            "--bsrange=512-1m",
            "--bs_unaligned=0",
            "--iodepth=32",
            "--size=48m",
            "--io_size=96m",
            "--fsync=64",
            "--verify=crc32c",
            "--verify_fatal=1",
            "--verify_backlog=256",
            "--verify_state_save=0",
            "--randseed=7",
            "--output-format=json",
        ],
    );
    let report = &report[report.find('{').unwrap()..];
    let report: serde_json::Value = serde_json::from_str(report).unwrap();
    let job = &report["jobs"][0];
    assert_eq!(job["error"], 0);
    assert!(job["write"]["total_ios"].as_u64().unwrap() > 10, "{job}");
    assert!(job["read"]["total_ios"].as_u64().unwrap() > 10, "{job}");
}
