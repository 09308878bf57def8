//! The cheapest HTTP/1.1 client that still checks every answer: one connection, one request at a time.

use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest head of an answer.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The most headers of an answer.
const MAX_HEADERS: usize = 64;
/// The longest chunk of a body.
const MAX_CHUNK_BYTES: usize = 16 * 1024 * 1024;
/// What is read at a time.
const READ_BYTES: usize = 4 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    /// The connection failed.
    #[error("the connection has failed: {0}")]
    Io(#[from] std::io::Error),
    /// It was closed.
    #[error("the server has closed the connection")]
    Closed,
    /// What came is not an answer in HTTP/1.1, or one of unusual size.
    #[error("the answer cannot be read")]
    Unreadable,
}

/// An answer; its body was read and dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// `RDN-Error` or the like is of interest only when something went wrong.
    pub(super) head: Option<String>,
}

/// How the body of an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Length(usize),
    Chunked,
}

/// A connection that is kept open.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(READ_BYTES),
        })
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When the connection breaks, or what comes is not an answer.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<Answer, ExchangeError> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (answer, head, body) = loop {
            self.fill().await?;
            if let Some(parsed) = parse_head(&self.buffer)? {
                break parsed;
            }
            if self.buffer.len() > MAX_HEAD_BYTES {
                return Err(ExchangeError::Unreadable);
            }
        };
        match body {
            Body::Length(length) => self.skip(head, length).await?,
            Body::Chunked => self.skip_chunks(head).await?,
        }
        Ok(answer)
    }

    /// Reads more.
    async fn fill(&mut self) -> Result<(), ExchangeError> {
        self.buffer.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(ExchangeError::Closed),
            _ => Ok(()),
        }
    }

    /// Reads the end of a body of which some may have come already. Nothing may come behind it.
    async fn skip(&mut self, head: usize, length: usize) -> Result<(), ExchangeError> {
        let mut missing = length
            .checked_add(head)
            .and_then(|end| end.checked_sub(self.buffer.len()))
            .ok_or(ExchangeError::Unreadable)?;
        while missing > 0 {
            self.buffer.clear();
            self.fill().await?;
            missing = missing
                .checked_sub(self.buffer.len())
                .ok_or(ExchangeError::Unreadable)?;
        }
        Ok(())
    }

    /// Reads chunks up to the last, empty one; without trailers.
    async fn skip_chunks(&mut self, head: usize) -> Result<(), ExchangeError> {
        let mut at = head;
        loop {
            let rest = self.buffer.get(at..).unwrap_or_default();
            match httparse::parse_chunk_size(rest).map_err(|_| ExchangeError::Unreadable)? {
                httparse::Status::Partial => self.fill().await?,
                httparse::Status::Complete((line, size)) => {
                    let size = usize::try_from(size).ok().filter(|size| *size <= MAX_CHUNK_BYTES);
                    let size = size.ok_or(ExchangeError::Unreadable)?;
                    // The chunk and the end of its line.
                    let end = at + line + size + 2;
                    while self.buffer.len() < end {
                        self.fill().await?;
                    }
                    if size == 0 {
                        return Ok(());
                    }
                    self.buffer.drain(..end);
                    at = 0;
                }
            }
        }
    }
}

/// Reads the head of an answer when it is there as a whole; gives its length too.
fn parse_head(bytes: &[u8]) -> Result<Option<(Answer, usize, Body)>, ExchangeError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(bytes).map_err(|_| ExchangeError::Unreadable)? {
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete(head) => head,
    };
    let status = response.code.ok_or(ExchangeError::Unreadable)?;
    let mut body = None;
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let digits = std::str::from_utf8(header.value).ok();
            let length = digits.and_then(|digits| digits.parse().ok());
            body = Some(Body::Length(length.ok_or(ExchangeError::Unreadable)?));
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            body = Some(Body::Chunked);
        }
    }
    // A body that ends with the connection would end it.
    let body = match (status, body) {
        (204 | 304, _) => Body::Length(0),
        (_, Some(body)) => body,
        (_, None) => return Err(ExchangeError::Unreadable),
    };
    let text = || String::from_utf8_lossy(&bytes[..head]).trim_end().to_owned();
    let answer = Answer {
        status,
        head: (status != 200).then(text),
    };
    Ok(Some((answer, head, body)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Gives the parts of each answer, with pauses between them, to one request after the other.
    async fn server(answers: &'static [&'static [&'static str]]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            for answer in answers {
                let mut request = [0; 2];
                stream.read_exact(&mut request).await.unwrap();
                for part in *answer {
                    stream.write_all(part.as_bytes()).await.unwrap();
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn reads_answers_however_they_come() {
        let address = server(&[
            &["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"],
            &["HTTP/1.1 200 OK\r\nConte", "nt-Length: 5\r\n\r\nh", "el", "lo"],
            &[
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                "5\r\nhel",
                "lo\r\n3\r\nabc\r\n",
                "0\r\n\r",
                "\n",
            ],
            &["HTTP/1.1 204 No Content\r\n\r\n"],
            &["HTTP/1.1 402 Payment Required\r\nrdn-error: no\r\ncontent-length: 0\r\n\r\n"],
        ])
        .await;
        let mut connection = Connection::open(address).await.unwrap();
        for status in [200, 200, 200, 204] {
            assert_eq!(connection.exchange(b"go").await.unwrap().status, status);
        }
        let refused = connection.exchange(b"go").await.unwrap();
        assert_eq!(refused.status, 402);
        assert!(refused.head.unwrap().contains("rdn-error: no"));
        assert!(connection.exchange(b"go").await.is_err(), "it was closed");
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for bytes in [
            "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n",
        ] {
            assert!(parse_head(bytes.as_bytes()).is_err(), "{bytes}");
        }
    }
}
