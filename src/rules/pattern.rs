//! What a rule is `on`: a trigger, or a glob over triggers.

use globset::{GlobBuilder, GlobMatcher};

use crate::model::reference::Reference;

/// A trigger or a glob over triggers.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// This trigger.
    Exact(Reference),
    /// Every trigger whose name fits, dots included: `storage.*`, `*.full`, `core.{a,b}`.
    Glob(GlobMatcher),
}

impl Pattern {
    /// Reads what stands behind `on:`.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains(['*', '?', '[', '{']) {
            let glob = GlobBuilder::new(text).literal_separator(false).build();
            return glob
                .map(|glob| Self::Glob(glob.compile_matcher()))
                .map_err(|error| format!("`{text}` is no glob: {}", error.kind()));
        }
        text.parse().map(Self::Exact).map_err(|_| {
            format!(
                "`{text}` is not a trigger; expected `pack.name`, or a glob such as `storage.*`"
            )
        })
    }

    /// Whether events of this trigger are meant.
    #[must_use]
    pub fn fits(&self, trigger: &Reference) -> bool {
        match self {
            Self::Exact(exact) => exact == trigger,
            Self::Glob(glob) => glob.is_match(trigger.as_str()),
        }
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Exact(exact) => exact.as_str(),
            Self::Glob(glob) => glob.glob().glob(),
        }
    }
}
