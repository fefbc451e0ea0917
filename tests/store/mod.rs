//! The store: one contract for all backends, and what redb's own file has to withstand.

mod contract;
mod damage;
mod decode;
mod disk;
mod faults;
mod file;
mod keeping;
mod kill;
mod load;
mod model;
mod power;
