//! Durable storage of channel accounts: memory and SQLite behind one trait.
