//! Word of new blocks from nodes that announce them.

use tokio::sync::watch;

/// Wakes whoever follows the chain early. It is a hint only: a node may announce nothing, or its connection may break
/// without a word, so the chain is looked at from time to time all the same.
#[derive(Debug)]
pub struct NewHeads(Option<watch::Receiver<()>>);

impl NewHeads {
    /// Of a node that announces nothing.
    pub fn never() -> Self {
        Self(None)
    }

    /// Resolves when a block was announced since the last time, or since this was made; never when nothing is announced.
    /// It can be dropped and called again.
    pub async fn next(&mut self) {
        if let Some(heads) = &mut self.0
            && heads.changed().await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

impl From<watch::Receiver<()>> for NewHeads {
    fn from(heads: watch::Receiver<()>) -> Self {
        Self(Some(heads))
    }
}
