//! The PDUs of RFC 7143 §11, one plain struct each, with `parse` from and `emit` to
//! the 48 bytes of a basic header segment. Data segments and additional headers are
//! the caller's: a struct only says how long its data segment is (`data_len`, bytes
//! without padding, 24 bits on the wire).
//!
//! `parse` ignores reserved fields and rejects codes and flag combinations that the
//! standard rules out. `emit` writes all 48 bytes, reserved ones as zero. Nothing
//! here allocates or keeps state.

mod async_message;
mod command;
mod common;
mod data;
mod login;
mod logout;
mod nop;
mod reject;
mod snack;
mod task;
mod text;

pub use async_message::{AsyncEvent, AsyncMessage};
pub use command::{ResponseCode, ScsiCommand, ScsiResponse, TaskAttribute, split_sense};
pub use common::{InitiatorSn, Residual, TargetSn};
pub use data::{DataIn, DataOut, R2t};
pub use login::{LoginRequest, LoginResponse};
pub use logout::{LogoutCode, LogoutReason, LogoutRequest, LogoutResponse};
pub use nop::{NopIn, NopOut};
pub use reject::{Reject, RejectReason};
pub use snack::{Snack, SnackType};
pub use task::{TaskCode, TaskFunction, TaskRequest, TaskResponse};
pub use text::{TextRequest, TextResponse};

use crate::bhs::{BhsBytes, Opcode};
use crate::error::Error;

/// Defines the enum of all PDUs of one side with its dispatch.
macro_rules! side {
    ($(#[$meta:meta])* pub enum $name:ident { $($variant:ident,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = concat!("See [`", stringify!($variant), "`].")] $variant($variant),)+
        }

        impl $name {
            /// Reads the header by its opcode.
            ///
            /// # Errors
            /// [`Error::UnknownOpcode`], [`Error::WrongDirection`] for an opcode of the
            /// other side, [`Error::Field`] for a header that contradicts itself.
            pub fn parse(b: &BhsBytes) -> Result<Self, Error> {
                match Opcode::parse(b[0])? {
                    $(Opcode::$variant => $variant::parse(b).map(Self::$variant),)+
                    other => Err(Error::WrongDirection(other as u8)),
                }
            }

            /// Writes all 48 bytes of the header.
            pub fn emit(&self, b: &mut BhsBytes) {
                match self {
                    $(Self::$variant(pdu) => pdu.emit(b),)+
                }
            }

            /// The PDU's opcode.
            #[must_use]
            pub const fn opcode(&self) -> Opcode {
                match self {
                    $(Self::$variant(_) => Opcode::$variant,)+
                }
            }

            /// DataSegmentLength in bytes.
            #[must_use]
            pub const fn data_len(&self) -> u32 {
                match self {
                    $(Self::$variant(pdu) => pdu.data_len,)+
                }
            }
        }

        $(impl From<$variant> for $name {
            fn from(pdu: $variant) -> Self {
                Self::$variant(pdu)
            }
        })+
    };
}

side! {
    /// Every PDU that an initiator sends.
    pub enum InitiatorPdu {
        NopOut,
        ScsiCommand,
        TaskRequest,
        LoginRequest,
        TextRequest,
        DataOut,
        LogoutRequest,
        Snack,
    }
}

side! {
    /// Every PDU that a target sends.
    pub enum TargetPdu {
        NopIn,
        ScsiResponse,
        TaskResponse,
        LoginResponse,
        TextResponse,
        DataIn,
        LogoutResponse,
        R2t,
        AsyncMessage,
        Reject,
    }
}

impl TargetPdu {
    /// StatSN, ExpCmdSN and MaxCmdSN, which every PDU of a target carries. The StatSN
    /// of a Data-In without status is reserved.
    #[must_use]
    pub const fn sn(&self) -> TargetSn {
        match self {
            Self::NopIn(p) => p.sn,
            Self::ScsiResponse(p) => p.sn,
            Self::TaskResponse(p) => p.sn,
            Self::LoginResponse(p) => p.sn,
            Self::TextResponse(p) => p.sn,
            Self::DataIn(p) => p.sn,
            Self::LogoutResponse(p) => p.sn,
            Self::R2t(p) => p.sn,
            Self::AsyncMessage(p) => p.sn,
            Self::Reject(p) => p.sn,
        }
    }
}
