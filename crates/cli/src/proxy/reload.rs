//! SIGHUP: the configuration file is read again, and shown without dropping a request.

use super::route::Coin;
use super::settings::{Loaded, Source};
use crate::Failure;
use microraiden_chain::TokenInfo;
use microraiden_proxy::Control;
use tokio::signal::unix::{SignalKind, signal};

/// What a running proxy is changed by.
pub(super) struct Reloads {
    source: Source,
    started: Loaded,
    token: TokenInfo,
    control: Control,
}

impl Reloads {
    pub(super) const fn new(source: Source, started: Loaded, token: TokenInfo, control: Control) -> Self {
        Self {
            source,
            started,
            token,
            control,
        }
    }

    /// Reads again at each SIGHUP, for ever. A file that cannot be used changes nothing.
    pub(super) async fn run(self) {
        let mut hangups = match signal(SignalKind::hangup()) {
            Ok(hangups) => hangups,
            Err(error) => return tracing::error!(%error, "SIGHUP cannot be handled"),
        };
        while hangups.recv().await.is_some() {
            match self.reload().await {
                Ok(()) => tracing::info!("the settings were read again"),
                Err(error) => {
                    tracing::error!(%error, "the settings cannot be used, and all goes on as before");
                }
            }
        }
    }

    async fn reload(&self) -> Result<(), Failure> {
        let loaded = self.source.load()?;
        let changed = self.started.settings.needs_restart(&loaded.settings);
        if !changed.is_empty() {
            tracing::warn!(?changed, "these settings count only after a restart");
        }
        self.control.show(loaded.site(Coin::Known(&self.token))?).await?;
        Ok(())
    }
}
