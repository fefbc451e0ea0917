//! Why an execution stands where it stands.
