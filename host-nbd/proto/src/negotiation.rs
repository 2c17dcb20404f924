//! Newstyle negotiation ("Fixed newstyle negotiation") as a state machine.
//!
//! The caller feeds received bytes in any pieces with [`Negotiation::receive`],
//! calls [`Negotiation::step`] until it says [`Step::Receive`], answers its
//! questions, and sends what [`Negotiation::take_output`] returns after each
//! step. A client can make it hold at most one option ([`MAX_OPTION`] bytes) and
//! what the caller received in one piece; it can make it answer at most
//! [`MAX_OPTIONS`] times. How long it may take is the caller's to limit.

mod outcome;

use crate::export::ExportInfo;
use crate::option::{self, Malformed, MetaVerb, Wanted};
use crate::option_reply;
use crate::reply::Style;
use crate::session::Session;
use crate::wire::{BASE_ALLOCATION_ID, IHAVEOPT, MAX_STRING, client, opt, rep};

pub use outcome::{ListEntry, Step, Unavailable, Violation};

/// Longest option data that is examined, in bytes; a longer option is skipped and
/// refused.
pub const MAX_OPTION: usize = 16 << 10;
/// Longest option data that is skipped, in bytes; a longer one ends the connection.
pub const MAX_SKIP: u32 = 1 << 20;
/// Options one connection may send.
pub const MAX_OPTIONS: u32 = 256;

const OPTION_HEADER: usize = 16;

#[derive(Debug)]
enum State {
    ClientFlags,
    Option,
    /// Dropping the data of an option that was too long.
    Skip {
        option: u32,
        left: usize,
    },
    AwaitList,
    AwaitExport {
        option: u32,
        name: String,
        purpose: Purpose,
    },
    Finished(Session),
    Aborted,
    Failed(Violation),
}

/// The option that asked for an export.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    ExportName,
    Info(Wanted),
    Go(Wanted),
    Meta { verb: MetaVerb, matched: bool },
}

/// One connection's negotiation.
#[derive(Debug)]
pub struct Negotiation {
    state: State,
    input: Vec<u8>,
    output: Vec<u8>,
    options: u32,
    fixed: bool,
    no_zeroes: bool,
    structured: bool,
    /// The export, as the client named it, for which `base:allocation` is
    /// selected.
    context: Option<String>,
}

impl Default for Negotiation {
    fn default() -> Self {
        Self::new()
    }
}

impl Negotiation {
    /// A connection just accepted, with the greeting waiting in the output.
    #[must_use]
    pub fn new() -> Self {
        let mut output = Vec::new();
        option_reply::greeting(&mut output);
        Self {
            state: State::ClientFlags,
            input: Vec::new(),
            output,
            options: 0,
            fixed: false,
            no_zeroes: false,
            structured: false,
            context: None,
        }
    }

    /// The fewest bytes that the next step needs, at [`Step::Receive`]. A caller that
    /// never receives more leaves the data of the transmission phase on the socket.
    #[must_use]
    pub fn wants(&self) -> usize {
        let whole = match &self.state {
            State::ClientFlags => 4,
            State::Skip { left, .. } => *left,
            State::Option => OPTION_HEADER + self.option_length().unwrap_or(0),
            _ => 0,
        };
        whole.saturating_sub(self.input.len())
    }

    /// At [`Step::Export`], whether the client goes on to transmission with that
    /// export when it is available, and does not only ask about it.
    #[must_use]
    pub fn enters(&self) -> bool {
        let State::AwaitExport { purpose, .. } = &self.state else {
            return false;
        };
        matches!(purpose, Purpose::ExportName | Purpose::Go(_))
    }

    /// Takes bytes from the client. Only called at [`Step::Receive`], it keeps no
    /// more than one option and one piece.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// The bytes to send; may be empty.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Bytes that the client sent after the negotiation was over.
    #[must_use]
    pub fn into_rest(self) -> Vec<u8> {
        self.input
    }

    /// Goes on as far as one option. Questions are repeated until answered, and
    /// the end until the caller takes note.
    pub fn step(&mut self) -> Result<Step, Violation> {
        let outcome = match &self.state {
            State::ClientFlags => self.client_flags(),
            State::Option => self.option(),
            State::Skip { option, left } => Ok(self.skip(*option, *left)),
            State::AwaitList => Ok(Step::List),
            State::AwaitExport { name, .. } => Ok(Step::Export(name.clone())),
            State::Finished(session) => Ok(Step::Transmission(session.clone())),
            State::Aborted => Ok(Step::Aborted),
            State::Failed(violation) => Err(violation.clone()),
        };
        if let Err(violation) = &outcome {
            self.state = State::Failed(violation.clone());
        }
        outcome
    }

    /// Answers [`Step::List`]; does nothing when that was not asked. Entries that
    /// the protocol cannot carry are left out.
    pub fn list(&mut self, entries: impl IntoIterator<Item = ListEntry>) {
        if !matches!(self.state, State::AwaitList) {
            return;
        }
        for ListEntry { name, description } in entries {
            let fits = |text: &str| text.len() <= MAX_STRING && !text.contains('\0');
            if fits(&name) {
                let description = if fits(&description) {
                    &*description
                } else {
                    ""
                };
                option_reply::server(&mut self.output, opt::LIST, &name, description);
            }
        }
        self.ack(opt::LIST);
        self.state = State::Option;
    }

    /// Answers [`Step::Export`]; does nothing when that was not asked.
    pub fn export(&mut self, export: Result<&ExportInfo, Unavailable>) {
        let State::AwaitExport {
            option,
            name,
            purpose,
        } = std::mem::replace(&mut self.state, State::Option)
        else {
            return;
        };
        match export {
            Ok(export) => self.available(option, name, purpose, export),
            Err(reason) => self.unavailable(option, name, purpose, &reason),
        }
    }

    fn available(&mut self, option: u32, name: String, purpose: Purpose, export: &ExportInfo) {
        match purpose {
            Purpose::ExportName => {
                self.output.extend_from_slice(&export.size.to_be_bytes());
                let flags = export.transmission_flags(self.structured);
                self.output.extend_from_slice(&flags.to_be_bytes());
                if !self.no_zeroes {
                    self.output.extend_from_slice(&[0; 124]);
                }
                self.state = State::Finished(self.agree(export, &name));
            }
            Purpose::Info(wanted) | Purpose::Go(wanted) => {
                option_reply::export(&mut self.output, option, export, wanted, self.structured);
                if matches!(purpose, Purpose::Go(_)) {
                    self.state = State::Finished(self.agree(export, &name));
                }
            }
            Purpose::Meta { verb, matched } => {
                if matched {
                    // Identifiers have no meaning in a list and should be 0.
                    let id = if verb == MetaVerb::Set {
                        BASE_ALLOCATION_ID
                    } else {
                        0
                    };
                    option_reply::meta_context(&mut self.output, option, id);
                    if verb == MetaVerb::Set {
                        self.context = Some(name);
                    }
                }
                self.ack(option);
            }
        }
    }

    fn unavailable(&mut self, option: u32, name: String, purpose: Purpose, why: &Unavailable) {
        if matches!(purpose, Purpose::ExportName) {
            self.state = State::Failed(Violation::Export {
                // A name may have 4096 bytes, and the reader of this line wants the
                // reason too.
                name: name.chars().take(64).collect(),
                reason: why.to_string(),
            });
            return;
        }
        let kind = match why {
            Unavailable::Unknown | Unavailable::NotReady(_) => rep::ERR_UNKNOWN,
            Unavailable::ShuttingDown => rep::ERR_SHUTDOWN,
            Unavailable::Refused(_) => rep::ERR_POLICY,
        };
        self.refuse(option, kind, &why.to_string());
    }

    fn agree(&self, export: &ExportInfo, name: &str) -> Session {
        let style = if self.structured {
            Style::Structured
        } else {
            Style::Simple
        };
        let allocation = self.structured && self.context.as_deref() == Some(name);
        Session::new(export, style, allocation)
    }

    fn client_flags(&mut self) -> Result<Step, Violation> {
        let Some(bytes) = self.input.first_chunk() else {
            return Ok(Step::Receive);
        };
        let flags = u32::from_be_bytes(*bytes);
        if flags & !(client::FIXED_NEWSTYLE | client::NO_ZEROES) != 0 {
            return Err(Violation::ClientFlags(flags));
        }
        self.input.drain(..4);
        self.fixed = flags & client::FIXED_NEWSTYLE != 0;
        self.no_zeroes = flags & client::NO_ZEROES != 0;
        self.state = State::Option;
        Ok(Step::Replied)
    }

    /// Handles one option if it is there whole.
    fn option(&mut self) -> Result<Step, Violation> {
        let Some(header) = self.input.first_chunk::<OPTION_HEADER>() else {
            return Ok(Step::Receive);
        };
        let [magic, rest] = [&header[..8], &header[8..]];
        let magic = u64::from_be_bytes(magic.try_into().expect("eight bytes"));
        let option = u32::from_be_bytes(rest[..4].try_into().expect("four bytes"));
        let length = u32::from_be_bytes(rest[4..].try_into().expect("four bytes"));
        if magic != IHAVEOPT {
            return Err(Violation::OptionMagic(magic));
        }
        if !self.fixed && option != opt::EXPORT_NAME {
            return Err(Violation::NotFixed(option));
        }
        let size = length as usize;
        let skippable = option != opt::EXPORT_NAME && length <= MAX_SKIP;
        if size > MAX_OPTION && !skippable {
            return Err(Violation::TooLarge { option, length });
        }
        if size <= MAX_OPTION && self.input.len() < OPTION_HEADER + size {
            return Ok(Step::Receive);
        }
        self.options += 1;
        if self.options > MAX_OPTIONS {
            return Err(Violation::TooMany);
        }
        self.input.drain(..OPTION_HEADER);
        if option == opt::SET_META_CONTEXT {
            // The earlier selection is gone, "including when this command fails":
            // whatever the option's data is, and although the data may never be examined.
            self.context = None;
        }
        if size > MAX_OPTION {
            return Ok(self.skip(option, size));
        }
        let data: Vec<u8> = self.input.drain(..size).collect();
        if option == opt::EXPORT_NAME {
            self.export_name(&data)?;
        } else if let Err(malformed) = self.dispatch(option, &data) {
            self.refuse(option, rep::ERR_INVALID, malformed);
        }
        Ok(Step::Replied)
    }

    /// The number of data bytes of the current option that have to be held, once known.
    fn option_length(&self) -> Option<usize> {
        let header = self.input.first_chunk::<OPTION_HEADER>()?;
        let length = u32::from_be_bytes(*header.last_chunk().expect("four bytes"));
        Some(length as usize).filter(|length| *length <= MAX_OPTION)
    }

    fn skip(&mut self, option: u32, left: usize) -> Step {
        let there = left.min(self.input.len());
        self.input.drain(..there);
        if there < left {
            self.state = State::Skip {
                option,
                left: left - there,
            };
            return Step::Receive;
        }
        self.state = State::Option;
        self.refuse(option, rep::ERR_TOO_BIG, "option data is too long");
        Step::Replied
    }

    /// Handles the one option whose only error is the end of the connection.
    fn export_name(&mut self, data: &[u8]) -> Result<(), Violation> {
        let name = option::export_name(data).map_err(|reason| Violation::Export {
            name: String::from_utf8_lossy(&data[..data.len().min(64)]).into_owned(),
            reason: reason.to_owned(),
        })?;
        self.ask(opt::EXPORT_NAME, name, Purpose::ExportName);
        Ok(())
    }

    fn dispatch(&mut self, option: u32, data: &[u8]) -> Result<(), Malformed> {
        match option {
            // The data has to be ignored.
            opt::ABORT => {
                self.ack(option);
                self.state = State::Aborted;
            }
            opt::LIST if data.is_empty() => self.state = State::AwaitList,
            opt::STRUCTURED_REPLY if data.is_empty() => self.structured_reply()?,
            opt::STARTTLS if data.is_empty() => {
                self.refuse(option, rep::ERR_UNSUP, "TLS is not supported");
            }
            opt::LIST | opt::STRUCTURED_REPLY | opt::STARTTLS => {
                return Err("this option has no data");
            }
            opt::INFO | opt::GO => self.info(option, data)?,
            opt::LIST_META_CONTEXT | opt::SET_META_CONTEXT => self.meta(option, data)?,
            _ => self.refuse(option, rep::ERR_UNSUP, "unknown option"),
        }
        Ok(())
    }

    fn structured_reply(&mut self) -> Result<(), Malformed> {
        if self.structured {
            return Err("structured replies were negotiated already");
        }
        self.structured = true;
        self.ack(opt::STRUCTURED_REPLY);
        Ok(())
    }

    fn info(&mut self, option: u32, data: &[u8]) -> Result<(), Malformed> {
        let (name, wanted) = option::info(data)?;
        let purpose = if option == opt::GO {
            Purpose::Go(wanted)
        } else {
            Purpose::Info(wanted)
        };
        self.ask(option, name, purpose);
        Ok(())
    }

    fn meta(&mut self, option: u32, data: &[u8]) -> Result<(), Malformed> {
        let verb = if option == opt::SET_META_CONTEXT {
            MetaVerb::Set
        } else {
            MetaVerb::List
        };
        if !self.structured {
            return Err("structured replies must be negotiated first");
        }
        let (name, matched) = option::meta_context(data, verb)?;
        self.ask(option, name, Purpose::Meta { verb, matched });
        Ok(())
    }

    fn ask(&mut self, option: u32, name: String, purpose: Purpose) {
        self.state = State::AwaitExport {
            option,
            name,
            purpose,
        };
    }

    fn ack(&mut self, option: u32) {
        option_reply::reply(&mut self.output, option, rep::ACK, &[]);
    }

    fn refuse(&mut self, option: u32, kind: u32, message: &str) {
        let message = &message[..message.floor_char_boundary(MAX_STRING)];
        option_reply::reply(&mut self.output, option, kind, &[message.as_bytes()]);
    }
}

#[cfg(test)]
mod tests;
