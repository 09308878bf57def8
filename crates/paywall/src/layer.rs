//! What all paywalled resources of a receiver share, and the layer for one of them.

use crate::answers::Answers;
use crate::page::{BuiltIn, Page, PageRequest};
use crate::patience::Patience;
use crate::price::{AsyncPrice, IntoQuote, MethodPrices, PriceRequest, Pricing};
use crate::service::PaywallService;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use microraiden_http::Seller;
use microraiden_manager::{ChannelManager, DEVELOPMENT_CHAINS};
use microraiden_protocol::{Amount, Escrow, Price, SecretKey};
use std::fmt;
use std::sync::Arc;
use tower_layer::Layer;

/// Where the receiver's REST interface lives.
pub(crate) const GATEWAY_PATH: &str = "/api/1";

/// A receiver's paywall: cheap to clone, one for all its resources.
#[derive(Clone)]
pub struct Paywall {
    pub(crate) manager: ChannelManager,
    pub(crate) seller: Arc<Seller>,
    pub(crate) page: Arc<dyn Page>,
    pub(crate) funder: Option<SecretKey>,
    pub(crate) answers: Arc<Answers>,
    pub(crate) patience: Arc<Patience>,
}

impl fmt::Debug for Paywall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paywall")
            .field("seller", &self.seller)
            .finish_non_exhaustive()
    }
}

impl Paywall {
    /// Sells for this receiver.
    pub fn new(manager: ChannelManager) -> Self {
        let Escrow { contract, .. } = manager.contract().escrow();
        let gateway_path = HeaderValue::from_static(GATEWAY_PATH);
        let token = manager.contract().token().address;
        let seller = Seller::new(gateway_path, manager.receiver(), contract, token);
        Self {
            manager,
            seller: Arc::new(seller),
            page: Arc::new(BuiltIn),
            funder: None,
            answers: Arc::default(),
            patience: Arc::new(Patience::new()),
        }
    }

    /// Shows browsers this page with a 402, unless a layer has its own.
    #[must_use]
    pub fn with_page(mut self, page: impl Page) -> Self {
        self.page = Arc::new(page);
        self
    }

    /// Lets the page of a 402 pay from throw-away wallets on a development chain: **everybody is told this key**, whose
    /// ether such wallets begin with. The program must answer JSON-RPC at
    /// [`DEV_CHAIN_PATH`](crate::page::DEV_CHAIN_PATH), by the chain's node.
    ///
    /// Nothing happens on a chain that is not one of [`DEVELOPMENT_CHAINS`].
    #[must_use]
    pub fn with_dev_chain_funder(mut self, funder: SecretKey) -> Self {
        let Escrow { chain_id, .. } = self.manager.contract().escrow();
        self.funder = Some(funder).filter(|_| DEVELOPMENT_CHAINS.contains(&chain_id));
        self
    }

    /// Whether a development chain is offered to browsers.
    pub const fn offers_dev_chain(&self) -> bool {
        self.funder.is_some()
    }

    /// A layer that sells each request for the same price; free when it is 0.
    pub fn price(&self, price: impl Into<Price>) -> PaywallLayer<Price> {
        self.sell(price.into())
    }

    /// A layer with a price for each method, and 405 for the others.
    pub fn method_prices<T: Into<Price>>(
        &self,
        prices: impl IntoIterator<Item = (Method, T)>,
    ) -> PaywallLayer<MethodPrices> {
        let prices = prices.into_iter().map(|(method, price)| (method, price.into()));
        self.sell(MethodPrices::new(prices))
    }

    /// A layer that computes the price from the request.
    pub fn price_by<F, T>(&self, price: F) -> PaywallLayer<F>
    where
        F: Fn(&PriceRequest) -> T + Send + Sync + 'static,
        T: IntoQuote,
    {
        self.sell(price)
    }

    /// A layer that computes the price from the request, and may have to wait for it.
    pub fn price_async<F, T>(&self, price: F) -> PaywallLayer<AsyncPrice<F>>
    where
        F: Fn(PriceRequest) -> T + Send + Sync + 'static,
        T: Future<Output: IntoQuote> + Send,
    {
        self.sell(AsyncPrice(price))
    }

    /// A layer with a pricing of one's own.
    pub fn sell<P: Pricing>(&self, pricing: P) -> PaywallLayer<P> {
        PaywallLayer {
            paywall: self.clone(),
            pricing: Arc::new(pricing),
            terms: Arc::default(),
        }
    }

    /// What a page may show: of a request with this price, and an answer with these headers.
    pub(crate) fn page_request<'a>(
        &'a self,
        parts: &'a Parts,
        price: Price,
        headers: &'a HeaderMap,
    ) -> PageRequest<'a> {
        let contract = self.manager.contract();
        let token = contract.token();
        PageRequest {
            parts,
            price,
            seller: &self.seller,
            chain_id: contract.escrow().chain_id,
            symbol: &token.symbol,
            decimals: token.decimals,
            headers,
            funder: self.funder.as_ref(),
        }
    }

    /// The channel manager behind it.
    pub const fn manager(&self) -> &ChannelManager {
        &self.manager
    }
}

/// How a route sells, beside its price.
#[derive(Clone, Default)]
pub(crate) struct Terms {
    pub(crate) page: Option<Arc<dyn Page>>,
    pub(crate) metered: bool,
    pub(crate) unmetered_cost: Option<Amount>,
    pub(crate) free: Option<Arc<FreeStatus>>,
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("metered", &self.metered)
            .field("unmetered_cost", &self.unmetered_cost)
            .finish_non_exhaustive()
    }
}

/// Whether an answer of this status costs nothing.
pub(crate) type FreeStatus = dyn Fn(StatusCode) -> bool + Send + Sync;

/// Puts a price on a service; see [`PaywallService`].
///
/// In axum, put it on handlers: `get(handler).layer(paywall.price(5))`. As a layer of a whole `Router`
/// it would be asked before the path is known, and would see no parameters.
pub struct PaywallLayer<P> {
    paywall: Paywall,
    pricing: Arc<P>,
    terms: Arc<Terms>,
}

impl<P> PaywallLayer<P> {
    /// The price is the most that a request may cost; the resource says by its
    /// [`Meter`](crate::Meter) what it has cost, at the latest when its body ends. The rest becomes
    /// the sender's credit.
    ///
    /// When it does not say, or the client leaves before the end, the whole price stays spent.
    #[must_use]
    pub fn metered(self) -> Self {
        self.with(|terms| terms.metered = true)
    }

    /// What a metered request costs when its cost is not known at the end: nothing was said, the
    /// resource broke off, or the client left.
    #[must_use]
    pub fn unmetered_cost(self, cost: impl Into<Amount>) -> Self {
        let cost = cost.into();
        self.with(|terms| terms.unmetered_cost = Some(cost))
    }

    /// Answers of these statuses cost nothing, and are passed on; those of 5xx never cost anything,
    /// and are not.
    #[must_use]
    pub fn free_when(self, free: impl Fn(StatusCode) -> bool + Send + Sync + 'static) -> Self {
        self.with(|terms| terms.free = Some(Arc::new(free)))
    }

    /// Shows browsers this page with a 402.
    #[must_use]
    pub fn with_page(self, page: impl Page) -> Self {
        self.with(|terms| terms.page = Some(Arc::new(page)))
    }

    fn with(mut self, change: impl FnOnce(&mut Terms)) -> Self {
        change(Arc::make_mut(&mut self.terms));
        self
    }
}

impl<P> Clone for PaywallLayer<P> {
    fn clone(&self) -> Self {
        Self {
            paywall: self.paywall.clone(),
            pricing: self.pricing.clone(),
            terms: self.terms.clone(),
        }
    }
}

impl<P> fmt::Debug for PaywallLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PaywallLayer")
            .field("metered", &self.terms.metered)
            .finish_non_exhaustive()
    }
}

impl<S, P: Pricing> Layer<S> for PaywallLayer<P> {
    type Service = PaywallService<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        PaywallService::new(
            inner,
            self.paywall.clone(),
            self.pricing.clone(),
            self.terms.clone(),
        )
    }
}
