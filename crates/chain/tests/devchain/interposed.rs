//! A node that answers some requests in its own way and passes the others on to a development chain.

use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What a node does with a request.
pub(crate) enum Answer {
    /// Asks the chain.
    Pass,
    /// Asks the chain, and breaks the connection instead of telling.
    PassUnheard,
    /// Returns this.
    Result(Value),
    /// Refuses with this message.
    Refuse(&'static str),
    /// Answers with this status line and these headers, without the JSON that belongs to them.
    Status(&'static str),
    /// Breaks the connection.
    Break,
    /// Says nothing, ever.
    Silence,
}

/// Starts such a node, until the test is over; its address.
pub(crate) async fn interpose(
    chain: SocketAddr,
    answer: impl Fn(&str, &Value) -> Answer + Clone + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, chain, answer.clone()));
        }
    });
    format!("http://{address}")
}

async fn serve(stream: TcpStream, chain: SocketAddr, answer: impl Fn(&str, &Value) -> Answer) {
    let mut client = BufReader::new(stream);
    while let Some((head, body)) = message(&mut client).await {
        let request: Value = serde_json::from_slice(&body).unwrap();
        let pass = async || {
            let mut node = BufReader::new(TcpStream::connect(chain).await.unwrap());
            node.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
            message(&mut node).await.unwrap().1
        };
        let mut status = "200 OK";
        let reply = match answer(request["method"].as_str().unwrap(), &request["params"]) {
            Answer::Pass => pass().await,
            Answer::PassUnheard => {
                pass().await;
                return;
            }
            Answer::Break => return,
            Answer::Result(result) => json!({"id": 1, "result": result}).to_string().into(),
            Answer::Refuse(message) => json!({"id": 1, "error": {"code": -32000, "message": message}})
                .to_string()
                .into(),
            Answer::Status(told) => {
                status = told;
                vec![]
            }
            Answer::Silence => std::future::pending().await,
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", reply.len());
        if client
            .write_all(&[head.as_bytes(), &reply].concat())
            .await
            .is_err()
        {
            return;
        }
    }
}

/// Reads the head and the body of an HTTP message.
async fn message(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let start = head.len();
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
        if let Some(value) = head[start..].to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}
