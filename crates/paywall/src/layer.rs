//! What all paywalled resources of a receiver share, and the layer for one of them.

use crate::price::Pricing;
use crate::service::PaywallService;
use http::HeaderValue;
use microraiden_http::Seller;
use microraiden_manager::ChannelManager;
use microraiden_protocol::{Escrow, Price};
use std::sync::Arc;
use tower_layer::Layer;

/// Where the receiver's REST interface lives.
pub(crate) const GATEWAY_PATH: &str = "/api/1";

/// A receiver's paywall: cheap to clone, one for all its resources.
#[derive(Debug, Clone)]
pub struct Paywall {
    pub(crate) manager: ChannelManager,
    pub(crate) seller: Arc<Seller>,
}

impl Paywall {
    /// Sells for this receiver.
    pub fn new(manager: ChannelManager) -> Self {
        let Escrow { contract, .. } = manager.contract().escrow();
        let seller = Seller {
            gateway_path: HeaderValue::from_static(GATEWAY_PATH),
            receiver: manager.receiver(),
            contract,
            token: manager.contract().token().address,
        };
        Self {
            manager,
            seller: Arc::new(seller),
        }
    }

    /// A layer that sells each request to a resource for the same price; free when it is 0.
    pub fn price(&self, price: impl Into<Price>) -> PaywallLayer<Price> {
        self.price_by(price.into())
    }

    /// A layer that computes the price from the request, for example by a closure over its parts.
    pub fn price_by<P: Pricing>(&self, pricing: P) -> PaywallLayer<P> {
        PaywallLayer {
            paywall: self.clone(),
            pricing,
        }
    }

    /// The channel manager behind it.
    pub const fn manager(&self) -> &ChannelManager {
        &self.manager
    }
}

/// Puts a price on a service; see [`PaywallService`].
#[derive(Debug, Clone)]
pub struct PaywallLayer<P> {
    paywall: Paywall,
    pricing: P,
}

impl<S, P: Pricing> Layer<S> for PaywallLayer<P> {
    type Service = PaywallService<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        PaywallService::new(inner, self.paywall.clone(), self.pricing.clone())
    }
}
