//! The one test binary; its modules mirror `src`.

mod store;
mod tidy;
