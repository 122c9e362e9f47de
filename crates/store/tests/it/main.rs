//! The store as its users see it: every engine against one suite, and the engines' own promises.

#[cfg(test)]
mod cache;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod embedded;
#[cfg(test)]
mod model;
