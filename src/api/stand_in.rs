//! Shapes of the rooms that are still being built; this file goes when they land.
#![expect(missing_docs, reason = "goes when the rooms land")]

pub mod executions {
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::{Map, Value};
    use tokio::sync::broadcast;

    use crate::model::cause::Cause;
    use crate::model::execution::{Execution, Illegal};
    use crate::model::id::ExecutionId;
    use crate::model::reference::Reference;
    use crate::store;

    #[derive(Clone)]
    pub struct Executions {
        pub store: store::Handle,
        pub changes: broadcast::Sender<Arc<Execution>>,
        pub outputs: broadcast::Sender<ExecutionId>,
    }

    pub struct Request {
        pub action: Reference,
        pub parameters: Map<String, Value>,
        pub user: String,
        pub cause: Cause,
        pub timeout: Option<Duration>,
        pub delay: Option<Duration>,
        pub context: Map<String, Value>,
        pub once: Option<String>,
    }

    #[derive(Debug, thiserror::Error)]
    pub enum Error {
        #[error("action `{name}` does not exist")]
        NoSuchAction { name: String, nearest: Option<String> },
        #[error("action `{name}` is disabled")]
        Disabled { name: String },
        #[error("{}", problems.join("; "))]
        BadParameters { problems: Vec<String> },
        #[error("no such execution")]
        NotFound,
        #[error(transparent)]
        Illegal(#[from] Illegal),
        #[error(transparent)]
        Store(#[from] store::Error),
    }

    impl Error {
        #[must_use]
        pub fn help(&self) -> Option<String> {
            None
        }
    }

    impl Executions {
        /// # Errors
        /// Always.
        #[expect(clippy::unused_async, reason = "stand-in")]
        pub async fn request(&self, request: Request) -> Result<Execution, Error> {
            Err(Error::NoSuchAction { name: request.action.to_string(), nearest: None })
        }

        /// # Errors
        /// Always.
        #[expect(clippy::unused_async, reason = "stand-in")]
        pub async fn cancel(&self, id: ExecutionId, user: &str) -> Result<Execution, Error> {
            let _ = (id, user);
            Err(Error::NotFound)
        }

        /// # Errors
        /// As the store.
        pub async fn get(&self, id: ExecutionId) -> Result<Option<Execution>, store::Error> {
            let held = store::table::get::<Execution>(&self.store, id.to_bytes().to_vec()).await?;
            Ok(held.map(|held| held.row))
        }

        #[must_use]
        pub fn watch(&self) -> broadcast::Receiver<Arc<Execution>> {
            self.changes.subscribe()
        }

        #[must_use]
        pub fn output_changes(&self) -> broadcast::Receiver<ExecutionId> {
            self.outputs.subscribe()
        }
    }
}

pub mod hooks {
    use serde_json::{Value, json};

    #[derive(Clone, Default)]
    pub struct Hooks {}

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum AlertsVersion {
        V1,
        V2,
    }

    pub struct Delivery {
        pub headers: axum::http::HeaderMap,
        pub query: Option<String>,
        pub body: bytes::Bytes,
        pub authenticated: Option<String>,
    }

    pub struct Answer {
        pub status: u16,
        pub body: Value,
        pub retry_after_seconds: Option<u64>,
    }

    impl Hooks {
        #[expect(clippy::unused_async, reason = "stand-in")]
        pub async fn deliver(&self, name: &str, delivery: Delivery) -> Answer {
            let _ = delivery;
            Answer {
                status: 404,
                body: json!({"faultstring": format!("no webhook is called `{name}`")}),
                retry_after_seconds: None,
            }
        }

        #[must_use]
        pub fn names(&self) -> Vec<String> {
            Vec::new()
        }

        #[expect(clippy::unused_async, reason = "stand-in")]
        pub async fn alerts(&self, version: AlertsVersion, delivery: Delivery) -> Answer {
            let _ = (version, delivery);
            Answer { status: 404, body: json!({}), retry_after_seconds: None }
        }
    }
}

pub mod registry {
    use std::sync::Arc;

    use crate::model::reference::Reference;
    use crate::model::sensor::{Definition, Health};

    #[derive(Clone, Default)]
    pub struct Registry {}

    pub struct Status {
        pub definition: Arc<Definition>,
        pub health: Health,
    }

    impl Registry {
        #[must_use]
        pub fn list(&self) -> Vec<Status> {
            Vec::new()
        }

        #[must_use]
        pub fn restart(&self, reference: &Reference) -> bool {
            let _ = reference;
            false
        }
    }
}

pub mod history {
    use crate::model::event::Event;
    use crate::model::id::EventId;
    use crate::model::reference::Reference;
    use crate::model::rule::Decision;
    use crate::model::time::Time;
    use crate::store::{Error, Handle};

    #[derive(Debug, Clone, Default)]
    pub struct Filter {
        pub trigger: Option<Reference>,
        pub after: Option<Time>,
        pub before: Option<Time>,
        pub limit: usize,
    }

    #[derive(Debug, Clone)]
    pub struct Kept {
        pub event: Event,
        pub decisions: Vec<Decision>,
        pub refused: Vec<Reference>,
    }

    /// # Errors
    /// As the store.
    #[expect(clippy::unused_async, reason = "stand-in")]
    pub async fn find(store: &Handle, id: EventId) -> Result<Option<Kept>, Error> {
        let _ = (store, id);
        Ok(None)
    }

    /// # Errors
    /// As the store.
    #[expect(clippy::unused_async, reason = "stand-in")]
    pub async fn list(store: &Handle, filter: Filter) -> Result<Vec<Kept>, Error> {
        let _ = (store, filter);
        Ok(Vec::new())
    }
}

pub mod rules {
    use crate::model::problem::Place;
    use crate::model::reference::Reference;
    use crate::rules::Set;

    pub struct Described {
        pub reference: Reference,
        pub about: String,
        pub on: Vec<String>,
        pub enabled: bool,
        pub shadow: bool,
        pub priority: i64,
        pub version: String,
        pub place: Place,
    }

    #[must_use]
    pub fn described(set: &Set) -> Vec<Described> {
        let _ = set;
        Vec::new()
    }
}
