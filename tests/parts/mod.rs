//! Real parts for tests: started on loopback with free ports, ended by id.

pub mod kafka;
