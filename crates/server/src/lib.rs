//! Weir's server: listeners, the request pipeline, resources, the import engine and the controllers.

pub mod auth;
pub mod body;
pub mod bootstrap;
pub mod clock;
pub mod context;
pub mod control;
pub mod image;
pub mod import;
pub mod ledger;
pub mod limits;
pub mod listen;
pub mod metrics;
pub mod namespaces;
pub mod pipeline;
pub mod pki;
pub mod plain;
pub mod printer;
pub mod random;
pub mod rendered;
pub mod resource;
pub mod respond;
pub mod rest;
pub mod routes;
pub mod serve;
pub mod settings;
#[cfg(test)]
mod simulation;
pub mod stored;
pub mod stream;
pub mod streams;
pub mod surroundings;
pub mod tasks;
pub mod validate;
pub mod view;
