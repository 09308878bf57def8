//! Amounts, channels, balance proofs and the ledger of µRaiden: pure, without I/O.
