//! A client that hangs up while the queue has no room for it.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use vcp_queue::{Answer, Client, ClientError, Flushed, Submit};

use crate::scenario::{DEVICE, Scenario, settings};
use crate::streams::cpu_ticks;

/// A client that never takes anything off its socket.
struct Full(UnixStream);

impl Client for Full {
    fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
    fn name(&self) -> &str {
        "full"
    }
    fn receive(&mut self, _: &mut dyn Submit) -> Result<bool, ClientError> {
        Ok(true)
    }
    fn send(&mut self, _: &[Answer<'_>]) -> Result<Flushed, ClientError> {
        Ok(Flushed::All)
    }
}

#[test]
fn a_waiting_client_that_hangs_up_is_dropped_and_not_polled_for() {
    let mut settings = settings(&DEVICE, &[]);
    "hangup".clone_into(&mut settings.name);
    let mut scenario = Scenario::start(settings);
    scenario.expect_ready();
    let (peer, socket) = UnixStream::pair().unwrap();
    scenario.vcp.attach(Box::new(Full(socket)));
    let wait_for = |clients| {
        let began = Instant::now();
        while scenario.vcp.stats().clients != clients {
            assert!(began.elapsed() < Duration::from_secs(5));
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    wait_for(2);
    drop(peer);
    wait_for(1);
    let before = cpu_ticks("vcp-hangup");
    std::thread::sleep(Duration::from_millis(300));
    assert!(cpu_ticks("vcp-hangup") - before < 10);
    scenario.finish_served();
}
