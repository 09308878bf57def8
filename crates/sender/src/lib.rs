//! The paying side: opens channels, signs balance proofs and pays for HTTP requests.
