//! An in-process Ethereum development node on revm, behind JSON-RPC.
