//! Faults of a processor behind a link of frames.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::LazyLock;

use rustix::event::{EventfdFlags, eventfd};
use vcp_core::{Fault, Module, Network};
use vcp_queue::{Link, LinkProperties, Offload, Received};

use crate::scenario::{Scenario, load, settings};

pub(crate) static PROCESSOR: LazyLock<Module> =
    LazyLock::new(|| load("processor", vcp_test_guests::MISBEHAVE_PROCESSOR));

/// A link that takes every frame and delivers none.
struct Sink {
    properties: LinkProperties,
    event: OwnedFd,
}

impl Link for Sink {
    fn properties(&self) -> &LinkProperties {
        &self.properties
    }
    fn fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
    fn receive(&mut self, _: &mut [u8]) -> io::Result<Option<Received>> {
        Ok(None)
    }
    fn send(&mut self, _: &[u8], _: Offload) -> io::Result<bool> {
        Ok(true)
    }
}

fn scenario(fault: &str, offload: bool) -> Scenario {
    let mut settings = settings(&PROCESSOR, &[("fault", fault)]);
    let link = Sink {
        properties: LinkProperties {
            mac: [2, 0, 0, 0, 0, 1],
            mtu: 1500,
            checksum_offload: offload,
            segmentation_offload: offload,
        },
        event: eventfd(0, EventfdFlags::NONBLOCK).unwrap(),
    };
    settings.network = Some(Network::Frames {
        link: Box::new(link),
        addresses: vec!["192.0.2.1/24".to_owned()],
        gateways: Vec::new(),
        reopen: None,
    });
    Scenario::start(settings)
}

/// Without a sound receive area the VCP does not start.
pub(crate) fn start(fault: &str, why: &str) {
    let mut scenario = scenario(fault, false);
    let found = scenario.expect_fault(1);
    assert_eq!(found, Fault::Protocol(why.to_owned()));
    assert_eq!(scenario.expect_failed(), found.to_string());
    scenario.end();
}

/// A frame that the instance sends ends it; the next generation serves.
pub(crate) fn strike(fault: &str, offload: bool, expected: impl Fn(&Fault) -> bool) {
    let mut scenario = scenario(fault, offload);
    scenario.expect_ready();
    scenario.strike();
    let found = scenario.expect_fault(1);
    assert!(expected(&found), "{found:?}");
    scenario.expect_ready();
    scenario.expect_answers();
    scenario.end();
}

/// The link gets the frame as it is, and knows what to do.
pub(crate) fn carried(fault: &str) {
    let mut scenario = scenario(fault, true);
    scenario.expect_ready();
    scenario.strike();
    scenario.expect_answers();
    assert_eq!(scenario.vcp.stats().frames_out, 3);
    scenario.end();
}
