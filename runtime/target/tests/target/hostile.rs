//! Hostile input: whatever comes in, the connection neither panics nor hoards, and its
//! output stays a stream of PDUs.

use proptest::prelude::*;
use vcp_iscsi_proto::{BHS_LEN, Bhs, TargetPdu};

use crate::client::{Client, Direct, Transport, target_of, unit};

/// A step of hostile input.
#[derive(Debug, Clone)]
enum Step {
    /// A read, or a write with this much immediate data, with changed bytes in the
    /// header.
    Command {
        write: bool,
        blocks: u16,
        data: usize,
        changes: Vec<(usize, u8)>,
    },
    /// A header with this opcode and otherwise only noise.
    Noise {
        opcode: u8,
        header: Vec<u8>,
        data: Vec<u8>,
    },
    /// Arbitrary bytes.
    Raw(Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = |n| proptest::collection::vec(any::<u8>(), 0..n);
    let changes = proptest::collection::vec((0..BHS_LEN, any::<u8>()), 0..3);
    prop_oneof![
        8 => (any::<bool>(), 0..40_u16, 0..2000_usize, changes).prop_map(
            |(write, blocks, data, changes)| Step::Command { write, blocks, data, changes }
        ),
        4 => (any::<u8>(), bytes(BHS_LEN), bytes(100))
            .prop_map(|(opcode, header, data)| Step::Noise { opcode, header, data }),
        1 => bytes(200).prop_map(Step::Raw),
    ]
}

fn play(client: &mut Client<Direct>, step: &Step) {
    match step {
        Step::Command {
            write,
            blocks,
            data,
            changes,
        } => {
            let mut command = if *write {
                client.write(0, *blocks)
            } else {
                client.read(0, *blocks)
            };
            let data = vec![1; if *write { *data } else { 0 }];
            command.data_len = data.len() as u32;
            command.is_final = data.len() % 2 == 0;
            let mut bytes = client.encode(&command.into(), &data);
            for &(at, value) in changes {
                bytes[at] = value;
            }
            client.transport.send(&bytes);
        }
        Step::Noise {
            opcode,
            header,
            data,
        } => {
            let mut bytes = header.clone();
            bytes.resize(BHS_LEN, 0);
            bytes[0] = *opcode;
            bytes[4..8].copy_from_slice(&(data.len() as u32).to_be_bytes());
            // The CmdSN is the next in order.
            bytes[24..28].copy_from_slice(&client.cmd_sn.to_be_bytes());
            bytes.extend_from_slice(data);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            client.transport.send(&bytes);
        }
        Step::Raw(bytes) => client.transport.send(bytes),
    }
}

/// Checks that all output so far consists of whole PDUs of a target.
fn check(client: &mut Client<Direct>) {
    let bytes = client.rest();
    let mut rest = bytes.as_slice();
    while let Some(header) = rest.first_chunk::<BHS_LEN>() {
        TargetPdu::parse(header).unwrap();
        rest = &rest[Bhs::parse(header).layout(false, false).total..];
    }
    assert!(rest.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn in_full_feature_phase(steps in proptest::collection::vec(step(), 1..20)) {
        let target = target_of(&unit(1 << 20), |c| c.policy.command_window = 8);
        let keys = [("InitialR2T", "No"), ("FirstBurstLength", "1024")];
        let mut client = Client::ready(&target, &keys);
        for step in &steps {
            play(&mut client, step);
            check(&mut client);
        }
    }

    #[test]
    fn during_a_login(steps in proptest::collection::vec(step(), 1..6), prefix in 0..120_usize) {
        let target = target_of(&unit(1 << 20), |_| ());
        let mut client = Client::direct(&target);
        let text = crate::client::keys(&crate::client::INTRODUCTION);
        let stage = vcp_iscsi_proto::login::Stage::Operational;
        let request = client.login_request(stage, None, &text);
        let bytes = client.encode(&request.into(), &text);
        client.transport.send(&bytes[..prefix.min(bytes.len())]);
        for step in &steps {
            play(&mut client, step);
            check(&mut client);
        }
    }
}
