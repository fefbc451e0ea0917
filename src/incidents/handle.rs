//! What people and edges may want of incidents.

use std::sync::Arc;

use crate::incidents::Room;
use crate::incidents::decide::Happening;
use crate::incidents::turn::hashed;
use crate::model::id::IncidentId;
use crate::model::incident::{Incident, State};
use crate::model::time::Time;
use crate::store::table::{self, Rows};
use crate::store::tables::LINK;
use crate::store::{self};

/// Incidents that one link stands for at most.
const LINKED_LIMIT: usize = 1000;

/// The way to incidents for the API and other edges. Cheap to clone.
#[derive(Clone)]
pub struct Incidents {
    room: Arc<Room>,
}

/// Why something could not be done about an incident.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no such incident.
    #[error("there is no incident `{0}`")]
    NotFound(IncidentId),
    /// It is over.
    #[error("incident `{0}` is resolved already")]
    Over(IncidentId),
    /// There is nobody to tell again.
    #[error("of incident `{0}` everybody was told, or is being told")]
    Reached(IncidentId),
    /// The store did not take it.
    #[error("the incident could not be stored")]
    Store(#[from] store::Error),
}

impl Error {
    /// The next step for whoever asked.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::NotFound(_) => "`ifso incident list` shows those that are not over".to_owned(),
            Self::Over(id) => format!("`ifso incident show {id}` tells how it ended"),
            Self::Reached(id) => format!("`ifso incident show {id}` shows whom messages reached"),
            Self::Store(error) => error.help()?.to_owned(),
        })
    }
}

impl Incidents {
    pub(super) fn new(room: Arc<Room>) -> Self {
        Self { room }
    }

    /// One incident.
    ///
    /// # Errors
    /// As `Store::get`.
    pub async fn get(&self, id: IncidentId) -> Result<Option<Incident>, store::Error> {
        let held = table::get(&self.room.parts.store, id.to_bytes().to_vec()).await?;
        Ok(held.map(|held| held.row))
    }

    /// The newest incident of a key.
    ///
    /// # Errors
    /// As `Store::scan`.
    pub async fn of_key(&self, key: &str) -> Result<Option<Incident>, store::Error> {
        let (store, rows) = (&self.room.parts.store, Rows::last(1));
        let found = table::find::<Incident>(store, "key", key.as_bytes(), rows).await?;
        Ok(found.into_iter().next().map(|held| held.row))
    }

    /// The incidents that a link tells of; none where nobody was sent it.
    ///
    /// # Errors
    /// As `Store::scan`.
    pub async fn behind_link(&self, secret: &str) -> Result<Vec<Incident>, store::Error> {
        let (store, rows) = (&self.room.parts.store, Rows::first(LINKED_LIMIT));
        let found = table::find::<Incident>(store, LINK, hashed(secret).as_bytes(), rows).await?;
        Ok(found.into_iter().map(|held| held.row).collect())
    }

    /// Somebody is at it, for good or until then; nobody else is called meanwhile.
    ///
    /// # Errors
    /// `NotFound`; `Over`; `Store`.
    pub async fn acknowledge(
        &self,
        id: IncidentId,
        user: &str,
        until: Option<Time>,
    ) -> Result<Incident, Error> {
        let by = user.to_owned();
        self.one(id, &Happening::Acknowledge { by, until }, user).await
    }

    /// Somebody says that it is over: whoever was told of it is told so.
    ///
    /// # Errors
    /// `NotFound`; `Over`; `Store`.
    pub async fn resolve(&self, id: IncidentId, user: &str) -> Result<Incident, Error> {
        self.one(id, &Happening::Resolve { by: user.to_owned() }, user).await
    }

    /// Tells those again whom no message reached: the mail server was wrong, and is mended.
    ///
    /// # Errors
    /// `NotFound`; `Over`; `Reached`; `Store`.
    pub async fn tell(&self, id: IncidentId, user: &str) -> Result<Incident, Error> {
        let found = self.get(id).await?.ok_or(Error::NotFound(id))?;
        if found.state != State::Resolved && found.missed().is_empty() {
            return Err(Error::Reached(id));
        }
        self.one(id, &Happening::Tell { by: user.to_owned() }, user).await
    }

    async fn one(
        &self,
        id: IncidentId,
        happening: &Happening,
        user: &str,
    ) -> Result<Incident, Error> {
        let found = self.get(id).await?.ok_or(Error::NotFound(id))?;
        if found.state == State::Resolved {
            return Err(Error::Over(id));
        }
        self.room.act(&[id], happening, user).await?;
        self.get(id).await?.ok_or(Error::NotFound(id))
    }

    /// Whoever has a link acknowledges all that it tells of and is not over, or says that it is over.
    /// Says of how many.
    ///
    /// # Errors
    /// As `Store::commit`.
    pub async fn by_link(&self, secret: &str, resolve: bool) -> Result<usize, store::Error> {
        let hash = hashed(secret);
        let behind = self.behind_link(secret).await?;
        let channel = behind.iter().flat_map(|one| &one.links).find(|link| link.hash == hash);
        let by =
            channel.map_or_else(|| "link".to_owned(), |link| format!("link of {}", link.channel));
        let wanted = |one: &&Incident| match one.state {
            State::Open => true,
            State::Acknowledged => resolve,
            State::Resolved => false,
        };
        let ids: Vec<IncidentId> = behind.iter().filter(wanted).map(|one| one.id).collect();
        if !ids.is_empty() {
            let happening = if resolve {
                Happening::Resolve { by: by.clone() }
            } else {
                Happening::Acknowledge { by: by.clone(), until: None }
            };
            self.room.act(&ids, &happening, &by).await?;
        }
        Ok(ids.len())
    }
}
