//! The client's end of a control socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::line;
use crate::protocol::{LONGEST_ANSWER, Refusal, Reply, Request, VERSION};

/// How long a host may take to accept a request, or to send each piece of the data after
/// an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to a host.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection failed.
    #[error("{}: {error}", path.display())]
    Connect {
        /// The socket's path.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// The connection broke, or no answer came in time.
    #[error("the host did not answer: {0}")]
    Silent(String),
    /// The received line is not an answer.
    #[error("the host's answer makes no sense: {0}")]
    Garbled(String),
    /// The host refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Client {
    /// Connects to the socket at `path`.
    pub async fn connect(path: &Path) -> Result<Self, ClientError> {
        let connect = async { timeout(PATIENCE, UnixStream::connect(path)).await? };
        let stream = connect.await.map_err(|error| ClientError::Connect {
            path: path.to_owned(),
            error,
        })?;
        let stream = BufReader::new(stream);
        Ok(Self { stream })
    }

    /// Asks, and waits for the answer, one of the types in [`crate::report`].
    pub async fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, ClientError> {
        let (answer, _) = self.ask_for_bytes(request, &mut io::sink()).await?;
        Ok(answer)
    }

    /// Asks as [`Self::ask`] does; the bytes that follow the answer go to `sink`, which
    /// is written to without regard to other tasks. Returns the number of bytes too.
    pub async fn ask_for_bytes<T: DeserializeOwned>(
        &mut self,
        request: &Request,
        sink: &mut impl io::Write,
    ) -> Result<(T, u64), ClientError> {
        let silent = |error: io::Error| ClientError::Silent(error.to_string());
        // A host that turns this client away may have closed its end already, but its
        // answer can still be read.
        let sent = timeout(PATIENCE, self.stream.write_all(&request.to_line())).await;
        let reply = self.reply(request.patience()).await;
        if reply.is_err() {
            sent.map_err(|error| silent(error.into()))?
                .map_err(silent)?;
        }
        let reply = reply?;
        if let Some(refusal) = reply.error {
            return Err(refusal.into());
        }
        let value = reply.ok.unwrap_or_default();
        let answer = serde_json::from_value(value)
            .map_err(|error| ClientError::Garbled(error.to_string()))?;
        self.copy(reply.bytes, sink).await.map_err(silent)?;
        Ok((answer, reply.bytes))
    }

    async fn reply(&mut self, patience: Duration) -> Result<Reply, ClientError> {
        let line = line::next(&mut self.stream, LONGEST_ANSWER, patience)
            .await
            .map_err(|error| ClientError::Silent(error.to_string()))?
            .ok_or_else(|| ClientError::Silent("it closed the connection".to_owned()))?;
        let reply: Reply = serde_json::from_slice(&line)
            .map_err(|error| ClientError::Garbled(error.to_string()))?;
        if reply.v != VERSION {
            let why = format!("version {} of the protocol, not {VERSION}", reply.v);
            return Err(ClientError::Garbled(why));
        }
        Ok(reply)
    }

    async fn copy(&mut self, mut left: u64, sink: &mut impl io::Write) -> io::Result<()> {
        let mut piece = vec![0; 64 << 10];
        while left > 0 {
            let most = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let length = timeout(PATIENCE, self.stream.read(&mut piece[..most])).await??;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            sink.write_all(&piece[..length])?;
            left -= length as u64;
        }
        sink.flush()
    }
}
