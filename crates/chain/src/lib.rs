//! Access to the chain: contract bindings, canonical events, transactions, deployment and key files.
