//! Settings: composes each room's own.
