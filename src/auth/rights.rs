//! What roles may do: one table, and whatever it does not say is denied.

/// One thing that a call may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Right {
    /// Read everything but secrets.
    View,
    /// Report events.
    Report,
    /// Run, re-run and cancel executions; restart sensors.
    Run,
    /// Change what is kept: keys of the key-value store.
    Change,
    /// Read secret values of the key-value store.
    Reveal,
    /// Everything that makes others powerful: API keys, backups.
    Administer,
}

impl Right {
    /// The word in the OpenAPI page and in refusals.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Report => "report",
            Self::Run => "run",
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
/// The role of the short-lived keys that running actions get.
pub const ACTION: &str = "action";

/// Every role with its rights.
pub const ROLES: &[(&str, &[Right])] = &[
    (
        ADMIN,
        &[Right::View, Right::Report, Right::Run, Right::Change, Right::Reveal, Right::Administer],
    ),
    (OPERATOR, &[Right::View, Right::Report, Right::Run, Right::Change]),
    ("viewer", &[Right::View]),
    ("sensor", &[Right::Report]),
    (ACTION, &[Right::View, Right::Report, Right::Run, Right::Change, Right::Reveal]),
];

/// The rights of a role; none where there is no such role.
#[must_use]
pub fn of(role: &str) -> &'static [Right] {
    ROLES.iter().find(|(name, _)| *name == role).map_or(&[], |(_, rights)| rights)
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
}
