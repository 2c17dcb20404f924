//! What a VCP talks to: the embedded target on a stack of its own, in the same thread
//! and in the VCP's time, so that nothing of the kernel's is in between.

use std::sync::Arc;
use std::time::Duration;

use vcp_core::native::frames::{self, Link, Outgoing};
use vcp_netstack::{Checksum, Config, Congestion, Handle, Stack};
use vcp_target::config::{TargetConfig, TargetNode};
use vcp_target::disk::SparseMemory;
use vcp_target::lun::{LogicalUnit, Node, UnitOptions};
use vcp_target::{Connection, Target};

const NAME: &str = "iqn.2026-11.example:disk";
const PORTAL: &str = "10.0.0.1";
const PORT: u16 = 3260;
const MTU: u16 = 1500;
/// Bytes of the disk.
pub(crate) const DISK: u64 = 1 << 30;

/// A target at the other end of a link that segments, as a TAP does.
pub(crate) struct Peer {
    target: Arc<Target>,
    stack: Stack,
    connections: Vec<(Handle, Connection)>,
}

impl Peer {
    pub(crate) fn new(now: u64) -> Self {
        let disk = Box::new(SparseMemory::new(DISK));
        let unit = LogicalUnit::new(disk, UnitOptions::default()).expect("the defaults are sound");
        let mut units = Node::default();
        units.insert(0, Arc::new(unit));
        let mut target = TargetConfig::default();
        target.nodes.push(TargetNode::new(NAME, units));
        let mut config = Config::new([2, 0, 0, 0, 0, 1], MTU.into(), 1);
        config.addresses.push((PORTAL.parse().expect("one"), 24));
        config.checksum_offload = true;
        config.segmentation_offload = true;
        // Nothing is lost, and an answer is to be there in the next call.
        config.congestion = Congestion::None;
        let mut stack = Stack::new(config, now).expect("it is sound");
        stack.listen(PORT).expect("nobody else does");
        Self {
            target: Target::new(target),
            stack,
            connections: Vec::new(),
        }
    }

    /// What a VCP has to know to reach its disk.
    pub(crate) fn settings() -> Vec<(String, String)> {
        let settings = [("portal", PORTAL), ("target", NAME), ("lun", "0")];
        settings.map(|(k, v)| (k.into(), v.into())).into()
    }

    /// The link, as the VCP sees it.
    pub(crate) fn link() -> Link {
        Link {
            mac: vec![2, 0, 0, 0, 0, 2],
            mtu: MTU.into(),
            addresses: vec!["10.0.0.2/24".into()],
            gateways: Vec::new(),
            checksum_offload: true,
            segmentation_offload: true,
        }
    }

    /// A frame of the VCP's.
    pub(crate) fn receive(&mut self, now: u64, frame: &Outgoing, bytes: &[u8]) {
        let checksum = match frame.checksum_start {
            0 => Checksum::Unverified,
            _ => Checksum::Partial,
        };
        self.stack.receive(now, bytes, checksum);
    }

    /// Has the target do what is to be done, and passes on what it sends.
    pub(crate) fn serve(&mut self, now: u64, mut send: impl FnMut(&[u8], frames::Checksum)) {
        let time = Duration::from_nanos(now);
        while let Some(handle) = self.stack.accept(PORT) {
            let target = Arc::clone(&self.target);
            let connection = Connection::new(target, "10.0.0.1:3260", "vcp", time);
            self.connections.push((handle, connection));
        }
        for (handle, connection) in &mut self.connections {
            self.stack.recv(*handle, |bytes| {
                connection.receive(time, bytes);
                bytes.len()
            });
            connection.tick(time);
            loop {
                let output = connection.output();
                let sent = self.stack.send(*handle, |room| {
                    let count = output.len().min(room.len());
                    room[..count].copy_from_slice(&output[..count]);
                    count
                });
                if sent == 0 {
                    break;
                }
                connection.sent(sent);
            }
        }
        self.stack.poll(now);
        let (arena, frames) = self.stack.outgoing();
        for frame in frames {
            let checksum = match frame.checksum_start {
                0 => frames::Checksum::Unverified,
                _ => frames::Checksum::Partial,
            };
            send(&arena[frame.offset..frame.offset + frame.length], checksum);
        }
        self.stack.clear_outgoing();
    }
}
