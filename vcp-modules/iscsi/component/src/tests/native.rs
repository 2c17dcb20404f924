//! The meaning of spans natively.

use vcp_sdk::types::Span;

use super::lab::Lab;
use super::network::Way;

fn span(address: u32, length: u32) -> Span {
    Span { address, length }
}

#[test]
fn what_is_written_is_what_is_read_and_nothing_lies_outside() {
    for way in [Way::frames(true), Way::streams()] {
        let mut vcp = Lab::new(way, &[]).vcp;
        let areas = {
            let (_, memories) = vcp.inside();
            memories.areas()
        };
        for area in [areas.data, areas.receive] {
            let last = span(area.address + area.length - 2, 2);
            vcp.bytes_mut(last).unwrap().copy_from_slice(&[1, 2]);
            assert_eq!(vcp.bytes(last), Some(&[1, 2][..]));
            assert_eq!(vcp.bytes(area).unwrap().len(), area.length as usize);
            for outside in [span(last.address, 3), span(area.address - 1, 2)] {
                assert_eq!(vcp.bytes(outside), None);
                assert_eq!(vcp.bytes_mut(outside), None);
            }
        }
        assert_eq!(vcp.bytes(span(u32::MAX, u32::MAX)), None);
        assert_eq!(vcp.bytes(span(0, 0)), Some(&[][..]));
    }
}
