//! A record's envelope: format version, revision and checksum, checked on every read.
