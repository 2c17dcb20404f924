//! Reading lines of bounded length in bounded time from any source of bytes.

use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};
use tokio::time::timeout;

/// Why no line could be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    #[error("a line longer than {0} bytes")]
    TooLong(usize),
    #[error("the connection was closed within a line")]
    CutOff,
    #[error("nothing came for {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error(transparent)]
    Read(#[from] std::io::Error),
}

/// The next line, without its end; `None` at the end of the stream.
pub(crate) async fn next(
    from: &mut (impl AsyncBufRead + Unpin),
    longest: usize,
    patience: Duration,
) -> Result<Option<Vec<u8>>, LineError> {
    let mut line = Vec::new();
    let room = longest as u64 + 1;
    let mut limited = from.take(room);
    timeout(patience, limited.read_until(b'\n', &mut line))
        .await
        .map_err(|_| LineError::TimedOut(patience))??;
    if line.pop_if(|last| *last == b'\n').is_some() {
        return Ok(Some(line));
    }
    match line.len() {
        0 => Ok(None),
        length if length > longest => Err(LineError::TooLong(longest)),
        _ => Err(LineError::CutOff),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn lines_have_limits() {
        let mut input = &b"one\n\nthree"[..];
        assert_eq!(
            next(&mut input, 3, PATIENCE).await.unwrap().unwrap(),
            b"one"
        );
        assert_eq!(next(&mut input, 3, PATIENCE).await.unwrap().unwrap(), b"");
        let long = next(&mut &input[..], 4, PATIENCE).await;
        assert!(matches!(long, Err(LineError::TooLong(4))), "{long:?}");
        let cut = next(&mut input, 5, PATIENCE).await;
        assert!(matches!(cut, Err(LineError::CutOff)), "{cut:?}");
        assert!(next(&mut input, 5, PATIENCE).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn silence_ends() {
        let (near, _far) = tokio::io::duplex(16);
        let mut near = tokio::io::BufReader::new(near);
        let silent = next(&mut near, 3, PATIENCE).await;
        assert!(matches!(silent, Err(LineError::TimedOut(_))), "{silent:?}");
    }
}
