//! A device of nothing but zeroes that uses `std`, and so WASI, for what it was
//! not granted. See `../../src/lib.rs`.

#[path = "../../src/faults/wasi.rs"]
pub mod faults;

mod files;

use std::io::Write as _;
use std::time::Duration;

use vcp_sdk::block::{Completion, Geometry, Notice, Operation, Request, Status};
use vcp_sdk::control::{Areas, Command, Start};
use vcp_sdk::device::Effects;
use vcp_sdk::types::{Instant, Span};
use vcp_sdk::{Arena, Device};

/// The VCP.
pub struct Misbehave {
    _data: Arena,
    fault: String,
    announced: bool,
    found: Vec<String>,
}

const NOTHING: Span = Span {
    address: 0,
    length: 0,
};

impl Device for Misbehave {
    fn start(start: Start) -> Result<(Self, Areas), String> {
        let mut config = start.config.into_iter();
        let fault = config
            .find(|(key, _)| key == "fault")
            .map(|(_, value)| value);
        let mut fault = fault.ok_or("config.fault: missing")?;
        if !faults::FAULTS.contains(&fault.as_str()) {
            return Err(format!(
                "config.fault: {fault:?} is no fault of this module"
            ));
        }
        if start.generation > 1 {
            fault.clear();
        }
        let data = Arena::new(256 << 10, 0);
        let areas = Areas {
            data: data.span(),
            receive: NOTHING,
        };
        let vcp = Self {
            _data: data,
            fault,
            announced: false,
            found: Vec::new(),
        };
        Ok((vcp, areas))
    }

    fn process(&mut self, _now: Instant, commands: &[Command], requests: &[Request]) -> Effects {
        let mut notices = Vec::new();
        if !self.announced {
            self.announced = true;
            notices.push(Notice::Ready(geometry()));
        }
        if requests.iter().any(|r| r.operation == Operation::Flush) {
            self.act();
        }
        notices.extend(self.found.drain(..).map(Notice::Found));
        if commands.contains(&Command::Stop) {
            notices.push(Notice::Stopped);
        }
        // The room of a read is zeroed by nobody, and read by nobody here.
        let done = |request: &Request| Completion {
            tag: request.tag,
            status: Status::Ok,
            data: NOTHING,
        };
        Effects {
            completions: requests.iter().map(done).collect(),
            notices,
            deadline: None,
        }
    }
}

impl Misbehave {
    fn act(&mut self) {
        match self.fault.as_str() {
            "sleep" => std::thread::sleep(Duration::from_secs(1 << 30)),
            "sockets" => {
                let mut sockets = Vec::new();
                for _ in 0..10_000 {
                    sockets.extend(std::net::TcpListener::bind("127.0.0.1:0"));
                    sockets.extend(std::net::TcpListener::bind("0.0.0.0:0"));
                }
                let udp = std::net::UdpSocket::bind("127.0.0.1:0").is_ok();
                let tcp = std::net::TcpStream::connect("127.0.0.1:22").is_ok();
                self.found.push(format!("{} {udp} {tcp}", sockets.len()));
            }
            "stdout" => {
                let line = [b'x'; 4096];
                let mut wrote = 0;
                for _ in 0..1000 {
                    wrote += usize::from(std::io::stdout().write_all(&line).is_ok());
                }
                let files = std::fs::read_dir("/").is_ok() || std::fs::File::open("x").is_ok();
                self.found.push(format!("{} {files}", wrote > 0));
            }
            "environment" => {
                let variables = std::env::vars().count();
                let arguments = std::env::args().count();
                self.found.push(format!("{variables} {arguments}"));
            }
            "speech" => {
                println!("a line of output");
                print!("a line in ");
                println!("two pieces, \x1b[31mred");
                eprintln!("a line of error");
                for n in 0..2000 {
                    println!("flood {n}");
                }
                // No end of a line comes any more.
                print!("the beginning of a line");
                std::io::stdout().flush().unwrap_or_default();
            }
            "panic-std" => {
                eprintln!("just before");
                panic!("no such thing as {}", self.fault);
            }
            fault if fault.starts_with("file-") => {
                let found = files::act(fault);
                self.found.push(found);
            }
            _ => {}
        }
    }
}

fn geometry() -> Geometry {
    Geometry {
        size: 1 << 20,
        block_size: 512,
        preferred_block_size: 4096,
        max_transfer: 64 << 10,
        max_discard: 0,
        max_write_zeroes: 0,
        extents: false,
        read_only: false,
        write_cache: true,
        identity: String::new(),
    }
}

vcp_sdk::export_device!(Misbehave);
