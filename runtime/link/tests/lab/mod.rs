//! Shared by the tests against the real kernel: network namespaces, and a stack driven over
//! a link as a channel processor would.

use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use vcp_link::{LinkError, LinkSpec, open};
use vcp_netstack::{Checksum, Config, Handle, Stack, State};
use vcp_queue::link::MAX_FRAME;
use vcp_queue::{Link, Offload};

/// Whether what the test needs is there. If not it says so, and fails where
/// nothing may be skipped.
pub(crate) fn needs(test: &str) -> bool {
    let missing = if !rustix::process::geteuid().is_root() {
        "root"
    } else if !std::path::Path::new("/dev/net/tun").exists() {
        "/dev/net/tun"
    } else if !run(&["ip", "-V"]) {
        "the command ip (iproute2)"
    } else {
        return true;
    };
    skip(test, missing);
    false
}

pub(crate) fn skip(test: &str, missing: &str) {
    println!("skipped: {test} needs {missing}");
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{test} was skipped for want of {missing}"
    );
}

/// Runs a command quietly. Returns whether it succeeded.
pub(crate) fn run(command: &[&str]) -> bool {
    let status = Command::new(command[0])
        .args(&command[1..])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// A network namespace, removed when dropped.
pub(crate) struct Namespace(String);

impl Namespace {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("vcp-link-{}-{number}", std::process::id());
        assert!(run(&["ip", "netns", "add", &name]), "ip netns add {name}");
        let namespace = Namespace(name);
        namespace.ip("link set lo up");
        let reno = ["net.ipv4.tcp_congestion_control=reno"];
        assert!(
            namespace.exec(&[&["sysctl", "-q"][..], &reno].concat()),
            "sysctl {reno:?}"
        );
        namespace
    }

    pub(crate) fn exec(&self, command: &[&str]) -> bool {
        run(&[&["ip", "netns", "exec", &self.0][..], command].concat())
    }

    pub(crate) fn ip(&self, arguments: &str) {
        let words: Vec<&str> = arguments.split(' ').collect();
        let done = run(&[&["ip", "-n", &self.0][..], &words].concat());
        assert!(done, "ip -n {} {arguments}", self.0);
    }

    /// Runs `body` on a thread of its own in the namespace, as are the threads
    /// that it starts.
    pub(crate) fn enter<R: Send>(&self, body: impl FnOnce() -> R + Send) -> R {
        let file = std::fs::File::open(format!("/run/netns/{}", self.0)).unwrap();
        std::thread::scope(|scope| {
            let inside = || {
                use std::os::fd::AsFd;
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                body()
            };
            match scope.spawn(inside).join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// A pair of interfaces: `near` for the link, `far` with addresses.
    pub(crate) fn veth(&self) {
        self.ip("link add near type veth peer name far");
        self.ip("address add 10.78.0.1/24 dev far");
        self.ip("address add fd78::1/64 dev far nodad");
        self.ip("link set near up");
        self.ip("link set far up");
    }
}

impl Namespace {
    pub(crate) fn veth_if(&self, wanted: bool) {
        if wanted {
            self.veth();
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        run(&["ip", "netns", "delete", &self.0]);
    }
}

/// The kernel's addresses and the VCP's.
pub(crate) fn addresses(ipv6: bool) -> [IpAddr; 2] {
    if ipv6 {
        ["fd78::1", "fd78::2"]
    } else {
        ["10.78.0.1", "10.78.0.2"]
    }
    .map(|text| text.parse().unwrap())
}

/// A stack on a link, driven by the calling thread.
pub(crate) struct Station {
    pub(crate) link: Box<dyn Link>,
    pub(crate) stack: Stack,
    start: Instant,
    buffer: Vec<u8>,
    /// Largest frames received and sent.
    pub(crate) largest: [usize; 2],
}

impl Station {
    pub(crate) fn open(spec: &LinkSpec) -> Result<Self, LinkError> {
        Ok(Station::new(open(spec)?))
    }

    pub(crate) fn new(link: Box<dyn Link>) -> Self {
        let properties = link.properties();
        let mut config = Config::new(properties.mac, properties.mtu as usize, 42);
        config.addresses = vec![(addresses(false)[1], 24), (addresses(true)[1], 64)];
        config.checksum_offload = properties.checksum_offload;
        config.segmentation_offload = properties.segmentation_offload;
        Station {
            stack: Stack::new(config, 0).unwrap(),
            link,
            start: Instant::now(),
            buffer: vec![0; MAX_FRAME],
            largest: [0; 2],
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// One turn: waits for a frame, a deadline or `patience`; takes in what has
    /// arrived, lets the stack speak, and sends.
    pub(crate) fn turn(&mut self, patience: Duration) {
        let now = self.now();
        let deadline = self.stack.next_deadline(now).unwrap_or(u64::MAX);
        let wait = deadline.saturating_sub(now).min(patience.as_nanos() as u64);
        let timeout = Timespec {
            tv_sec: (wait / 1_000_000_000) as i64,
            tv_nsec: (wait % 1_000_000_000) as i64,
        };
        let fd = self.link.fd();
        poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)).unwrap();
        let now = self.now();
        for _ in 0..16 {
            let Some(received) = self.link.receive(&mut self.buffer).unwrap() else {
                break;
            };
            let frame = &self.buffer[..received.length];
            self.largest[0] = self.largest[0].max(frame.len());
            let checksum = match received.checksum {
                vcp_queue::Checksum::Unverified => Checksum::Unverified,
                vcp_queue::Checksum::Verified => Checksum::Verified,
                vcp_queue::Checksum::Partial => Checksum::Partial,
            };
            self.stack.receive(now, frame, checksum);
        }
        self.flush();
    }

    /// Lets the stack speak, and sends.
    pub(crate) fn flush(&mut self) {
        let now = self.now();
        self.stack.poll(now);
        let (arena, frames) = self.stack.outgoing();
        for frame in frames {
            self.largest[1] = self.largest[1].max(frame.length);
            let offload = Offload {
                checksum_start: frame.checksum_start,
                checksum_offset: frame.checksum_offset,
                segment_size: frame.segment_size,
            };
            // A full link loses the frame; TCP repeats it.
            self.link
                .send(&arena[frame.offset..frame.offset + frame.length], offload)
                .unwrap();
        }
        self.stack.clear_outgoing();
    }

    pub(crate) fn connect(&mut self, remote: SocketAddr) -> Handle {
        let now = self.now();
        let handle = self.stack.connect(remote, now).unwrap();
        self.until(handle, State::Open);
        handle
    }

    pub(crate) fn until(&mut self, handle: Handle, state: State) {
        let limit = Instant::now() + Duration::from_secs(10);
        while self.stack.state(handle) != state {
            self.turn(Duration::from_millis(100));
            let found = self.stack.state(handle);
            assert!(Instant::now() < limit, "{found:?}, not {state:?}");
        }
    }
}
