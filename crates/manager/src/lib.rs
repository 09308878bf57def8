//! The receiver's channel manager: sole writer of receiver state.
