//! The integrated registry, as clients see it: recorded conversations, pull-through, real clients, faults.

mod cases;
mod content;
mod world;
