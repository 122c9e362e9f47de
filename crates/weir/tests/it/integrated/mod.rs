//! The integrated registry, as clients see it: recorded conversations, pull-through, real clients, faults.

mod adoption;
mod attached;
mod cases;
mod clients;
mod content;
mod faults;
mod limits;
mod notifications;
mod objects;
mod prune;
mod pull_through;
mod world;
