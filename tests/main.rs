//! The one test binary; its modules mirror `src`.

mod packs;
mod store;
mod tidy;
