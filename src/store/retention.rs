//! Forgets what `tables` says may be forgotten.
