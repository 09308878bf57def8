//! JSON-RPC: the names, parameters and answers of other nodes.

mod control;
mod error;
mod eth;
mod faulty;
mod fees;
mod format;
mod logs;
mod pool;
mod reader;
mod sign;
mod subscribe;
mod wait;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jsonrpsee::{
    Extensions, RpcModule,
    types::{ErrorObjectOwned, Params, params::ParamsSequence},
};
use serde::{Serialize, de::DeserializeOwned};

pub(crate) use self::faulty::{Faulty, Lost, mark};
use self::logs::Filters;
use crate::{
    chain::{Chain, SharedChain},
    faults::Faults,
};

/// What the methods work on.
pub(crate) struct Node {
    chain: SharedChain,
    faults: Arc<Faults>,
    filters: Mutex<Filters>,
    /// How many blocks one request for logs may cover.
    max_log_range: Mutex<Option<u64>>,
}

impl Node {
    pub(crate) fn new(chain: SharedChain, faults: Arc<Faults>, max_log_range: Option<u64>) -> Self {
        Self {
            chain,
            faults,
            filters: Mutex::default(),
            max_log_range: Mutex::new(max_log_range),
        }
    }

    fn chain(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock()
    }

    fn filters(&self) -> MutexGuard<'_, Filters> {
        self.filters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn max_log_range(&self) -> Option<u64> {
        *self.max_log_range.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_max_log_range(&self, blocks: Option<u64>) {
        *self.max_log_range.lock().unwrap_or_else(PoisonError::into_inner) = blocks;
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

    /// Adds a method without parameters that learns what else is known of its request.
    fn add_faulty<T: Serialize + Clone + 'static>(
        &mut self,
        name: &'static str,
        method: impl Fn(&Node, &Extensions) -> Answer<T> + Send + Sync + 'static,
    ) {
        self.0
            .register_method(name, move |_, node: &Node, extensions| method(node, extensions))
            .expect("the names of the methods differ");
    }

    /// Adds a method whose parameters are one value, an array or an object.
    fn add_whole<P: DeserializeOwned, T: Serialize + Clone + 'static>(
        &mut self,
        name: &'static str,
        method: impl Fn(&Node, P) -> Answer<T> + Send + Sync + 'static,
    ) {
        self.0
            .register_method(name, move |params: Params<'_>, node: &Node, _| {
                method(node, params.parse()?)
            })
            .expect("the names of the methods differ");
    }

    /// Adds a method that may wait.
    fn add_async<T, F>(
        &mut self,
        name: &'static str,
        method: impl Fn(Arc<Node>, Params<'static>) -> F + Clone + Send + Sync + 'static,
    ) where
        T: Serialize + Clone + Send + 'static,
        F: Future<Output = Answer<T>> + Send + 'static,
    {
        self.0
            .register_async_method(name, move |params, node, _| method(node, params))
            .expect("the names of the methods differ");
    }

    /// Lets a method be called by other names, too.
    fn alias(&mut self, name: &'static str, others: &[&'static str]) {
        for other in others {
            self.0
                .register_alias(other, name)
                .expect("the names of the methods differ");
        }
    }
}

/// All methods of a node.
pub(crate) fn methods(node: Node) -> RpcModule<Node> {
    let mut methods = Methods(RpcModule::new(node));
    eth::register(&mut methods);
    sign::register(&mut methods);
    fees::register(&mut methods);
    logs::register(&mut methods);
    subscribe::register(&mut methods);
    wait::register(&mut methods);
    pool::register(&mut methods);
    control::register(&mut methods);
    methods.0
}
