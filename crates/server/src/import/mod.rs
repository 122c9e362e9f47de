//! Imports: images of other people's registries become tags of streams.
//!
//! A request goes through four stages. [`plan`] works out what to ask whom, without asking; [`fetch`] asks, politely
//! and each thing once; [`outcome`] and [`apply`] turn the answers into statuses and a new stream, without waiting for
//! anything; the last stage hands the stream to the one door that tags move through. All rules are in the pure stages.
//!
//! One image's failure is that image's: it is told in its status and, when it is stored, in a condition of its tag,
//! whose last good image stays. Only a request that cannot be understood, or a stream that somebody else changed in the
//! meantime, fails as a whole. Every future here may be dropped at any time; nothing is stored before the last stage.

pub mod apply;
pub mod attached;
pub mod budget;
pub mod convert;
pub mod engine;
pub mod failure;
pub mod fault;
pub mod fetch;
pub mod flight;
pub mod flow;
pub mod gate;
pub mod limits;
pub mod outcome;
pub mod plan;
pub mod registries;
pub mod repo;
pub mod seam;
pub mod validate;

#[cfg(test)]
mod replay;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod world;

pub use engine::Engine;
pub use flow::run;
pub use gate::{Lane, Report};
pub use seam::{Held, PullSecret, Surroundings, Written};
