//! The second brain, pure: what a workflow is, and what comes next in it.
//!
//! `definition` reads what people write, `graph` composes it, `inspect` says what is wrong with it
//! before it runs, `conduct` takes what happened and says what to do. Nothing here knows that there is
//! a store, a clock or a runner: time and stored keys are handed in.

pub mod expression;
pub mod inspect;
pub mod mistral;
pub mod definition;
pub mod additions;
pub mod graph;
pub mod conduct;
pub mod drawing;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

/// What has been published so far on one way through the graph. Values are shared: a thousand tasks
/// that each publish one variable do not copy the others.
pub type Context = BTreeMap<Arc<str>, Arc<Value>>;
