//! What roles may do: one table, and whatever neither it nor a grant says is denied.
//!
//! `may` is the one decision. A role has a right of everything; a grant adds it of some things. Whoever
//! is to have little has the role `none` and grants.

use crate::auth::Caller;
use crate::auth::grant::{Grant, Object};

/// One thing that a call may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Right {
    /// Read everything but secrets.
    View,
    /// Report events.
    Report,
    /// Run, re-run, pause, resume, remedy and cancel executions; replay events.
    Run,
    /// Answer inquiries.
    Answer,
    /// Look after what runs: restart sensors, acknowledge incidents, release rules from quarantine.
    Operate,
    /// Change what people wrote: keys of the key-value store.
    Change,
    /// Read secret values of the key-value store.
    Reveal,
    /// Everything that makes others powerful: users, API keys, backups.
    Administer,
}

impl Right {
    /// Every right there is.
    pub const ALL: &[Self] = &[
        Self::View,
        Self::Report,
        Self::Run,
        Self::Answer,
        Self::Operate,
        Self::Change,
        Self::Reveal,
        Self::Administer,
    ];

    /// The word in grants, in the OpenAPI page and in refusals.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Report => "report",
            Self::Run => "run",
            Self::Answer => "answer",
            Self::Operate => "operate",
            Self::Change => "change",
            Self::Reveal => "reveal",
            Self::Administer => "administer",
        }
    }
}

/// The role that may everything.
pub const ADMIN: &str = "admin";
/// The role of a key for which nobody asked another.
pub const OPERATOR: &str = "operator";
/// The role of a user for whom nobody asked another.
pub const VIEWER: &str = "viewer";
/// The role of the short-lived keys that running actions get. They answer no inquiry: people do.
pub const ACTION: &str = "action";
/// The role that may nothing: what its users may do is in their grants.
pub const NONE: &str = "none";

/// Every role with its rights.
pub const ROLES: &[(&str, &[Right])] = &[
    (ADMIN, Right::ALL),
    (
        "author",
        &[Right::View, Right::Report, Right::Run, Right::Answer, Right::Operate, Right::Change],
    ),
    (OPERATOR, &[Right::View, Right::Report, Right::Run, Right::Answer, Right::Operate]),
    (VIEWER, &[Right::View]),
    ("sensor", &[Right::Report]),
    (
        ACTION,
        &[Right::View, Right::Report, Right::Run, Right::Operate, Right::Change, Right::Reveal],
    ),
    (NONE, &[]),
];

/// The rights of a role; none where there is no such role.
#[must_use]
pub fn of(role: &str) -> &'static [Right] {
    ROLES.iter().find(|(name, _)| *name == role).map_or(&[], |(_, rights)| rights)
}

/// Whether there is such a role.
#[must_use]
pub fn is_role(role: &str) -> bool {
    ROLES.iter().any(|(name, _)| *name == role)
}

/// The roles' names, for messages.
#[must_use]
pub fn names() -> String {
    ROLES.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Whether `caller` has `right` of `object`: by the role, or by a grant that fits one of the object's
/// names. What has no name is everything, and only a role has a right of everything.
#[must_use]
pub fn may(caller: &Caller, right: Right, object: &Object) -> bool {
    of(&caller.role).contains(&right)
        || caller.grants.iter().any(|grant| grant.right == right && grant.fits(object))
}

/// Whether `caller` has `right` of anything at all: what is shown then is only what it may see.
#[must_use]
pub fn may_some(caller: &Caller, right: Right) -> bool {
    of(&caller.role).contains(&right) || caller.grants.iter().any(|grant| grant.right == right)
}

/// Whether somebody with `role` and `grants` could do nothing that `caller` cannot: nobody makes others
/// stronger than themselves.
#[must_use]
pub fn covers(caller: &Caller, role: &str, grants: &[Grant]) -> bool {
    let own = of(&caller.role);
    of(role).iter().all(|right| own.contains(right))
        && grants.iter().all(|grant| {
            own.contains(&grant.right) || caller.grants.iter().any(|held| held.covers(grant))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Via;
    use crate::auth::grant::Kind;
    use crate::model::id::KeyId;

    fn caller(role: &str, grants: &[&str]) -> Caller {
        Caller {
            user: "ann".to_owned(),
            role: role.to_owned(),
            grants: grants.iter().map(|text| text.parse().unwrap()).collect(),
            via: Via::Key(KeyId::from_bits(1)),
        }
    }

    #[test]
    fn an_unknown_role_may_nothing() {
        assert!(of("root").is_empty() && of("").is_empty() && of("Admin").is_empty());
    }

    #[test]
    fn only_admin_administers() {
        let who: Vec<_> = ROLES.iter().filter(|(_, r)| r.contains(&Right::Administer)).collect();
        assert_eq!(who.len(), 1);
        assert_eq!(who[0].0, ADMIN);
    }

    #[test]
    fn each_of_the_peoples_roles_has_what_the_one_before_has() {
        let ladder = [NONE, VIEWER, OPERATOR, "author", ADMIN];
        for pair in ladder.windows(2) {
            assert!(of(pair[0]).iter().all(|right| of(pair[1]).contains(right)), "{pair:?}");
            assert!(of(pair[0]).len() < of(pair[1]).len(), "{pair:?}");
        }
    }

    #[test]
    fn a_grant_gives_its_right_of_what_it_names_and_nothing_else() {
        let ann = caller(NONE, &["run pack:storage", "run action:core.local", "view execution:*"]);
        let action = |reference: &str| Object::default().named(Kind::Action, reference);
        assert!(may(&ann, Right::Run, &action("storage.grow")));
        assert!(may(&ann, Right::Run, &action("core.local")));
        assert!(!may(&ann, Right::Run, &action("core.remote")));
        assert!(!may(&ann, Right::Run, &action("storage2.grow")));
        assert!(!may(&ann, Right::View, &action("storage.grow")));
        assert!(!may(&ann, Right::Run, &Object::default()), "everything is in no grant");
        let execution = Object::default().and(Kind::Execution, "exe_1");
        assert!(may(&ann, Right::View, &execution) && !may(&ann, Right::Run, &execution));
        assert!(may_some(&ann, Right::Run) && !may_some(&ann, Right::Report));
    }

    #[test]
    fn a_role_has_its_rights_of_everything() {
        let object = Object::default().named(Kind::Rule, "storage.full");
        for (role, rights) in ROLES {
            for right in Right::ALL {
                assert_eq!(may(&caller(role, &[]), *right, &object), rights.contains(right));
                assert_eq!(
                    may(&caller(role, &[]), *right, &Object::default()),
                    rights.contains(right)
                );
            }
        }
    }

    #[test]
    fn nobody_covers_what_they_do_not_have() {
        let grants = |texts: &[&str]| -> Vec<Grant> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let operator = caller(OPERATOR, &["change key:storage.*"]);
        assert!(covers(&operator, VIEWER, &[]) && covers(&operator, OPERATOR, &[]));
        assert!(!covers(&operator, "author", &[]) && !covers(&operator, ADMIN, &[]));
        assert!(!covers(&operator, ACTION, &[]));
        assert!(covers(&operator, NONE, &grants(&["run pack:core", "change key:storage.*"])));
        assert!(!covers(&operator, NONE, &grants(&["change key:*"])));
        assert!(!covers(&operator, NONE, &grants(&["reveal key:storage.x"])));
        assert!(covers(&caller(ADMIN, &[]), ADMIN, &grants(&["reveal key:*"])));
    }
}
