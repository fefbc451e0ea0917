//! Sensors on a real door: what they see becomes events, once.

mod kafka;
mod kafka_decode;
