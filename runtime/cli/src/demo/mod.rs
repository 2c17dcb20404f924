//! `vcp demo`: the whole path in one process. An embedded iSCSI target at one
//! end of an in-memory wire, the iSCSI VCP at the other, its disk served by NBD,
//! written and read back through it while the VCP is killed.
//!
//! Everything is real but the wire: the login, TCP, the crashes and the replay
//! are what they are on a network.

mod client;
mod progress;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use vcp_config::{HostConfig, NbdAddress, Shorthand};
use vcp_core::Vcp;
use vcp_queue::{Link, LinkProperties};
use vcp_target::Target;
use vcp_target::config::{TargetConfig, TargetNode};
use vcp_target::disk::SparseMemory;
use vcp_target::lun::{LogicalUnit, Node, UnitOptions};
use vcp_target::serve::{LinkOptions, LinkServer, serve_link};

use crate::args::DemoArguments;
use crate::ask::print;
use crate::host::Host;
use crate::link::Pipes;
use crate::service::Ending;
use client::Client;
use progress::Progress;

const TARGET_NAME: &str = "iqn.2026-11.example.vcp:demo";
const TARGET_ADDRESS: &str = "10.77.0.1";
const EXPORT: &str = "demo";
/// The size of one request in bytes, and the number in flight.
const CHUNK: usize = 256 << 10;
const DEPTH: usize = 16;

pub(crate) fn run(arguments: &DemoArguments) -> Result<ExitCode> {
    let size = arguments.size.bytes();
    if size == 0 || !size.is_multiple_of(CHUNK as u64) {
        let why = format!(
            "--size: expected a multiple of 256KiB, found {}",
            arguments.size
        );
        return Err(crate::args::Usage(why).into());
    }
    let outcome = crate::run::runtime()?.block_on(demonstrate(size, arguments));
    match outcome {
        Ok(()) => {
            print("PASS\n")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            // The error is more important than this line.
            let _ = print("FAIL\n");
            Err(error)
        }
    }
}

async fn demonstrate(size: u64, arguments: &DemoArguments) -> Result<()> {
    let (near, far) = vcp_link::pipe(properties(), vcp_link::random_mac())
        .context("making the in-memory wire")?;
    let _target = target(far, size)?;
    print(&format!(
        "target   {TARGET_NAME} at {TARGET_ADDRESS}, LUN 0, in memory\n"
    ))?;

    let directory = tempfile::tempdir().context("making a directory for the socket")?;
    let socket = directory.path().join("demo.sock");
    let mut pipes = Pipes::default();
    pipes.0.insert("demo".to_owned(), Box::new(near));
    let began = Instant::now();
    let host = Host::start(&configuration(&socket, arguments)?, &mut pipes, "demo").await?;
    host.ready().await?;
    let device = host.device(EXPORT).context("the demo's VCP is missing")?;
    print(&format!(
        "VCP      {EXPORT}: module iscsi, logged in and ready after {:.0} ms\nexport   {}\n",
        began.elapsed().as_secs_f64() * 1e3,
        host.uris().next().unwrap_or_default()
    ))?;

    let vcp = Arc::clone(&device.vcp);
    let crashes = arguments.crashes;
    let work = tokio::task::spawn_blocking(move || exercise(&socket, &vcp, size, crashes));
    let outcome = work.await.context("the demo's client")?;
    let stopped = host.stop(Ending::Unknown).await;
    outcome.and_then(|outcome| stopped.map(|()| outcome))
}

fn properties() -> LinkProperties {
    LinkProperties {
        mac: vcp_link::random_mac(),
        mtu: 1500,
        checksum_offload: true,
        segmentation_offload: true,
    }
}

/// An iSCSI target with one unit, at the far end of the wire.
fn target(link: impl Link + 'static, size: u64) -> Result<LinkServer> {
    let unit = LogicalUnit::new(Box::new(SparseMemory::new(size)), UnitOptions::default())
        .context("making the target's disk")?;
    let mut units = Node::default();
    units.insert(0, Arc::new(unit));
    let target = Target::new(TargetConfig {
        nodes: vec![TargetNode::new(TARGET_NAME, units)],
        ..TargetConfig::default()
    });
    let address = TARGET_ADDRESS.parse().context("the target's address")?;
    let options = LinkOptions::new(address, 24);
    serve_link(Box::new(link), &options, target).context("starting the target")
}

fn configuration(socket: &Path, arguments: &DemoArguments) -> Result<HostConfig> {
    let mut link = "pipe:demo,address=10.77.0.2/24".to_owned();
    if let Some(path) = &arguments.pcap {
        link += &format!(",pcap={}", path.display());
    }
    let words = Shorthand {
        module: "iscsi".to_owned(),
        settings: vec![format!("target=iscsi://{TARGET_ADDRESS}/{TARGET_NAME}/0")],
        link: Some(link),
        nbd: vec![NbdAddress::Unix(PathBuf::from(socket)).to_string()],
        name: Some(EXPORT.to_owned()),
        ..Shorthand::default()
    };
    Ok(HostConfig::shorthand(&words)?)
}

/// Writes all of the disk, reads all of it back, and kills the VCP at even
/// distances on the way.
fn exercise(socket: &Path, vcp: &Vcp, size: u64, crashes: u32) -> Result<()> {
    let mut client = Client::connect(socket, EXPORT)?;
    ensure!(
        client.size == size,
        "the disk has {} bytes instead of {size}",
        client.size
    );
    print(&format!(
        "disk     {}, by an NBD client with {DEPTH} requests in flight\n",
        vcp_config::ByteSize(size)
    ))?;
    let mut crashes = Crashes {
        vcp,
        left: crashes,
        every: 2 * size / (u64::from(crashes) + 1),
        passed: 0,
    };
    pass(&mut client, "write", size, &mut crashes)?;
    client.flush()?;
    client.answer().context("flush")?;
    pass(&mut client, "verify", size, &mut crashes)?;
    client.disconnect()?;
    let stats = vcp.stats();
    print(&format!(
        "crashes  {} of the VCP under load, every request answered; generation {} at the end\n",
        stats.faults, stats.generation
    ))?;
    ensure!(crashes.left == 0, "{} crashes were left over", crashes.left);
    Ok(())
}

/// The times at which the VCP is killed.
struct Crashes<'a> {
    vcp: &'a Vcp,
    left: u32,
    every: u64,
    passed: u64,
}

impl Crashes<'_> {
    fn advance(&mut self, bytes: u64) {
        let before = self.passed / self.every.max(1);
        self.passed += bytes;
        if self.left > 0 && self.passed / self.every.max(1) > before {
            self.left -= 1;
            self.vcp.inject(vcp_core::Injection::Trap);
        }
    }
}

fn pass(
    client: &mut Client,
    what: &'static str,
    size: u64,
    crashes: &mut Crashes<'_>,
) -> Result<()> {
    let writing = what == "write";
    let mut progress = Progress::new(what, size);
    let mut chunk = vec![0; CHUNK];
    let mut sent = 0;
    let mut done = 0;
    while done < size {
        if sent < size && client.in_flight() < DEPTH {
            if writing {
                fill(&mut chunk, sent);
                client.write(sent, &chunk)?;
            } else {
                client.read(sent, CHUNK)?;
            }
            sent += CHUNK as u64;
            continue;
        }
        if let Some((offset, data)) = client.answer().context(what)? {
            fill(&mut chunk, offset);
            if let Some(at) = (0..CHUNK).find(|&at| data[at] != chunk[at]) {
                bail!(
                    "the disk differs from what was written at byte {}",
                    offset + at as u64
                );
            }
        }
        done += CHUNK as u64;
        crashes.advance(CHUNK as u64);
        progress.at(done);
    }
    progress.done()
}

/// Fills `chunk` with the content for `offset`: every 8 bytes differ from all others.
fn fill(chunk: &mut [u8], offset: u64) {
    for (word, n) in chunk.chunks_exact_mut(8).zip(offset / 8..) {
        let mixed = (n ^ n >> 31)
            .wrapping_add(1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        word.copy_from_slice(&mixed.to_le_bytes());
    }
}
