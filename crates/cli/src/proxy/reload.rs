//! SIGHUP: the configuration file is read again, and shown without dropping a request.

use super::notify::Notify;
use super::route::Coin;
use super::said;
use super::settings::{Loaded, Source};
use crate::Failure;
use microraiden_chain::TokenInfo;
use microraiden_proxy::{Certificates, Control};
use tokio::signal::unix::{SignalKind, signal};

const READ_AGAIN: &str = "the settings were read again";
const UNUSABLE: &str = "the settings cannot be used, and all goes on as before";

/// What a running proxy is changed by.
pub(super) struct Reloads {
    source: Source,
    started: Loaded,
    token: TokenInfo,
    control: Control,
    certificates: Option<Certificates>,
    notify: Notify,
}

impl Reloads {
    pub(super) const fn new(
        source: Source,
        started: Loaded,
        token: TokenInfo,
        control: Control,
        certificates: Option<Certificates>,
        notify: Notify,
    ) -> Self {
        Self {
            source,
            started,
            token,
            control,
            certificates,
            notify,
        }
    }

    /// Reads again at each SIGHUP, for ever, once the proxy sells. A file that cannot be used changes nothing.
    pub(super) async fn run(mut self) {
        let mut hangups = match signal(SignalKind::hangup()) {
            Ok(hangups) => hangups,
            Err(error) => return tracing::error!(%error, "SIGHUP cannot be handled"),
        };
        if !self.control.is_ready().await {
            return;
        }
        while hangups.recv().await.is_some() {
            self.notify.reloading();
            match self.reload().await {
                Ok(()) => {
                    tracing::info!("{READ_AGAIN}");
                    self.notify.reloaded(&format!("selling; {READ_AGAIN}"));
                }
                Err(error) => {
                    tracing::error!(%error, "{UNUSABLE}");
                    self.notify.reloaded(&format!("selling; {UNUSABLE}: {error}"));
                }
            }
        }
    }

    async fn reload(&self) -> Result<(), Failure> {
        // One may be wrong, and the other needed.
        if let Some(Err(error)) = self.certificates.as_ref().map(Certificates::reload) {
            tracing::error!(error = said(&error), "the certificate of before is served");
        }
        let loaded = self.source.load()?;
        let changed = self.started.settings.needs_restart(&loaded.settings);
        if !changed.is_empty() {
            tracing::warn!(?changed, "these settings count only after a restart");
        }
        self.control.show(loaded.site(Coin::Known(&self.token))?).await?;
        Ok(())
    }
}
