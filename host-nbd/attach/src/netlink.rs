//! A conversation with the kernel over generic netlink: one request, its answers,
//! and the acknowledgement that ends it.

use std::io;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_REQUEST, NetlinkDeserializable, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlFamily, GenlMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use crate::error::AttachError;
use crate::message::NbdMessage;

/// How long to wait for an answer. The kernel answers while it takes the request, so this
/// time passes only if something is wrong.
const PATIENCE: Duration = Duration::from_secs(5);

/// A netlink socket, and the family's number, which lasts until the driver is loaded
/// again.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: Socket,
    family: u16,
    sequence: u32,
}

impl Netlink {
    /// Looks the family up; `None` while the driver is not there.
    pub(crate) fn open() -> Result<Option<Self>, AttachError> {
        let mut socket = Socket::new(NETLINK_GENERIC).map_err(AttachError::of_socket)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE)).map_err(io::Error::from)?;
        let mut netlink = Self {
            socket,
            family: 0,
            sequence: 0,
        };
        let wanted = GenlCtrl {
            cmd: GenlCtrlCmd::GetFamily,
            nlas: vec![GenlCtrlAttrs::FamilyName(
                NbdMessage::family_name().to_owned(),
            )],
        };
        let answers = match netlink.ask(GenlMessage::from_payload(wanted))? {
            Ok(answers) => answers,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let id = answers.into_iter().flat_map(|answer| answer.nlas);
        let id = id.into_iter().find_map(|attribute| match attribute {
            GenlCtrlAttrs::FamilyId(id) => Some(id),
            _ => None,
        });
        netlink.family = id.ok_or_else(|| AttachError::Garbled("no number of a family".into()))?;
        Ok(Some(netlink))
    }

    /// Sends one request, and waits until it is done. The inner error is the kernel's
    /// verdict on the request.
    pub(crate) fn nbd(
        &mut self,
        request: NbdMessage,
    ) -> Result<io::Result<Vec<NbdMessage>>, AttachError> {
        let mut message = GenlMessage::from_payload(request);
        message.set_resolved_family_id(self.family);
        self.ask(message)
    }

    fn ask<F>(&mut self, message: GenlMessage<F>) -> Result<io::Result<Vec<F>>, AttachError>
    where
        F: GenlFamily + std::fmt::Debug,
        GenlMessage<F>: NetlinkSerializable + NetlinkDeserializable,
    {
        self.sequence += 1;
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut answers = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            let mut rest = &datagram[..];
            while !rest.is_empty() {
                let garbled = |error: netlink_packet_core::DecodeError| {
                    AttachError::Garbled(error.to_string())
                };
                let answer =
                    NetlinkMessage::<GenlMessage<F>>::deserialize(rest).map_err(garbled)?;
                let length = (answer.header.length as usize).next_multiple_of(4);
                rest = &rest[length.clamp(1, rest.len())..];
                if answer.header.sequence_number != self.sequence {
                    continue;
                }
                match answer.payload {
                    NetlinkPayload::Error(end) => {
                        return Ok(match end.code {
                            None => Ok(answers),
                            Some(_) => Err(end.to_io()),
                        });
                    }
                    NetlinkPayload::InnerMessage(message) => answers.push(message.into_parts().1),
                    _ => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for the controller's own family, which every kernel has, so that the
    /// conversation is a real one.
    #[test]
    fn the_kernel_answers() {
        let found = Netlink::open();
        let loaded = std::path::Path::new("/sys/module/nbd").exists();
        match found {
            Ok(found) => assert!(found.is_none() || loaded, "a family without a module"),
            Err(error) => panic!("{error}"),
        }
    }
}
