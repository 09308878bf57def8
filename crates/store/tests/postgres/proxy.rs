//! A network between store and server that can fail on one side only.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::broadcast;

/// Passes connections on to a port on loopback.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    cut: broadcast::Sender<()>,
    /// The far halves of connections that were cut.
    _left: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, _) = broadcast::channel(1);
        let left = Arc::<Mutex<Vec<_>>>::default();
        let (cuts, halves) = (cut.clone(), left.clone());
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut far = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await.unwrap();
                let (mut cut, halves) = (cuts.subscribe(), halves.clone());
                tokio::spawn(async move {
                    select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.recv() => halves.lock().unwrap().push(far),
                    }
                });
            }
        });
        Self {
            port,
            cut,
            _left: left,
        }
    }

    /// Ends all connections towards the store; the server does not notice.
    pub(crate) fn cut(&self) {
        self.cut.send(()).unwrap();
    }
}
