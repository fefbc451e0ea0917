//! Packs on disk become a catalog: an immutable snapshot of everything that people wrote.

pub mod catalog;
