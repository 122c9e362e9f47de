//! Faults for simulations: a disk that behaves as badly as disks may, and a seeded source of chance.
//!
//! Compiled with the feature `sim` only. Everything here is driven by a seed, so that a failure can be repeated.

mod chance;
mod disk;

pub use chance::Chance;
pub use disk::Faulty;
