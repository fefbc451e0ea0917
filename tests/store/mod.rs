//! The store: one contract for all backends, and what redb's own file has to withstand.

mod contract;
mod keeping;
