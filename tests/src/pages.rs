//! The Rust of the documentation's pages, as doc-tests; the test `book` of microraiden-cli says which pages belong here.

#[cfg(doctest)]
mod readme {
    #![doc = include_str!("../../README.md")]
}

#[cfg(doctest)]
mod devchain {
    #![doc = include_str!("../../crates/devchain/README.md")]
}
