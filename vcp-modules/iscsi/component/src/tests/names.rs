//! Names in capitals, at a target that requires their normal form.

use super::lab::Lab;
use super::network::Way;

#[test]
fn names_in_capitals() {
    let given = [
        ("target", "iqn.2026-11.Example:Disk"),
        ("initiator-name", "iqn.2026-11.Example:Host"),
    ];
    let mut lab = Lab::ready(Way::frames(false), &given);
    // There is one login for each refused form, and then no more.
    let handles = |lab: &Lab| {
        lab.target
            .sessions()
            .iter()
            .map(|s| s.tsih)
            .collect::<Vec<_>>()
    };
    assert_eq!(handles(&lab), [1]);
    for _ in 0..10 {
        lab.busy();
    }
    lab.drain();
    lab.hand_over();
    lab.drain();
    assert_eq!(handles(&lab), [1]);
}
