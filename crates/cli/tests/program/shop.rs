//! A receiver's proxy before a server, and the files of those who pay there.

use crate::place::{Place, succeeded};
use crate::process::Program;
use crate::state::{config, proxy, start};
use microraiden_tests::Upstream;

/// A place with a proxy that sells for 5, and what is behind it.
pub(crate) struct Shop {
    pub(crate) place: Place,
    pub(crate) upstream: Upstream,
    pub(crate) address: String,
    _proxy: Program,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let place = Place::new(config(31337)).await;
        succeeded(&place.deploy(&[]).await);
        let upstream = Upstream::start().await;
        let behind = upstream.url();
        let options = proxy(
            &place,
            "receiver.key",
            "deployment.json",
            behind.as_str(),
            Some("state.db"),
        );
        let (proxy, address) = start(&options).await;
        Self {
            place,
            upstream,
            address,
            _proxy: proxy,
        }
    }
}
