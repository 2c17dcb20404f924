//! Receives PDUs from a byte stream that is cut in any way. Data segments are passed on
//! as they come and never collected here; digests are checked on the way.

use vcp_iscsi_proto::bhs::{BHS_LEN, Bhs, BhsBytes, DIGEST_LEN, padding};
use vcp_iscsi_proto::digest::Crc32c;

/// The next event on the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// A header with the right digest; [`Receiver::header`] has it.
    Header,
    /// The next bytes of its data segment. They are not verified before `End`.
    Data(&'a [u8]),
    /// The PDU is complete, and its data has the right digest.
    End,
}

/// An error after which the stream can't be followed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("wrong header digest")]
    HeaderDigest,
    #[error("wrong data digest")]
    DataDigest,
    #[error("a data segment of {0} bytes is longer than agreed")]
    TooLong(u32),
}

/// The receiving end of a connection.
#[derive(Debug)]
pub(crate) struct Receiver {
    header: BhsBytes,
    /// The next part of the PDU, and how many bytes of it are there.
    part: Part,
    filled: usize,
    bhs: Bhs,
    crc: Crc32c,
    digest: [u8; DIGEST_LEN],
    header_digest: bool,
    data_digest: bool,
    max_data: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Header,
    /// Additional header segments, which are skipped: no PDU of a target has any.
    Additional,
    HeaderDigest,
    Data,
    Padding,
    DataDigest,
    End,
}

impl Receiver {
    /// Makes a receiver without digests, for data segments of up to `max_data` bytes.
    pub(crate) fn new(max_data: u32) -> Self {
        let header = [0; BHS_LEN];
        Self {
            bhs: Bhs::parse(&header),
            header,
            part: Part::Header,
            filled: 0,
            crc: Crc32c::new(),
            digest: [0; DIGEST_LEN],
            header_digest: false,
            data_digest: false,
            max_data,
        }
    }

    /// Applies negotiated parameters from the next PDU on.
    pub(crate) fn configure(&mut self, header_digest: bool, data_digest: bool, max_data: u32) {
        self.header_digest = header_digest;
        self.data_digest = data_digest;
        self.max_data = max_data;
    }

    /// Whether the last PDU is complete and nothing of the next one has come.
    pub(crate) fn is_between_pdus(&self) -> bool {
        self.part == Part::Header && self.filled == 0
    }

    /// The header of the current PDU.
    pub(crate) fn header(&self) -> &BhsBytes {
        &self.header
    }

    /// Consumes bytes of `input` up to the next event; `None` when it is used up.
    pub(crate) fn next<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<Event<'a>>, FrameError> {
        loop {
            match self.part {
                Part::Header => {
                    if !fill(&mut self.header, &mut self.filled, input) {
                        return Ok(None);
                    }
                    self.begin()?;
                }
                Part::Additional => {
                    let Some(chunk) = self.chunk(input, self.bhs.ahs_len) else {
                        return Ok(None);
                    };
                    self.crc.update(chunk);
                    if self.filled == self.bhs.ahs_len {
                        self.enter(Part::HeaderDigest);
                    }
                }
                Part::HeaderDigest => {
                    if self.header_digest {
                        if !fill(&mut self.digest, &mut self.filled, input) {
                            return Ok(None);
                        }
                        self.verify(FrameError::HeaderDigest)?;
                    }
                    let data = self.bhs.data_len > 0;
                    self.crc = Crc32c::new();
                    self.enter(if data { Part::Data } else { Part::End });
                    return Ok(Some(Event::Header));
                }
                Part::Data => return Ok(self.data(input)),
                Part::Padding => {
                    let want = padding(self.bhs.data_len as usize);
                    if want > 0 {
                        let Some(chunk) = self.chunk(input, want) else {
                            return Ok(None);
                        };
                        if self.data_digest {
                            self.crc.update(chunk);
                        }
                    }
                    if self.filled == want {
                        self.enter(Part::DataDigest);
                    }
                }
                Part::DataDigest => {
                    if self.data_digest {
                        if !fill(&mut self.digest, &mut self.filled, input) {
                            return Ok(None);
                        }
                        self.verify(FrameError::DataDigest)?;
                    }
                    self.enter(Part::End);
                }
                Part::End => {
                    self.enter(Part::Header);
                    return Ok(Some(Event::End));
                }
            }
        }
    }

    fn begin(&mut self) -> Result<(), FrameError> {
        self.bhs = Bhs::parse(&self.header);
        if self.bhs.data_len > self.max_data {
            // The length can only be believed once the digest is verified, but either way
            // the connection ends here.
            return Err(FrameError::TooLong(self.bhs.data_len));
        }
        if self.header_digest {
            self.crc = Crc32c::new();
            self.crc.update(&self.header);
        }
        let additional = self.bhs.ahs_len > 0;
        self.enter(if additional {
            Part::Additional
        } else {
            Part::HeaderDigest
        });
        Ok(())
    }

    fn data<'a>(&mut self, input: &mut &'a [u8]) -> Option<Event<'a>> {
        let length = self.bhs.data_len as usize;
        let chunk = self.chunk(input, length)?;
        if self.data_digest {
            self.crc.update(chunk);
        }
        if self.filled == length {
            self.enter(Part::Padding);
        }
        Some(Event::Data(chunk))
    }

    /// The available bytes of a part that is `length` long.
    fn chunk<'a>(&mut self, input: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
        let take = input.len().min(length - self.filled);
        if take == 0 {
            return None;
        }
        let (chunk, rest) = input.split_at(take);
        *input = rest;
        self.filled += take;
        Some(chunk)
    }

    fn enter(&mut self, part: Part) {
        self.part = part;
        self.filled = 0;
    }

    fn verify(&self, error: FrameError) -> Result<(), FrameError> {
        if self.crc.clone().finish() == self.digest {
            Ok(())
        } else {
            Err(error)
        }
    }
}

/// Fills `target` from `input`; `true` when it is full.
fn fill(target: &mut [u8], filled: &mut usize, input: &mut &[u8]) -> bool {
    let take = input.len().min(target.len() - *filled);
    let (chunk, rest) = input.split_at(take);
    target[*filled..*filled + take].copy_from_slice(chunk);
    *input = rest;
    *filled += take;
    *filled == target.len()
}
