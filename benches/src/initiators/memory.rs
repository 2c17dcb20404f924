//! How much memory a host with one initiator takes at most.

use std::time::Duration;

use vcp_benches::workload::Workload;

use crate::scene::{Backing, Kind, Parameters, Scene};

/// Much in flight, in all directions.
const LOADS: [Workload; 3] = [
    Workload::new("randrw", "128k", 128),
    Workload::new("read", "128k", 128),
    Workload::new("write", "128k", 128),
];

/// The most bytes that were resident in a new process, from its start through loads of
/// so long each.
pub(crate) fn measure(scene: &Scene, time: Duration) -> u64 {
    let lun = scene.lun(Parameters::Default, Backing::File);
    let arm = scene.start(Kind::Tap, lun).expect("vcp is always built");
    for load in &LOADS {
        let sample = arm.measure(load, time);
        let mb = sample.bytes_per_second / 1e6;
        println!("memory: {load}: {mb:.0} MB/s");
    }
    let resident = arm.process().peak_resident();
    arm.stop();
    resident
}
