//! A tower layer that sells HTTP resources for balance proofs.
