//! API keys in the store, and short-lived ones in memory; and the one function that says who calls.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::auth::failures::Failures;
use crate::auth::passwords::Passwords;
use crate::auth::uses::Uses;
use crate::auth::{Caller, Error, Grant, Secret, Via, grant, rights};
use crate::clock::{Clock, Ids};
use crate::model::id::KeyId;
use crate::model::time::Time;
use crate::store::batch::Batch;
use crate::store::people::{Used, User};
use crate::store::table::{self, Rows};
use crate::store::tables::ApiKey;
use crate::store::{self, Handle};

/// The file of the first key, in the data folder.
pub const ADMIN_FILE: &str = "admin.key";

/// API keys that a list shows at most.
pub const LIST_LIMIT: usize = 1000;

/// A key to be made.
#[derive(Debug, Clone)]
pub struct Draft {
    /// In whose name it calls.
    pub user: String,
    /// What it may do: a name of `rights::ROLES`.
    pub role: String,
    /// What it may do of some things only.
    pub grants: Vec<String>,
    /// When it ends.
    pub expires: Option<Time>,
    /// Free words.
    pub metadata: Value,
}

/// Every key there is, and whoever may have one. Cheap to clone.
#[derive(Clone)]
pub struct Keys {
    pub(crate) store: Handle,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) passwords: Passwords,
    pub(crate) failures: Arc<Mutex<Failures>>,
    pub(crate) uses: Arc<Mutex<Uses>>,
    issued: Arc<Mutex<HashMap<KeyId, Issued>>>,
    turn: Arc<Semaphore>,
}

/// A short-lived key: it dies with the process.
struct Issued {
    hash: Vec<u8>,
    caller: Caller,
    until: Time,
}

impl Keys {
    /// The keys of `store`.
    #[must_use]
    pub fn new(store: Handle, clock: Clock, ids: Ids) -> Self {
        Self {
            store,
            clock,
            ids,
            passwords: Passwords::new(),
            failures: Arc::default(),
            uses: Arc::default(),
            issued: Arc::default(),
            // 1: whether an admin is left is asked and made true as one.
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Makes the first admin key where the store has no key and no user at all: the file first, then the record, so
    /// that a crash between the two leaves a file whose key the next start takes on. Gives the key when
    /// it was made now, to be shown once.
    ///
    /// # Errors
    /// `File` and `Store`.
    pub async fn first(&self, data: &Path) -> Result<Option<Secret>, Error> {
        let path = data.join(ADMIN_FILE);
        // Where there are users, somebody removed the last key on purpose.
        if !self.list().await?.is_empty() || !self.users().await?.is_empty() {
            return Ok(None);
        }
        let left = read(&path)?.and_then(|text| Secret::read(text.trim()));
        let secret = if let Some(secret) = left {
            secret
        } else {
            let secret = Secret::fresh(self.ids.key());
            write(&path, &secret)?;
            secret
        };
        self.keep(&secret, admin()).await?;
        Ok(Some(secret))
    }

    /// Makes another admin key and puts it in the place of the first one's file, for whoever has the
    /// folder and no key. Gives the file.
    ///
    /// # Errors
    /// `File` and `Store`.
    pub async fn recover(&self, data: &Path) -> Result<PathBuf, Error> {
        let path = data.join(ADMIN_FILE);
        let secret = Secret::fresh(self.ids.key());
        // The record first: a file that is there names a key that works.
        self.keep(&secret, admin()).await?;
        write(&path, &secret)?;
        Ok(path)
    }

    /// Who calls with `text`.
    ///
    /// # Errors
    /// `Wrong`, `Disabled`, `Expired`, `Store`.
    pub async fn check(&self, text: &str) -> Result<Caller, Error> {
        let secret = Secret::read(text).ok_or(Error::Wrong)?;
        if let Some(known) = self.check_issued(&secret) {
            return known;
        }
        let bytes = secret.id.to_bytes().to_vec();
        let caller = match table::get::<ApiKey>(&self.store, bytes.clone()).await? {
            Some(held) => self.check_key(&secret, held.row).await?,
            None => self.check_token(&secret, bytes).await?,
        };
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        uses.note(&caller, self.clock.now());
        drop(uses);
        Ok(caller)
    }

    async fn check_key(&self, secret: &Secret, key: ApiKey) -> Result<Caller, Error> {
        if !secret.fits(&key.hash) {
            return Err(Error::Wrong);
        }
        if !key.enabled {
            return Err(Error::Disabled);
        }
        if key.expires.is_some_and(|end| end <= self.clock.now()) {
            return Err(Error::Expired);
        }
        // Nobody needs to be a user to have a key; but who is one and is switched off has none.
        let user = table::get::<User>(&self.store, key.user.as_bytes().to_vec()).await?;
        if user.is_some_and(|held| !held.row.enabled) {
            return Err(Error::Disabled);
        }
        let grants = readable(&key.grants);
        Ok(Caller { user: key.user, role: key.role, grants, via: Via::Key(key.id) })
    }

    fn check_issued(&self, secret: &Secret) -> Option<Result<Caller, Error>> {
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let known = issued.get(&secret.id)?;
        Some(if !secret.fits(&known.hash) {
            Err(Error::Wrong)
        } else if known.until <= self.clock.now() {
            Err(Error::Expired)
        } else {
            Ok(known.caller.clone())
        })
    }

    /// A key that lives `ttl` and at most as long as the process: what a running action calls back with.
    /// Whoever asked for it withdraws it; nobody looks for those that are over.
    #[must_use]
    pub fn issue(&self, user: &str, role: &str, ttl: Duration) -> Secret {
        let now = self.clock.now();
        let secret = Secret::fresh(self.ids.key());
        let (user, role, via) = (user.to_owned(), role.to_owned(), Via::Action(secret.id));
        let caller = Caller { user, role, grants: Arc::default(), via };
        let issued = Issued { hash: secret.hash(), caller, until: now.plus(ttl) };
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).insert(secret.id, issued);
        secret
    }

    /// Ends a key that `issue` made.
    pub fn withdraw(&self, id: KeyId) {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Makes a key; the secret is given here and never again. It can do nothing that `maker` cannot.
    ///
    /// # Errors
    /// `NoSuchRole`, `BadGrant`, `ManyGrants`, `Stronger` and `Store`.
    pub async fn create_by(&self, maker: &Caller, draft: Draft) -> Result<(ApiKey, Secret), Error> {
        if !rights::covers(maker, &draft.role, &within(&draft.role, &draft.grants)?) {
            return Err(Error::Stronger);
        }
        self.create(draft).await
    }

    /// Makes a key for the house itself; the secret is given here and never again.
    ///
    /// # Errors
    /// `NoSuchRole`, `BadGrant`, `ManyGrants` and `Store`.
    pub async fn create(&self, draft: Draft) -> Result<(ApiKey, Secret), Error> {
        within(&draft.role, &draft.grants)?;
        let secret = Secret::fresh(self.ids.key());
        let key = self.keep(&secret, draft).await?;
        Ok((key, secret))
    }

    async fn keep(&self, secret: &Secret, draft: Draft) -> Result<ApiKey, Error> {
        let key = ApiKey {
            id: secret.id,
            hash: secret.hash(),
            user: draft.user,
            role: draft.role,
            grants: draft.grants,
            enabled: true,
            created: self.clock.now(),
            expires: draft.expires,
            metadata: draft.metadata,
        };
        let mut batch = Batch::new();
        table::create(&mut batch, &key);
        self.store.commit(batch).await?;
        Ok(key)
    }

    /// Every stored key, oldest first; `LIST_LIMIT` at most.
    ///
    /// # Errors
    /// As `Store::scan`.
    pub async fn list(&self) -> Result<Vec<ApiKey>, store::Error> {
        let found = table::scan::<ApiKey>(&self.store, Rows::first(LIST_LIMIT)).await?;
        Ok(found.into_iter().map(|held| held.row).collect())
    }

    /// One stored key.
    ///
    /// # Errors
    /// As `Store::get`.
    pub async fn get(&self, id: KeyId) -> Result<Option<ApiKey>, store::Error> {
        let held = table::get::<ApiKey>(&self.store, id.to_bytes().to_vec()).await?;
        Ok(held.map(|held| held.row))
    }

    /// Switches a key on or off. Says nothing where there is none.
    ///
    /// # Errors
    /// `LastAdmin` and `Store`.
    pub async fn enable(&self, id: KeyId, enabled: bool) -> Result<Option<ApiKey>, Error> {
        let _turn = self.turn().await;
        let Some(held) = table::get::<ApiKey>(&self.store, id.to_bytes().to_vec()).await? else {
            return Ok(None);
        };
        if !enabled {
            self.admins_stay(|_| true, |key| key.id != id).await?;
        }
        let key = ApiKey { enabled, ..held.row.clone() };
        let mut batch = Batch::new();
        table::replace(&mut batch, &held, &key);
        self.store.commit(batch).await?;
        Ok(Some(key))
    }

    /// Removes a key; it ends at once. Says whether there was one.
    ///
    /// # Errors
    /// `LastAdmin` and `Store`.
    pub async fn remove(&self, id: KeyId) -> Result<bool, Error> {
        let _turn = self.turn().await;
        let Some(held) = table::get::<ApiKey>(&self.store, id.to_bytes().to_vec()).await? else {
            return Ok(false);
        };
        self.admins_stay(|_| true, |key| key.id != id).await?;
        let mut batch = Batch::new();
        table::remove(&mut batch, &held);
        batch.remove(table::key::<Used>(id.to_string().into_bytes()));
        self.store.commit(batch).await?;
        Ok(true)
    }

    /// Waits until nobody else changes who may do what.
    pub(crate) async fn turn(&self) -> SemaphorePermit<'_> {
        self.turn.acquire().await.expect("nobody closes it")
    }

    /// Refuses a change after which only the users and keys for which `users` and `keys` say yes could
    /// administer, where that is nobody. It is asked in `turn`.
    pub(crate) async fn admins_stay(
        &self,
        users: impl Fn(&User) -> bool,
        keys: impl Fn(&ApiKey) -> bool,
    ) -> Result<(), Error> {
        let all = self.users().await?;
        let may = |user: &User| user.enabled && user.role == rights::ADMIN && user.hash.is_some();
        if all.iter().any(|user| may(user) && users(user)) {
            return Ok(());
        }
        let now = self.clock.now();
        let off = |name: &str| all.iter().any(|user| user.name == name && !user.enabled);
        let works = |key: &ApiKey| {
            let lives = key.enabled && key.expires.is_none_or(|end| end > now);
            lives && key.role == rights::ADMIN && !off(&key.user)
        };
        let mut listed = self.list().await?.into_iter();
        if listed.any(|key| works(&key) && keys(&key)) { Ok(()) } else { Err(Error::LastAdmin) }
    }
}

/// The grants, where both they and the role are what they should be.
///
/// # Errors
/// `NoSuchRole`, `BadGrant`, `ManyGrants`.
pub(crate) fn within(role: &str, grants: &[String]) -> Result<Vec<Grant>, Error> {
    if !rights::is_role(role) {
        return Err(Error::NoSuchRole { role: role.to_owned() });
    }
    if grants.len() > grant::GRANTS_LIMIT {
        return Err(Error::ManyGrants { count: grants.len() });
    }
    grants.iter().map(|text| text.parse().map_err(Error::from)).collect()
}

/// Stored grants; what cannot be read gives nothing.
pub(crate) fn readable(grants: &[String]) -> Arc<[Grant]> {
    grants.iter().filter_map(|text| text.parse().ok()).collect()
}

/// A key that may everything.
fn admin() -> Draft {
    Draft {
        user: rights::ADMIN.to_owned(),
        role: rights::ADMIN.to_owned(),
        grants: Vec::new(),
        expires: None,
        metadata: Value::Object(Map::new()),
    }
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::File { path: path.display().to_string(), what: error.to_string() }
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, &error)),
    }
}

/// Made aside, synced, renamed: the file is whole or absent, whenever the power goes.
fn write(path: &Path, secret: &Secret) -> Result<(), Error> {
    let aside = path.with_extension("key.new");
    let attempt = || -> io::Result<()> {
        if let Err(error) = fs::remove_file(&aside)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        writeln!(file, "{}", secret.reveal())?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    attempt().map_err(|error| failed(path, &error))
}
