//! Whole-system tests: sender, receiver, store and node together.
