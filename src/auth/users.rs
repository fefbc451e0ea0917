//! Users: made, changed and removed by administrators; everybody changes their own password.

use crate::auth::keys::within;
use crate::auth::{Caller, Error, Keys, rights};
use crate::model::time::Time;
use crate::store;
use crate::store::batch::Batch;
use crate::store::people::{Used, User};
use crate::store::table::{self, Held, Rows};
use crate::store::tables::ApiKey;

/// Users that there are at most.
pub const USERS_LIMIT: usize = 1000;

/// A user to be made.
#[derive(Debug, Clone)]
pub struct Person {
    /// The name.
    pub name: String,
    /// Without one nobody signs in by password.
    pub password: Option<String>,
    /// What the user may do: a name of `rights::ROLES`.
    pub role: String,
    /// What the user may do of some things only.
    pub grants: Vec<String>,
}

/// What becomes different; nothing: it stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The role.
    pub role: Option<String>,
    /// All grants.
    pub grants: Option<Vec<String>>,
    /// Whether the user may call.
    pub enabled: Option<bool>,
}

impl Keys {
    /// Every user, by name; `USERS_LIMIT` at most.
    ///
    /// # Errors
    /// As `Store::scan`.
    pub async fn users(&self) -> Result<Vec<User>, store::Error> {
        let found = table::scan::<User>(&self.store, Rows::first(USERS_LIMIT)).await?;
        Ok(found.into_iter().map(|held| held.row).collect())
    }

    /// One user.
    ///
    /// # Errors
    /// As `Store::get`.
    pub async fn user(&self, name: &str) -> Result<Option<User>, store::Error> {
        Ok(self.held(name).await?.map(|held| held.row))
    }

    pub(crate) async fn held(&self, name: &str) -> Result<Option<Held<User>>, store::Error> {
        table::get::<User>(&self.store, name.as_bytes().to_vec()).await
    }

    /// Makes a user, who can do nothing that `maker` cannot.
    ///
    /// # Errors
    /// `BadName`, `NoSuchRole`, `BadGrant`, `ManyGrants`, `Stronger`, `UserExists`, `ManyUsers`,
    /// `BadPassword`, `Busy` and `Store`.
    pub async fn create_user(&self, maker: &Caller, person: Person) -> Result<User, Error> {
        if !is_name(&person.name) {
            return Err(Error::BadName { name: person.name });
        }
        if !rights::covers(maker, &person.role, &within(&person.role, &person.grants)?) {
            return Err(Error::Stronger);
        }
        let hash = match &person.password {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        let _turn = self.turn().await;
        let users = self.users().await?;
        if users.iter().any(|user| user.name == person.name) {
            return Err(Error::UserExists { name: person.name });
        }
        if users.len() >= USERS_LIMIT {
            return Err(Error::ManyUsers);
        }
        let user = User {
            name: person.name,
            hash,
            role: person.role,
            grants: person.grants,
            enabled: true,
            era: self.ids.record(),
            created: self.clock.now(),
        };
        let mut batch = Batch::new();
        table::create(&mut batch, &user);
        self.store.commit(batch).await?;
        Ok(user)
    }

    /// Changes a user's rights or state; tokens follow at once. A user who is switched off has to sign
    /// in again afterwards.
    ///
    /// # Errors
    /// `OwnRights`, `NoSuchUser`, `NoSuchRole`, `BadGrant`, `ManyGrants`, `Stronger`, `LastAdmin` and
    /// `Store`.
    pub async fn change_user(
        &self,
        maker: &Caller,
        name: &str,
        change: Change,
    ) -> Result<User, Error> {
        if maker.user == name {
            return Err(Error::OwnRights);
        }
        let _turn = self.turn().await;
        let held = self.known(name).await?;
        let mut user = held.row.clone();
        user.role = change.role.unwrap_or(user.role);
        user.grants = change.grants.unwrap_or(user.grants);
        if !rights::covers(maker, &user.role, &within(&user.role, &user.grants)?) {
            return Err(Error::Stronger);
        }
        user.enabled = change.enabled.unwrap_or(user.enabled);
        if !user.enabled {
            user.era = self.ids.record();
        }
        if !(user.enabled && user.role == rights::ADMIN) {
            let keys_work = user.enabled;
            self.admins_stay(|other| other.name != name, |key| keys_work || key.user != name)
                .await?;
        }
        self.write(&held, &user).await?;
        Ok(user)
    }

    /// Sets a user's password, by whoever may; every token of the user ends.
    ///
    /// # Errors
    /// `NoSuchUser`, `BadPassword`, `Busy` and `Store`.
    pub async fn set_password(&self, name: &str, password: &str) -> Result<User, Error> {
        self.known(name).await?;
        let hash = self.passwords.hash(password).await?;
        let _turn = self.turn().await;
        let held = self.known(name).await?;
        let user = User { hash: Some(hash), era: self.ids.record(), ..held.row.clone() };
        self.write(&held, &user).await?;
        Ok(user)
    }

    /// Removes a user, with every token and every API key in that name.
    ///
    /// # Errors
    /// `OwnRights`, `NoSuchUser`, `LastAdmin` and `Store`.
    pub async fn remove_user(&self, maker: &Caller, name: &str) -> Result<(), Error> {
        if maker.user == name {
            return Err(Error::OwnRights);
        }
        let _turn = self.turn().await;
        let held = self.known(name).await?;
        self.admins_stay(|other| other.name != name, |key| key.user != name).await?;
        let mut batch = Batch::new();
        for key in self.list().await?.iter().filter(|key| key.user == name) {
            batch.remove(table::key::<ApiKey>(key.id.to_bytes().to_vec()));
            batch.remove(table::key::<Used>(key.id.to_string().into_bytes()));
        }
        batch.remove(table::key::<Used>(Used::user(name).into_bytes()));
        table::remove(&mut batch, &held);
        self.store.commit(batch).await?;
        Ok(())
    }

    async fn known(&self, name: &str) -> Result<Held<User>, Error> {
        let held = self.held(name).await?;
        held.ok_or_else(|| Error::NoSuchUser { name: name.to_owned() })
    }

    async fn write(&self, held: &Held<User>, user: &User) -> Result<(), Error> {
        let mut batch = Batch::new();
        table::replace(&mut batch, held, user);
        self.store.commit(batch).await?;
        Ok(())
    }

    /// When each of these was last used: keys' ids, or users' names as `Used::user` writes them.
    ///
    /// # Errors
    /// As `Store::get_many`.
    pub async fn last_used(&self, of: Vec<String>) -> Result<Vec<Option<Time>>, store::Error> {
        let keys = of.into_iter().map(String::into_bytes);
        let held = table::get_many::<Used>(&self.store, keys).await?;
        Ok(held.into_iter().map(|held| held.map(|held| held.row.at)).collect())
    }
}

/// Whether a user may be called so: names stand in paths, logs and stores' keys.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_@".contains(c);
    (1..=64).contains(&name.len()) && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        assert!(["ann", "a", "ann.b-c_d@example.org"].into_iter().all(is_name));
        let long = "x".repeat(65);
        let bad = ["", "a b", "a/b", "a\0b", "ä", "a:b", "../x%", long.as_str()];
        assert!(!bad.into_iter().any(is_name));
    }
}
