//! The locks and atomics of what payments share.
//!
//! With the feature `shuttle`, which only `tests/schedules.rs` asks for, they are those whose
//! schedules that test explores; then they work in its schedules only.

#[cfg(not(feature = "shuttle"))]
pub(crate) use std::sync::{
    Mutex, MutexGuard, RwLock,
    atomic::{AtomicBool, AtomicU64},
};

#[cfg(feature = "shuttle")]
pub(crate) use shuttle::sync::{
    Mutex, MutexGuard, RwLock,
    atomic::{AtomicBool, AtomicU64},
};
