//! Serves an iSCSI target on a TCP address, for trying things out:
//!
//! ```text
//! cargo run -p vcp-target --example target -- --listen 127.0.0.1:3260 --size 1G
//! qemu-img info iscsi://127.0.0.1:3260/iqn.2026-11.example:disk/0
//! ```

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Parser;
use vcp_target::Target;
use vcp_target::chap::{Chap, Credentials};
use vcp_target::config::{DigestPolicy, TargetConfig, TargetNode};
use vcp_target::disk::{Disk, FileDisk, SparseMemory};
use vcp_target::lun::{LogicalUnit, Node, UnitOptions};
use vcp_target::serve::serve_tcp;

#[derive(Parser)]
#[command(about = "An iSCSI target with one logical unit")]
struct Options {
    /// Address and port to listen on; port 0 for any.
    #[arg(long, default_value = "127.0.0.1:3260")]
    listen: String,
    /// Bytes, with K, M, G or T.
    #[arg(long, default_value = "1G", value_parser = bytes)]
    size: u64,
    /// Bytes per logical block.
    #[arg(long, default_value_t = 512)]
    block_size: u32,
    /// Keep the data in this file instead of in memory.
    #[arg(long)]
    file: Option<PathBuf>,
    /// iSCSI name of the target.
    #[arg(long, default_value = "iqn.2026-11.example:disk")]
    name: String,
    /// Number of the logical unit.
    #[arg(long, default_value_t = 0)]
    lun: u16,
    /// What the initiator must know.
    #[arg(long, value_name = "USER:SECRET")]
    chap: Option<String>,
    /// What the target can prove in turn.
    #[arg(long, value_name = "USER:SECRET", requires = "chap")]
    mutual_chap: Option<String>,
    /// Insist on header and data digests.
    #[arg(long)]
    digests: bool,
    /// Refuse writes.
    #[arg(long)]
    read_only: bool,
    /// Want an R2T before any data.
    #[arg(long)]
    initial_r2t: bool,
}

fn bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last().map(u8::to_ascii_uppercase) {
        Some(b'K') => (&text[..text.len() - 1], 10),
        Some(b'M') => (&text[..text.len() - 1], 20),
        Some(b'G') => (&text[..text.len() - 1], 30),
        Some(b'T') => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "not a number of bytes".to_owned())?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "too large".to_owned())
}

fn credentials(text: &str) -> anyhow::Result<Credentials> {
    match text.split_once(':') {
        Some((name, secret)) => Ok(Credentials::new(name, secret)),
        None => bail!("{text:?} is not USER:SECRET"),
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let disk: Box<dyn Disk> = match &options.file {
        Some(path) => {
            let disk = FileDisk::open(path, options.size);
            Box::new(disk.with_context(|| format!("opening {}", path.display()))?)
        }
        None => Box::new(SparseMemory::new(options.size)),
    };
    let (block_size, read_only) = (options.block_size, options.read_only);
    let unit = UnitOptions {
        block_size,
        read_only,
        ..UnitOptions::default()
    };
    let mut units = Node::default();
    units.insert(options.lun, Arc::new(LogicalUnit::new(disk, unit)?));
    let mut config = TargetConfig::default();
    config.nodes.push(TargetNode::new(&options.name, units));
    config.policy.initial_r2t = options.initial_r2t;
    if options.digests {
        config.policy.header_digest = DigestPolicy::Required;
        config.policy.data_digest = DigestPolicy::Required;
    }
    if let Some(text) = &options.chap {
        let target = options
            .mutual_chap
            .as_deref()
            .map(credentials)
            .transpose()?;
        config.chap = Some(Chap {
            target,
            ..Chap::new(credentials(text)?)
        });
    }
    let target = Target::new(config);
    let listener = TcpListener::bind(&options.listen)
        .with_context(|| format!("listening on {}", options.listen))?;
    let server = serve_tcp(listener, Arc::clone(&target))?;
    println!(
        "iscsi://{}/{}/{}",
        server.address(),
        options.name,
        options.lun
    );
    let mut told = 0;
    loop {
        std::thread::sleep(std::time::Duration::from_millis(200));
        let violations = target.violations();
        violations[told..]
            .iter()
            .for_each(|violation| eprintln!("violation: {violation}"));
        told = violations.len();
    }
}
