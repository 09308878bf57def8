//! JSON-RPC: the names, parameters and answers of other nodes.

mod control;
mod error;
mod eth;
mod fees;
mod format;
mod logs;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jsonrpsee::{
    RpcModule,
    types::{ErrorObjectOwned, Params, params::ParamsSequence},
};
use serde::Serialize;

use self::logs::Filters;
use crate::chain::{Chain, SharedChain};

/// What the methods work on.
pub(crate) struct Node {
    chain: SharedChain,
    filters: Mutex<Filters>,
}

impl Node {
    fn chain(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock()
    }

    fn filters(&self) -> MutexGuard<'_, Filters> {
        self.filters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer of a method.
type Answer<T> = Result<T, ErrorObjectOwned>;

/// The methods being registered.
struct Methods(RpcModule<Node>);

impl Methods {
    /// Adds a method; names must differ.
    fn add<T: Serialize + Clone + 'static>(
        &mut self,
        name: &'static str,
        method: impl Fn(&Node, &mut ParamsSequence<'_>) -> Answer<T> + Send + Sync + 'static,
    ) {
        self.0
            .register_method(name, move |params: Params<'_>, node: &Node, _| {
                method(node, &mut params.sequence())
            })
            .expect("the names of the methods differ");
    }
}

/// All methods of a node with this chain.
pub(crate) fn methods(chain: SharedChain) -> RpcModule<Node> {
    let node = Arc::new(Node {
        chain,
        filters: Mutex::default(),
    });
    let mut methods = Methods(RpcModule::from_arc(node));
    eth::register(&mut methods);
    fees::register(&mut methods);
    logs::register(&mut methods);
    control::register(&mut methods);
    methods.0
}
