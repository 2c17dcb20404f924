//! One connection's negotiation: the protocol's state machine, a stream, and the
//! host's exports. Never reads past the end of negotiation.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use vcp_nbd_proto::{ExportInfo, ListEntry, Negotiation, Session, Step, Unavailable, Violation};

use crate::exports::{self, Export, Exports};

/// Bytes received in one piece at most.
const PIECE: usize = 4 << 10;

/// How a negotiation failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NegotiationError {
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Violation(#[from] Violation),
}

/// Negotiates; `None` when the client took its leave. An export gets `patience`
/// to become ready.
pub(crate) async fn negotiate(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    exports: &dyn Exports,
    patience: Duration,
) -> Result<Option<(Session, Arc<dyn Export>)>, NegotiationError> {
    let mut negotiation = Negotiation::new();
    let mut chosen = None;
    let mut piece = [0; PIECE];
    loop {
        let step = negotiation.step();
        // Also on a violation: earlier options may have been answered well.
        stream.write_all(&negotiation.take_output()).await?;
        match step? {
            Step::Replied => {}
            Step::Receive => {
                let wants = negotiation.wants().min(PIECE);
                match stream.read(&mut piece[..wants]).await? {
                    0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                    count => negotiation.receive(&piece[..count]),
                }
            }
            Step::List => negotiation.list(list(exports)),
            Step::Export(name) => match describe(exports, &name, patience).await {
                Ok((info, export)) => {
                    negotiation.export(Ok(&info));
                    chosen = Some(export);
                }
                Err(why) => negotiation.export(Err(why)),
            },
            Step::Transmission(session) => {
                return Ok(chosen.map(|export| (session, export)));
            }
            Step::Aborted => return Ok(None),
        }
    }
}

fn list(exports: &dyn Exports) -> Vec<ListEntry> {
    let entry = |name: String| {
        let description = exports.open(&name)?.description();
        Some(ListEntry { name, description })
    };
    exports.list().into_iter().filter_map(entry).collect()
}

/// Finds an export and waits until it can be described.
async fn describe(
    exports: &dyn Exports,
    name: &str,
    patience: Duration,
) -> Result<(ExportInfo, Arc<dyn Export>), Unavailable> {
    let (name, export) = exports::find(exports, name).ok_or(Unavailable::Unknown)?;
    let geometry = timeout(patience, export.geometry()).await.map_err(|_| {
        Unavailable::NotReady(format!("export {name:?} is not ready yet; try again later"))
    })??;
    let info = ExportInfo::new(&name, &export.description(), &geometry, export.read_only())
        .map_err(|error| Unavailable::NotReady(error.to_string()))?;
    Ok((info, export))
}
