//! One connection's negotiation: the protocol's state machine, a stream, and the host's
//! exports. It never reads past the end of negotiation.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use vcp_nbd_proto::{ExportInfo, ListEntry, Negotiation, Session, Step, Unavailable, Violation};

use crate::exports::{self, Export, Exports};
use crate::gate::Place;
use crate::options::ServerOptions;

/// The most bytes that are received in one piece.
const PIECE: usize = 4 << 10;

/// How a negotiation failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NegotiationError {
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Violation(#[from] Violation),
}

/// The agreement with a client, and its permit.
pub(crate) struct Agreed {
    pub(crate) session: Session,
    pub(crate) export: Arc<dyn Export>,
    pub(crate) permit: OwnedSemaphorePermit,
}

/// Negotiates; `None` when the client said good-bye. `place` is told whose turn it is,
/// and gives the permit; without one a client is refused by `crowded`.
pub(crate) async fn negotiate(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    exports: &dyn Exports,
    options: &ServerOptions,
    place: &Place,
    crowded: impl Fn(&Unavailable),
) -> Result<Option<Agreed>, NegotiationError> {
    let mut negotiation = Negotiation::new();
    let mut chosen = None;
    let mut piece = [0; PIECE];
    loop {
        let step = negotiation.step();
        // This happens on a violation too: earlier options may have been answered well.
        stream.write_all(&negotiation.take_output()).await?;
        match step? {
            Step::Replied => {}
            Step::Receive => {
                let wants = negotiation.wants().min(PIECE);
                match stream.read(&mut piece[..wants]).await? {
                    0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                    count => {
                        place.spoke();
                        negotiation.receive(&piece[..count]);
                    }
                }
            }
            Step::List => negotiation.list(list(exports)),
            Step::Export(name) => {
                place.exports_turn();
                let described = describe(exports, &name, options).await;
                place.clients_turn();
                let answer = described.and_then(|(info, export)| {
                    if negotiation.enters() {
                        let permit = place.serve(options.max_connections);
                        let permit = permit.ok_or_else(|| full(options)).inspect_err(&crowded)?;
                        chosen = Some((export, permit));
                    }
                    Ok(info)
                });
                negotiation.export(answer.as_ref().map_err(Clone::clone));
            }
            Step::Transmission(session) => {
                return Ok(chosen.map(|(export, permit)| Agreed {
                    session,
                    export,
                    permit,
                }));
            }
            Step::Aborted => return Ok(None),
        }
    }
}

fn full(options: &ServerOptions) -> Unavailable {
    let limit = options.max_connections;
    Unavailable::Refused(format!(
        "too many connections (limit {limit}); try again later"
    ))
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
    options: &ServerOptions,
) -> Result<(ExportInfo, Arc<dyn Export>), Unavailable> {
    let (name, export) = exports::find(exports, name).ok_or(Unavailable::Unknown)?;
    let geometry = timeout(options.ready_limit, export.geometry())
        .await
        .map_err(|_| {
            Unavailable::NotReady(format!("export {name:?} is not ready yet; try again later"))
        })??;
    let info = ExportInfo::new(&name, &export.description(), &geometry, export.read_only())
        .map_err(|error| Unavailable::NotReady(error.to_string()))?;
    Ok((info, export))
}
