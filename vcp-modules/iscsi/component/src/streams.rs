//! The connection over the host's TCP.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::SocketAddr;

use vcp_sdk::Arena;
use vcp_sdk::net::streams::{CloseOp, ConnectOp, Event, SendOp};
use vcp_sdk::processor::{Effects, Events};
use vcp_sdk::types::Span;

use crate::transport::Change;

/// The credit with which a stream opens, as `vcp:net/streams` defines it, and so the most
/// bytes that are ever unsent.
const CREDIT: usize = 1 << 20;

/// The base of the buffer natively, where there is no linear memory.
const BUFFER_BASE: u32 = 0x3000_0000;

pub(crate) struct Streams {
    /// The stream in use.
    current: Option<u32>,
    last: u32,
    open: bool,
    credit: usize,
    /// The bytes of this call, and their number.
    pub(crate) buffer: Arena,
    used: usize,
    /// The next entry of `stream-data` to look at.
    next: usize,
    connect: Option<ConnectOp>,
    closes: Vec<CloseOp>,
    changes: Vec<Change>,
}

impl Streams {
    pub(crate) fn new() -> Self {
        Self {
            current: None,
            last: 0,
            open: false,
            credit: 0,
            buffer: Arena::new(CREDIT as u32, BUFFER_BASE),
            used: 0,
            next: 0,
            connect: None,
            closes: Vec::new(),
            changes: Vec::new(),
        }
    }

    pub(crate) fn begin(&mut self, events: &Events) {
        self.used = 0;
        self.next = 0;
        for event in &events.stream_events {
            match event {
                Event::Opened(id) if Some(*id) == self.current => {
                    self.open = true;
                    self.credit = CREDIT;
                    self.changes.push(Change::Connected);
                }
                Event::Sent((id, bytes)) if Some(*id) == self.current => {
                    self.credit = (self.credit + *bytes as usize).min(CREDIT);
                }
                Event::Closed((id, why)) if Some(*id) == self.current => {
                    self.current = None;
                    self.open = false;
                    self.changes.push(Change::Disconnected(why.clone()));
                }
                // The news is about a stream that was given up.
                _ => {}
            }
        }
    }

    /// The open stream, and its credit.
    pub(crate) fn hold(&self) -> Result<(u32, u32), String> {
        match self.current {
            Some(stream) if self.open && self.changes.is_empty() => {
                Ok((stream, self.credit as u32))
            }
            _ => Err("there is no open stream".into()),
        }
    }

    /// Resumes an open stream.
    pub(crate) fn resume(&mut self, stream: u32, credit: u32) -> Result<(), String> {
        if credit as usize > CREDIT || stream == 0 {
            return Err(format!("a stream {stream} with a credit of {credit} bytes"));
        }
        self.current = Some(stream);
        self.last = stream;
        self.open = true;
        self.credit = credit as usize;
        Ok(())
    }

    pub(crate) fn connect(&mut self, address: SocketAddr) {
        self.last = self.last.wrapping_add(1);
        self.current = Some(self.last);
        self.connect = Some(ConnectOp {
            stream: self.last,
            address: address.ip().to_string(),
            port: address.port(),
        });
    }

    pub(crate) fn close(&mut self, abort: bool) {
        self.changes.clear();
        self.open = false;
        let Some(stream) = self.current.take() else {
            return;
        };
        if self.connect.take().is_none() {
            self.closes.push(CloseOp { stream, abort });
        }
    }

    pub(crate) fn change(&mut self) -> Option<Change> {
        (!self.changes.is_empty()).then(|| self.changes.remove(0))
    }

    pub(crate) fn receive(
        &mut self,
        events: &Events,
        receive: &Arena,
        take: impl FnOnce(&[u8]),
    ) -> bool {
        while let Some(entry) = events.stream_data.get(self.next) {
            self.next += 1;
            // The last bytes of a stream come together with its end.
            if entry.stream == self.last
                && let Some(bytes) = receive.get(entry.data)
            {
                take(bytes);
                return true;
            }
        }
        false
    }

    pub(crate) fn send(&mut self, fill: impl FnOnce(&mut [u8]) -> usize) -> usize {
        let room = self.credit.min(CREDIT - self.used);
        if !self.open || room == 0 {
            return 0;
        }
        let free = self.part(self.used, room);
        let free = self.buffer.get_mut(free).expect("a part of the buffer");
        let written = fill(free).min(room);
        self.used += written;
        self.credit -= written;
        written
    }

    pub(crate) fn finish(&mut self, effects: &mut Effects) {
        effects.connects.extend(self.connect.take());
        if let Some(stream) = self.current
            && self.used > 0
        {
            effects.sends.push(SendOp {
                stream,
                data: self.part(0, self.used),
            });
        }
        effects.closes.append(&mut self.closes);
    }

    fn part(&self, start: usize, length: usize) -> Span {
        Span {
            address: self.buffer.span().address + start as u32,
            length: length as u32,
        }
    }
}
