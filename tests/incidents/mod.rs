//! Incidents: who is told what, and when.

mod deciding;
mod desk;
mod home;
mod keeping;
mod plans;
