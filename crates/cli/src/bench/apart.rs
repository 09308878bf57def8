//! A server on a thread and a core of its own, as if it was another program.

use super::machine;
use crate::Failure;
use std::thread::{self, JoinHandle};
use tokio::sync::oneshot;

/// A running server, and what it shows of itself; it stops when this is dropped.
pub(super) struct Apart<T> {
    pub(super) shown: T,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), Failure>>,
}

impl<T: Send + 'static> Apart<T> {
    /// Starts it on the core, with every thread that it starts itself. It shows something when it has
    /// started, and serves until it is told to stop: dropped or sent, it means the same.
    ///
    /// # Errors
    /// When it does not start.
    pub(super) async fn start<F: Future<Output = Result<(), Failure>>>(
        name: &str,
        core: Option<usize>,
        serve: impl FnOnce(oneshot::Sender<T>, oneshot::Receiver<()>) -> F + Send + 'static,
    ) -> Result<Self, Failure> {
        let (show, shown) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            // Before anything else: threads that are started here stay on this core.
            machine::pin(core)?;
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(serve(show, stopped))
        })?;
        let Ok(shown) = shown.await else {
            ended(thread).await?;
            return Err(format!("the {name} has stopped before it has started").into());
        };
        Ok(Self { shown, stop, thread })
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// When it has failed.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        drop(self.shown);
        // It may have stopped by itself.
        let _ = self.stop.send(());
        ended(self.thread).await
    }
}

/// Waits for the end, and says why it has come.
async fn ended(thread: JoinHandle<Result<(), Failure>>) -> Result<(), Failure> {
    let ended = tokio::task::spawn_blocking(|| thread.join()).await?;
    ended.map_err(|_| "a server has panicked")?
}
