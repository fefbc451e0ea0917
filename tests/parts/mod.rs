//! Real parts for tests: started on loopback with free ports, ended by id.

pub mod alertmanager;
pub mod array;
pub mod call;
pub mod disk;
pub mod hotpot;
pub mod kafka;
pub mod program;
pub mod prometheus;
pub mod s3;
pub mod smtp;
pub mod sshd;
