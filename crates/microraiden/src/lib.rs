//! µRaiden payment channels.
