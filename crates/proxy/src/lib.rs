//! The receiver's paid reverse proxy.
