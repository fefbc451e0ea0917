//! Incidents: who is told what, and when.

mod alerts;
mod deciding;
mod desk;
pub mod home;
mod keeping;
mod plans;
