//! A server that writes its bytes itself, to break off or go on for ever where it likes.

use crate::stage::{PRICE, Stage};
use http::{HeaderMap, StatusCode};
use microraiden_http::{PaymentHeaders, Receipt};
use microraiden_protocol::Amount;
use std::fmt::Write;
use std::future::Future;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(super) struct Raw {
    pub(super) url: String,
}

impl Raw {
    /// Asks for the price, and meets payments as it is told.
    pub(super) async fn start<F>(
        stage: &Stage,
        meets: impl Fn(TcpStream) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send,
    {
        let challenge = head(
            StatusCode::PAYMENT_REQUIRED,
            &stage.seller().challenge(PRICE.into()),
        );
        Self::serve(move |request, stream| {
            let (challenge, meets) = (challenge.clone(), meets.clone());
            async move {
                if request.contains("rdn-balance-signature") {
                    meets(stream).await;
                } else {
                    finish(stream, &challenge).await;
                }
            }
        })
        .await
    }

    /// Serves what is paid, and meets closes as it is told.
    pub(super) async fn closing<F>(
        stage: &Stage,
        meets: impl Fn(TcpStream) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send,
    {
        let challenge = head(
            StatusCode::PAYMENT_REQUIRED,
            &stage.seller().challenge(PRICE.into()),
        );
        Self::serve(move |request, stream| {
            let (challenge, meets) = (challenge.clone(), meets.clone());
            async move {
                if request.starts_with("DELETE") {
                    meets(stream).await;
                } else if let Some(receipt) = receipt(&request) {
                    finish(stream, &head(StatusCode::OK, &receipt.headers())).await;
                } else {
                    finish(stream, &challenge).await;
                }
            }
        })
        .await
    }

    async fn serve<F>(answer: impl Fn(String, TcpStream) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                        if !matches!(stream.read_buf(&mut request).await, Ok(1..)) {
                            return;
                        }
                    }
                    let request = String::from_utf8_lossy(&request).into_owned();
                    answer(request, stream).await;
                });
            }
        });
        Self { url }
    }
}

/// The head of an answer, without the line that ends it.
pub(super) fn head(status: StatusCode, headers: &HeaderMap) -> String {
    let mut head = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in headers {
        let value = value.to_str().expect("text");
        write!(head, "{name}: {value}\r\n").expect("memory");
    }
    head
}

/// Writes a beginning, and then a part again and again until the client has gone.
pub(super) fn drip(
    mut stream: TcpStream,
    begin: &str,
    part: String,
) -> impl Future<Output = ()> + Send + use<> {
    let begin = begin.to_owned();
    async move {
        let mut written = stream.write_all(begin.as_bytes()).await;
        while written.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
            written = stream.write_all(part.as_bytes()).await;
        }
    }
}

async fn finish(mut stream: TcpStream, head: &str) {
    let answer = format!("{head}content-length: 0\r\nconnection: close\r\n\r\n");
    // The client may have gone.
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// What an honest receiver answers to a payment, if the request has one.
fn receipt(request: &str) -> Option<Receipt> {
    let pairs = request.lines().filter_map(|line| line.split_once(": "));
    let headers: HeaderMap = pairs
        .map(|(name, value)| {
            let name: http::HeaderName = name.parse().expect("a name");
            (name, value.parse().expect("a value"))
        })
        .collect();
    let payment = PaymentHeaders::read(&headers).expect("well-formed")?;
    Some(Receipt {
        sender: payment.sender,
        balance: payment.balance,
        cost: PRICE.into(),
        credit: Amount::ZERO,
        refund: Amount::ZERO,
    })
}
