//! What a request costs natively, apart from the bytes' way through TCP: reads and
//! writes of 4 KiB and 128 KiB at depth 32 against a target that answers with
//! headers made in advance.

use std::hint::black_box;
use std::time::Instant;

use vcp_iscsi_initiator::{Action, Config, Initiator, Memory, Operation, Request, Span, Status};

#[path = "../tests/pair/mod.rs"]
mod pair;

use vcp_iscsi_proto::pdu::{DataIn, Residual, ResponseCode, ScsiResponse, TargetSn};
use vcp_iscsi_proto::scsi::Status as ScsiStatus;
use vcp_iscsi_proto::{BHS_LEN, Bhs, Lun, RESERVED_TAG, Serial};

const DEPTH: u64 = 32;

struct Ram(Vec<u8>);

impl Memory for Ram {
    fn bytes(&self, span: Span) -> &[u8] {
        &self.0[span.address as usize..][..span.length as usize]
    }
    fn bytes_mut(&mut self, span: Span) -> &mut [u8] {
        &mut self.0[span.address as usize..][..span.length as usize]
    }
}

/// A target that has answered everything before it was asked.
struct Target {
    sn: TargetSn,
    input: Vec<u8>,
    out: Vec<u8>,
}

impl Target {
    /// Answers all commands that are there; data of writes is immediate.
    fn answer(&mut self, read: u32) {
        let mut rest = &self.input[..];
        while let Some(header) = rest.first_chunk::<BHS_LEN>() {
            let bhs = Bhs::parse(header);
            rest = &rest[BHS_LEN + bhs.data_len as usize..];
            if bhs.opcode != 1 && !bhs.is_final {
                continue;
            }
            if bhs.opcode == 1 && !bhs.is_final {
                self.sn.exp_cmd_sn = self.sn.exp_cmd_sn.next();
                continue;
            }
            if bhs.opcode == 1 {
                self.sn.exp_cmd_sn = self.sn.exp_cmd_sn.next();
            }
            self.sn.max_cmd_sn = self.sn.exp_cmd_sn.add(64);
            let mut header = [0; BHS_LEN];
            if read > 0 {
                DataIn {
                    is_final: true,
                    acknowledge: false,
                    status: Some(ScsiStatus::Good),
                    data_len: read,
                    lun: Lun::default(),
                    itt: bhs.itt,
                    ttt: RESERVED_TAG,
                    sn: self.sn,
                    data_sn: 0,
                    offset: 0,
                    residual: Residual::None,
                }
                .emit(&mut header);
            } else {
                ScsiResponse {
                    response: ResponseCode::Completed,
                    status: ScsiStatus::Good,
                    data_len: 0,
                    itt: bhs.itt,
                    snack_tag: 0,
                    sn: self.sn,
                    exp_data_sn: 0,
                    bidi_residual: Residual::None,
                    residual: Residual::None,
                }
                .emit(&mut header);
            }
            self.out.extend_from_slice(&header);
            self.out.resize(self.out.len() + read as usize, 0x5a);
            self.sn.stat_sn = self.sn.stat_sn.next();
        }
        self.input.clear();
    }
}

fn main() {
    for (name, operation, length) in [
        ("read 4 KiB", Operation::Read, 4096),
        ("read 128 KiB", Operation::Read, 131_072),
        ("write 4 KiB", Operation::Write, 4096),
        ("write 128 KiB", Operation::Write, 131_072),
    ] {
        let (initiator_time, count) = run(operation, length);
        println!(
            "{name}: {} ns a request",
            initiator_time / u128::from(count)
        );
    }
}

fn run(operation: Operation, length: u32) -> (u128, u64) {
    let settings = pair::Settings {
        initial_r2t: false,
        first_burst: 262_144,
        max_recv: 262_144,
        window: 64,
        ..pair::Settings::default()
    };
    let config: Config = pair::config(&[]);
    let disk = pair::Disk::new(512, 1 << 20);
    let ready = pair::Pair::new(config, settings, disk).ready();
    let (mut initiator, peer): (Initiator, _) = (ready.initiator, ready.peer);
    let mut memory = Ram(vec![0; (DEPTH as usize) * length as usize]);
    let sn = TargetSn {
        stat_sn: Serial(peer.stat_sn.0),
        exp_cmd_sn: peer.exp_cmd_sn,
        max_cmd_sn: peer.exp_cmd_sn.add(64),
    };
    let mut target = Target {
        sn,
        input: Vec::new(),
        out: Vec::new(),
    };
    let mut wire = vec![0; 8 << 20];
    let rounds = if length > 4096 { 300 } else { 5000 };
    let mut time = 0;
    for round in 0..rounds {
        let start = Instant::now();
        for slot in 0..DEPTH {
            initiator.submit(
                round,
                Request {
                    tag: slot + 1,
                    operation,
                    fua: false,
                    no_unmap: false,
                    offset: slot * u64::from(length),
                    length,
                    data: Span {
                        address: slot as u32 * length,
                        length,
                    },
                },
            );
        }
        let count = initiator.transmit(round, &mut wire, &memory);
        time += start.elapsed().as_nanos();
        target.input.extend_from_slice(&wire[..count]);
        target.answer(if operation == Operation::Read {
            length
        } else {
            0
        });
        let start = Instant::now();
        initiator.receive(round, &target.out, &mut memory);
        let mut done = 0;
        while let Some(action) = initiator.poll_action() {
            match action {
                Action::Complete {
                    status: Status::Ok, ..
                } => done += 1,
                other => panic!("{other:?}"),
            }
        }
        time += start.elapsed().as_nanos();
        assert_eq!(done, DEPTH);
        target.out.clear();
        black_box(&memory.0);
    }
    (time, rounds * DEPTH)
}
