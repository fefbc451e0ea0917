//! The embedded backend: one file, one writer that joins all waiting commits into one fsync.
