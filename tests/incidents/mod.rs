//! Incidents: who is told what, and when.

mod deciding;
mod desk;
pub mod home;
mod keeping;
mod plans;
