//! Receiving data without smoltcp: data that arrives in order is shown to its reader in
//! the frame, and never enters a socket buffer.
//!
//! smoltcp believes that the peer sent nothing: it gets only the header of such a
//! segment, for the acknowledgement and the window. All of the peer's sequence numbers
//! that it sends or is given are shifted by the number of bytes that bypassed it:
//! [`Bypass::shift`]. Data out of order, and all other segments, go through smoltcp as
//! usual.
//! whatever is no plain data, goes through smoltcp as ever.

use alloc::vec::Vec;

use smoltcp::phy::PacketMeta;
use smoltcp::socket::tcp;
use smoltcp::wire::IpEndpoint;

use crate::checksum;
use crate::connection::{Handle, Owner};
use crate::headers::{ACK, PSH, RST, Tcp};
use crate::interface::window_scale;
use crate::stack::Stack;
use crate::transmit::Transmit;

/// The room for Ethernet, the longer of both IP headers without options, and TCP without
/// options.
const TEMPLATE: usize = 14 + 40 + 20;
/// The longest headers of a frame that goes this way.
const HEADERS: usize = 14 + 40 + 60;

/// A connection, some of whose data bypasses smoltcp.
#[derive(Debug)]
pub(crate) struct Bypass {
    pub(crate) local: IpEndpoint,
    pub(crate) remote: IpEndpoint,
    /// The number of bytes that bypassed smoltcp, modulo 2^32.
    shift: u32,
    /// Whether they are not acknowledged yet.
    owed: bool,
    /// The sequence number after the last byte sent.
    send_next: u32,
    /// The headers of the last frame sent, without options, from which acknowledgements
    /// are made. Empty before the first.
    template: [u8; TEMPLATE],
    length: usize,
    ipv6: bool,
}

impl Bypass {
    /// A bypass for a connection whose peer has received everything, up to `send_next`.
    fn new(local: IpEndpoint, remote: IpEndpoint, send_next: u32) -> Self {
        Self {
            local,
            remote,
            shift: 0,
            owed: false,
            send_next,
            template: [0; TEMPLATE],
            length: 0,
            ipv6: false,
        }
    }

    pub(crate) fn is_of(&self, local: IpEndpoint, remote: IpEndpoint) -> bool {
        self.local == local && self.remote == remote
    }

    /// Corrects the acknowledgement number of a segment that smoltcp sends, before the
    /// checksum is made.
    pub(crate) fn sent(&mut self, frame: &mut [u8], tcp: &Tcp) {
        let start = tcp.segment.start;
        let next = tcp.sequence(frame).wrapping_add(tcp.sequence_length());
        if next.wrapping_sub(self.send_next) as i32 > 0 {
            self.send_next = next;
        } else if tcp.sequence_length() == 0 && tcp.flags & RST == 0 {
            // While smoltcp retransmits, it puts the number of the next retransmission
            // into an acknowledgement, which the peer then ignores as old. (RFC 9293
            // §3.10.7.4 requires SND.NXT there.)
            frame[start + 4..start + 8].copy_from_slice(&self.send_next.to_be_bytes());
        }
        if let Some(template) = frame.get(..start + 20).filter(|f| f.len() <= TEMPLATE) {
            self.template[..template.len()].copy_from_slice(template);
            self.length = template.len();
            self.ipv6 = tcp.ipv6;
        }
        if tcp.flags & ACK == 0 {
            return;
        }
        add(frame, start + 8, self.shift);
        for block in tcp.sack_blocks(frame) {
            add(frame, block, self.shift);
            add(frame, block + 4, self.shift);
        }
        self.owed = false;
    }

    /// Writes an acknowledgement of everything before `next` as smoltcp would write it:
    /// the acknowledged number is shifted when it is sent.
    fn write(&self, frame: &mut [u8], next: u32, window: u16) {
        frame.copy_from_slice(&self.template[..self.length]);
        let start = self.length - 20;
        set_lengths(frame, self.ipv6, start, 20);
        let acknowledgement = next.wrapping_sub(self.shift);
        frame[start + 4..start + 8].copy_from_slice(&self.send_next.to_be_bytes());
        frame[start + 8..start + 12].copy_from_slice(&acknowledgement.to_be_bytes());
        frame[start + 12..start + 14].copy_from_slice(&[5 << 4, ACK]);
        frame[start + 14..start + 16].copy_from_slice(&window.to_be_bytes());
        frame[start + 16..start + 20].fill(0);
    }

    /// Shifts the numbers of a received segment to those that smoltcp expects.
    fn translate(&self, frame: &mut [u8], tcp: &Tcp) {
        add(frame, tcp.segment.start + 4, self.shift.wrapping_neg());
    }
}

/// Adds to the 32 bits at `at`, which lie in the frame.
fn add(frame: &mut [u8], at: usize, what: u32) {
    if let Some(field) = frame.get_mut(at..).and_then(|f| f.first_chunk_mut::<4>()) {
        *field = u32::from_be_bytes(*field).wrapping_add(what).to_be_bytes();
    }
}

/// Sets the lengths in the IP header of a packet whose segment starts at `start` and is
/// `segment` bytes long.
fn set_lengths(frame: &mut [u8], ipv6: bool, start: usize, segment: usize) {
    let ip = 14;
    let header = start - ip;
    if ipv6 {
        frame[ip + 4..ip + 6].copy_from_slice(&((segment + header - 40) as u16).to_be_bytes());
        return;
    }
    frame[ip + 2..ip + 4].copy_from_slice(&((header + segment) as u16).to_be_bytes());
    frame[ip + 10..ip + 12].fill(0);
    let sum = checksum::complete(&frame[ip..ip + header]);
    frame[ip + 10..ip + 12].copy_from_slice(&sum.to_be_bytes());
}

impl Stack {
    /// Receives a frame as [`Stack::receive`] does, but data of `handle` that arrives in
    /// order is shown to `take`, all of it, and is then received. Returns whether that
    /// happened; otherwise the data is read as usual.
    pub fn receive_direct(
        &mut self,
        now: u64,
        frame: &[u8],
        known: crate::Checksum,
        handle: Handle,
        take: impl FnOnce(&[u8]),
    ) -> bool {
        let Some(tcp) = self.admit(now, frame, known) else {
            return false;
        };
        let Some(place) = self.goes_direct(frame, &tcp, handle) else {
            self.receive_tcp(now, frame, &tcp);
            return false;
        };
        let payload = &frame[tcp.segment.start + tcp.header..tcp.segment.end];
        let length = payload.len();
        take(payload);
        let news = self.tell_of(frame, &tcp, handle);
        if news {
            let mut headers = [0; HEADERS];
            let headers = &mut headers[..tcp.segment.start + tcp.header];
            headers.copy_from_slice(&frame[..headers.len()]);
            set_lengths(headers, tcp.ipv6, tcp.segment.start, tcp.header);
            self.transmit.bypasses[place].translate(headers, &tcp);
            self.ingress(now, headers);
        }
        let bypass = &mut self.transmit.bypasses[place];
        bypass.shift = bypass.shift.wrapping_add(length as u32);
        bypass.owed = true;
        if let Some(connection) = self.table.get_mut(handle) {
            connection.observed.taken(length);
        }
        true
    }

    /// The index of the connection's bypass, if a segment may use it.
    fn goes_direct(&mut self, frame: &[u8], tcp: &Tcp, handle: Handle) -> Option<usize> {
        let connection = self.table.get(handle)?;
        let socket = self.sockets.get::<tcp::Socket>(connection.socket);
        let plain = tcp.flags & !PSH == ACK && tcp.payload() > 0;
        let (remote, local) = tcp.endpoints(frame);
        let ours =
            socket.remote_endpoint() == Some(remote) && socket.local_endpoint() == Some(local);
        let open = socket.state() == tcp::State::Established && connection.owner == Owner::User;
        if !plain || !ours || !open || tcp.segment.start + tcp.header > HEADERS {
            return None;
        }
        // This replaces the checks of smoltcp. (RFC 1122 §3.2.1.2 requires the sum to be
        // verified.)
        let sound = tcp.ipv6 || checksum::complete(&frame[14..tcp.segment.start]) == 0;
        if !sound || frame[..6] != self.config.mac {
            return None;
        }
        let fits = tcp.payload() <= self.config.receive_buffer;
        let observed = &connection.observed;
        if socket.recv_queue() > 0 || !fits || !observed.continues(frame, tcp) {
            return None;
        }
        let mut bypasses = self.transmit.bypasses.iter();
        let place = bypasses.position(|bypass| bypass.is_of(local, remote));
        // Acknowledging is possible only once something was sent.
        place.filter(|&place| self.transmit.bypasses[place].length > 0)
    }

    /// Notes the contents of a segment's header. Returns whether smoltcp has to see it:
    /// data that repeats an acknowledgement must not look like a duplicate of it.
    fn tell_of(&mut self, frame: &[u8], tcp: &Tcp, handle: Handle) -> bool {
        let buffer = self.config.receive_buffer;
        let Some(connection) = self.table.get_mut(handle) else {
            return false;
        };
        let before = connection.observed.heard();
        connection.observed.received(frame, tcp, buffer);
        before != connection.observed.heard() || connection.observed.all_acknowledged()
    }

    /// Passes a segment to smoltcp, with the numbers that it expects.
    pub(crate) fn ingress_translated(&mut self, now: u64, frame: &[u8], tcp: &Tcp) {
        let (remote, local) = tcp.endpoints(frame);
        let mut bypasses = self.transmit.bypasses.iter();
        let moved = bypasses.find(|b| b.is_of(local, remote) && b.shift != 0);
        let Some(bypass) = moved else {
            return self.ingress(now, frame);
        };
        let (mut short, mut long) = ([0; HEADERS], Vec::new());
        let copy = match short.get_mut(..frame.len()) {
            Some(copy) => {
                copy.copy_from_slice(frame);
                copy
            }
            None => {
                long.extend_from_slice(frame);
                &mut long[..]
            }
        };
        bypass.translate(copy, tcp);
        self.ingress(now, copy);
    }

    /// Acknowledges bypassed data that no other frame has acknowledged.
    pub(crate) fn acknowledge(&mut self) {
        let scale = window_scale(&self.config);
        for place in 0..self.transmit.bypasses.len() {
            let bypass = &self.transmit.bypasses[place];
            let (local, remote) = (bypass.local, bypass.remote);
            if !bypass.owed || !self.transmit.fits(bypass.length) {
                continue;
            }
            let Some((connection, _)) = self.table.find(&self.sockets, local, remote) else {
                continue;
            };
            let Some(next) = connection.observed.next() else {
                continue;
            };
            // All was taken, so all of the buffer is free.
            let shift = if connection.observed.scales() {
                scale
            } else {
                0
            };
            let window = (self.config.receive_buffer >> shift).min(0xffff) as u16;
            self.transmit.acknowledge(place, next, window);
        }
    }

    /// Removes bypasses of connections that no longer exist.
    pub(crate) fn prune(&mut self) {
        let (table, sockets) = (&self.table, &self.sockets);
        self.transmit.bypasses.retain(|bypass| {
            table.iter().any(|(_, connection)| {
                let socket = sockets.get::<tcp::Socket>(connection.socket);
                let ends = (socket.local_endpoint(), socket.remote_endpoint());
                ends == (Some(bypass.local), Some(bypass.remote))
            })
        });
    }
}

impl Transmit {
    /// Opens a bypass for a connection that begins, or resumes here, with nothing under
    /// way: `send_next` is the sequence number of the first byte to send.
    pub(crate) fn open_bypass(&mut self, local: IpEndpoint, remote: IpEndpoint, send_next: u32) {
        self.bypasses.retain(|bypass| !bypass.is_of(local, remote));
        self.bypasses.push(Bypass::new(local, remote, send_next));
    }

    /// Sends an acknowledgement of everything before `next`.
    fn acknowledge(&mut self, place: usize, next: u32, window: u16) {
        let bypass = &self.bypasses[place];
        let length = bypass.length;
        let mut frame = [0; TEMPLATE];
        bypass.write(&mut frame[..length], next, window);
        self.emit(length, PacketMeta::default(), |bytes| {
            bytes.copy_from_slice(&frame[..length]);
        });
    }
}
