//! What goes wrong once it is asked to flush.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;

use vcp_sdk::block::{Completion, Notice, Operation, Request, Status};
use vcp_sdk::device::Effects;
use vcp_sdk::types::Span;
use vcp_sdk::{Level, log};

use crate::setup::{done, geometry};
use crate::{Misbehave, deep};

impl Misbehave {
    pub(crate) fn act(
        &mut self,
        fault: &str,
        first: bool,
        requests: &[Request],
        effects: &mut Effects,
    ) {
        // A true answer goes before the false ones, and must not be lost with them.
        let mut answers: Vec<_> = requests.iter().map(|r| self.answer(r)).collect();
        let tag = requests.first().map_or(0, |request| request.tag);
        match fault {
            "unknown-tag" => answers.push(done(tag ^ 1 << 40)),
            "tag-0" => answers.push(done(0)),
            "tag-twice" => answers.push(done(tag)),
            "tag-again" => {
                answers.extend(self.kept.drain(..).map(done));
                self.kept.push(tag);
                effects.deadline = Some(0);
            }
            "short-read" => spoil(requests, &mut answers, |span| span.length -= 1),
            "long-read" => spoil(requests, &mut answers, |span| span.length += 512),
            "read-outside" => spoil(requests, &mut answers, |span| span.address = 1 << 30),
            "read-near-end" => spoil(requests, &mut answers, |span| span.address = u32::MAX),
            "extents-none" => self.spoil_extents(requests, &mut answers, &[]),
            "extents-half" => self.spoil_extents(requests, &mut answers, &[512]),
            "extents-empty" => self.spoil_extents(requests, &mut answers, &[512, 0, 0, 0]),
            "extents-unaligned" => self.spoil_extents(requests, &mut answers, &[100, 0]),
            "extents-beyond" => self.spoil_extents(requests, &mut answers, &[1 << 31, 0]),
            "extents-overflow" => {
                let most = [u32::MAX - 511, 3].repeat(512);
                self.spoil_extents(requests, &mut answers, &most);
            }
            "extents-many" => {
                self.spoil_extents(requests, &mut answers, &[512, 0].repeat(513));
            }
            "extents-flags" => self.spoil_extents(requests, &mut answers, &[512, 4]),
            "extents-outside" => {
                for (request, answer) in requests.iter().zip(&mut answers) {
                    if request.operation == Operation::Extents {
                        answer.data.address = u32::MAX - 4;
                    }
                }
            }
            "error-outside" => spoil_status(requests, &mut answers),
            "completions-many" => answers.extend((0..300_000).map(|_| done(tag))),
            "completions-too-many" => answers.extend((0..1_000_000).map(|_| done(tag))),
            "silent" => answers.clear(),
            "stop-late-answer" => {
                self.kept.extend(answers.drain(..).map(|answer| answer.tag));
            }
            "every-status" => {
                let statuses = STATUSES.into_iter().cycle();
                for (answer, status) in answers.iter_mut().zip(statuses) {
                    answer.status = status;
                }
            }
            "busy" => effects.deadline = Some(0),
            "panic" => panic!("as you wish"),
            "endless" => deep::forever(tag),
            "shadow-stack" => {
                black_box(deep::shadow(tag));
            }
            "call-stack" => {
                black_box(deep::calls(u64::MAX));
            }
            "allocate" => allocate(),
            "grow" if first => grow(),
            _ if fault.starts_with("log-") => talk(fault, first),
            _ => tell(fault, first, effects),
        }
        effects.completions = answers;
    }
}

impl Misbehave {
    /// Answers what was asked about extents with these words.
    fn spoil_extents(&mut self, requests: &[Request], answers: &mut [Completion], words: &[u32]) {
        self.words = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        for (request, answer) in requests.iter().zip(answers) {
            if request.operation == Operation::Extents {
                answer.data = Span {
                    address: self.words.as_ptr().addr() as u32,
                    length: self.words.len() as u32,
                };
            }
        }
    }
}

const STATUSES: [Status; 8] = [
    Status::Ok,
    Status::IoError,
    Status::Invalid,
    Status::NoSpace,
    Status::NotPermitted,
    Status::NotSupported,
    Status::ShuttingDown,
    Status::NoMemory,
];

fn spoil(requests: &[Request], answers: &mut [Completion], how: impl Fn(&mut Span)) {
    for (request, answer) in requests.iter().zip(answers) {
        if request.operation == Operation::Read {
            how(&mut answer.data);
        }
    }
}

fn spoil_status(requests: &[Request], answers: &mut [Completion]) {
    spoil(requests, answers, |span| {
        *span = Span {
            address: u32::MAX - 1,
            length: u32::MAX,
        };
    });
    for (request, answer) in requests.iter().zip(answers) {
        if request.operation == Operation::Read {
            answer.status = Status::IoError;
        }
    }
}

fn allocate() {
    let mut held = Vec::new();
    loop {
        held.push(black_box(vec![1u8; 1 << 20]));
    }
}

/// Takes all the memory there is, and goes on.
fn grow() {
    #[cfg(target_arch = "wasm32")]
    while core::arch::wasm32::memory_grow(0, 16) != usize::MAX {}
}

fn talk(fault: &str, first: bool) {
    let long = "x".repeat(4 << 20);
    match fault {
        "log-many" if first => {
            for _ in 0..50_000 {
                log(Level::Info, "again");
            }
        }
        "log-huge" if first => log(Level::Warn, &long),
        "log-control" if first => log(Level::Warn, "\x1b[2J\r\n\0 \u{202e}"),
        "log-endless" => loop {
            log(Level::Trace, &long);
        },
        _ => {}
    }
}

fn tell(fault: &str, first: bool, effects: &mut Effects) {
    if !first && fault != "notices-steady" {
        return;
    }
    let suspended = |text: &str| Notice::Suspended(String::from(text));
    let mut geometry = geometry("");
    let notices = &mut effects.notices;
    match fault {
        "notices-many" => notices.extend((0..100_000).map(|_| suspended(""))),
        "notices-amplified" => notices.extend(amplified()),
        "notices-steady" => {
            notices.extend((0..1000).map(|_| Notice::Found(String::from("again"))));
            effects.deadline = Some(0);
        }
        "notice-control" => notices.push(suspended("\x1b[2Ja\nb")),
        "notice-long" => notices.push(suspended(&"x".repeat(4 << 20))),
        "failed-then-more" => notices.extend([
            Notice::Failed(String::from("over")),
            Notice::Ready(geometry),
            Notice::Failed(String::from("and over")),
            Notice::Stopped,
        ]),
        "stopped" => notices.push(Notice::Stopped),
        "grown" => {
            geometry.size += 512;
            notices.push(Notice::Ready(geometry));
        }
        "shrink-later" => {
            geometry.size -= 512;
            notices.push(Notice::Ready(geometry));
        }
        "block-later" => {
            geometry.block_size = 1024;
            notices.push(Notice::Ready(geometry));
        }
        "impossible-later" => {
            geometry.max_transfer = 0;
            notices.push(Notice::Ready(geometry));
        }
        _ => {}
    }
}

/// Many texts that are all the same megabyte of memory: little for the guest,
/// gigabytes for a host that copies each.
fn amplified() -> Vec<Notice> {
    let bytes = vec![b'x'; 1 << 20].leak();
    let text = || {
        // SAFETY: deliberately none: the bytes are text, but the one buffer has
        // thousands of owners. The host traps the instance before any frees it.
        unsafe { String::from_raw_parts(bytes.as_ptr().cast_mut(), bytes.len(), bytes.len()) }
    };
    (0..4000).map(|_| Notice::Found(text())).collect()
}
