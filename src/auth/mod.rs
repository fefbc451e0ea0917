//! Who may do what: API keys, and one table of rights.
