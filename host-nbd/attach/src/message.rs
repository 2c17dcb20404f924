//! Messages of the generic-netlink family "nbd", as `linux/nbd-netlink.h` defines
//! them. The encoding of attributes is that of `netlink-packet-core`.

use netlink_packet_core::{
    DecodeError, Emitable, ErrorContext as _, Nla, NlaBuffer, NlasIterator, ParseableParametrized,
    emit_u32, emit_u64, parse_u8, parse_u32,
};
use netlink_packet_generic::{GenlFamily, GenlHeader};

/// The command of a request or an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Connect,
    Disconnect,
    Reconfigure,
    Status,
    /// A command that this crate does not use.
    Other(u8),
}

impl Command {
    fn number(self) -> u8 {
        match self {
            Self::Connect => 1,
            Self::Disconnect => 2,
            Self::Reconfigure => 3,
            Self::Status => 5,
            Self::Other(number) => number,
        }
    }

    fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Connect,
            2 => Self::Disconnect,
            3 => Self::Reconfigure,
            5 => Self::Status,
            other => Self::Other(other),
        }
    }
}

/// An attribute of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attribute {
    Index(u32),
    SizeBytes(u64),
    BlockSizeBytes(u64),
    /// The time limit of a request in seconds; 0: none.
    Timeout(u64),
    /// The transmission flags of the NBD protocol.
    ServerFlags(u64),
    /// Descriptors of this process.
    Sockets(Vec<SocketItem>),
    /// Seconds to wait for new connections.
    DeadConnTimeout(u64),
    BackendIdentifier(String),
}

impl Nla for Attribute {
    fn value_len(&self) -> usize {
        match self {
            Self::Index(_) => 4,
            Self::Sockets(items) => items.as_slice().buffer_len(),
            // The kernel requires the NUL.
            Self::BackendIdentifier(text) => text.len() + 1,
            _ => 8,
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Index(_) => 1,
            Self::SizeBytes(_) => 2,
            Self::BlockSizeBytes(_) => 3,
            Self::Timeout(_) => 4,
            Self::ServerFlags(_) => 5,
            Self::Sockets(_) => 7,
            Self::DeadConnTimeout(_) => 8,
            Self::BackendIdentifier(_) => 10,
        }
    }

    fn is_nested(&self) -> bool {
        matches!(self, Self::Sockets(_))
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        const FITS: &str = "the buffer has value_len bytes";
        match self {
            Self::Index(value) => emit_u32(buffer, *value).expect(FITS),
            Self::SizeBytes(value)
            | Self::BlockSizeBytes(value)
            | Self::Timeout(value)
            | Self::ServerFlags(value)
            | Self::DeadConnTimeout(value) => emit_u64(buffer, *value).expect(FITS),
            Self::Sockets(items) => items.as_slice().emit(buffer),
            Self::BackendIdentifier(text) => {
                buffer[..text.len()].copy_from_slice(text.as_bytes());
                buffer[text.len()] = 0;
            }
        }
    }
}

/// `NBD_SOCK_ITEM`, with its one attribute `NBD_SOCK_FD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SocketItem(pub(crate) u32);

struct SocketFd(u32);

impl Nla for SocketItem {
    fn value_len(&self) -> usize {
        SocketFd(self.0).buffer_len()
    }

    fn kind(&self) -> u16 {
        1
    }

    fn is_nested(&self) -> bool {
        true
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        SocketFd(self.0).emit(buffer);
    }
}

impl Nla for SocketFd {
    fn value_len(&self) -> usize {
        4
    }

    fn kind(&self) -> u16 {
        1
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        emit_u32(buffer, self.0).expect("the buffer has 4 bytes");
    }
}

/// A message in either direction. Requests are built of attributes; of answers only the
/// useful attributes are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NbdMessage {
    pub(crate) command: Command,
    pub(crate) attributes: Vec<Attribute>,
    /// The device numbers in an answer to [`Command::Status`], and whether each is
    /// attached.
    pub(crate) devices: Vec<(u32, bool)>,
}

impl NbdMessage {
    pub(crate) fn request(command: Command, attributes: Vec<Attribute>) -> Self {
        Self {
            command,
            attributes,
            devices: Vec::new(),
        }
    }

    /// The number of the device that an answer is about.
    pub(crate) fn index(&self) -> Option<u32> {
        self.attributes
            .iter()
            .find_map(|attribute| match attribute {
                Attribute::Index(index) => Some(*index),
                _ => None,
            })
    }
}

impl GenlFamily for NbdMessage {
    fn family_name() -> &'static str {
        "nbd"
    }

    fn command(&self) -> u8 {
        self.command.number()
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for NbdMessage {
    fn buffer_len(&self) -> usize {
        self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attributes.as_slice().emit(buffer);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for NbdMessage {
    fn parse_with_param(bytes: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        const INDEX: u16 = 1;
        const DEVICE_LIST: u16 = 9;
        let mut message = Self::request(Command::from_number(header.cmd), Vec::new());
        for attribute in NlasIterator::new(bytes) {
            let attribute = attribute.context("an attribute")?;
            match attribute.kind() {
                INDEX => {
                    let index = parse_u32(attribute.value()).context("NBD_ATTR_INDEX")?;
                    message.attributes.push(Attribute::Index(index));
                }
                DEVICE_LIST => {
                    for item in NlasIterator::new(attribute.value()) {
                        message.devices.push(device(&item.context("a device")?)?);
                    }
                }
                _ => {}
            }
        }
        Ok(message)
    }
}

/// `NBD_DEVICE_ITEM`: `NBD_DEVICE_INDEX` and `NBD_DEVICE_CONNECTED`.
fn device(item: &NlaBuffer<&[u8]>) -> Result<(u32, bool), DecodeError> {
    let (mut index, mut connected) = (None, false);
    for attribute in NlasIterator::new(item.value()) {
        let attribute = attribute.context("of a device")?;
        match attribute.kind() {
            1 => index = Some(parse_u32(attribute.value()).context("NBD_DEVICE_INDEX")?),
            2 => connected = parse_u8(attribute.value()).context("NBD_DEVICE_CONNECTED")? != 0,
            _ => {}
        }
    }
    let index = index.ok_or_else(|| DecodeError::from("a device without a number".to_owned()))?;
    Ok((index, connected))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(message: &NbdMessage) -> Vec<u8> {
        let mut bytes = vec![0xff; message.buffer_len()];
        message.emit(&mut bytes);
        bytes
    }

    fn decode(command: Command, bytes: &[u8]) -> Result<NbdMessage, DecodeError> {
        let header = GenlHeader {
            cmd: command.number(),
            version: 1,
        };
        NbdMessage::parse_with_param(bytes, header)
    }

    /// The words of a request as the kernel's header has them, in the byte order of
    /// this machine.
    #[test]
    fn requests_are_laid_out_as_the_kernel_reads_them() {
        let request = NbdMessage::request(
            Command::Connect,
            vec![
                Attribute::Index(7),
                Attribute::SizeBytes(1 << 40),
                Attribute::Sockets(vec![SocketItem(5), SocketItem(6)]),
                Attribute::BackendIdentifier("abc".to_owned()),
            ],
        );
        let half = u16::to_ne_bytes;
        let word = u32::to_ne_bytes;
        let mut want = Vec::new();
        let mut put = |parts: &[&[u8]]| want.extend(parts.concat());
        put(&[&half(8), &half(1), &word(7)]);
        put(&[&half(12), &half(2), &(1_u64 << 40).to_ne_bytes()]);
        put(&[&half(4 + 2 * 12), &half(0x8007)]);
        for fd in [5, 6] {
            put(&[&half(12), &half(0x8001), &half(8), &half(1), &word(fd)]);
        }
        put(&[&half(8), &half(10), b"abc\0"]);
        assert_eq!(encode(&request), want);
        assert_eq!((request.command(), request.version()), (1, 1));
    }

    #[test]
    fn values_have_their_widths() {
        for (attribute, kind, length) in [
            (Attribute::BlockSizeBytes(512), 3, 8),
            (Attribute::Timeout(0), 4, 8),
            (Attribute::ServerFlags(0x16d), 5, 8),
            (Attribute::DeadConnTimeout(300), 8, 8),
            (Attribute::BackendIdentifier(String::new()), 10, 1),
        ] {
            assert_eq!((attribute.kind(), attribute.value_len()), (kind, length));
        }
    }

    #[test]
    fn answers_are_read() {
        let index = NbdMessage::request(Command::Connect, vec![Attribute::Index(3)]);
        let read = decode(Command::Connect, &encode(&index)).unwrap();
        assert_eq!(read.index(), Some(3));
        let (half, word) = (u16::to_ne_bytes, u32::to_ne_bytes);
        let mut list = Vec::new();
        for (index, connected) in [(0, 1_u8), (9, 0)] {
            list.extend([half(20), half(1), half(8), half(1)].concat());
            list.extend(word(index));
            list.extend([half(5), half(2)].concat());
            list.extend([connected, 0, 0, 0]);
        }
        let mut bytes = [half(4 + 40), half(9)].concat();
        bytes.extend(list);
        let read = decode(Command::Status, &bytes).unwrap();
        assert_eq!(read.devices, [(0, true), (9, false)]);
        assert_eq!(read.index(), None);
    }

    proptest! {
        #[test]
        fn no_answer_panics(bytes: Vec<u8>, command: u8) {
            let _ = decode(Command::from_number(command), &bytes);
        }
    }
}
