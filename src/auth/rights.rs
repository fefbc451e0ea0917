//! What roles may do: one table, and whatever it does not say is denied.

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
/// The role that only looks.
pub const VIEWER: &str = "viewer";
/// The role of the short-lived keys that running actions get. They answer no inquiry: people do.
pub const ACTION: &str = "action";
/// The role that may nothing.
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
