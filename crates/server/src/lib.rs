//! Weir's server: listeners, the request pipeline, resources, the import engine and the controllers.

pub mod body;
pub mod bootstrap;
pub mod clock;
pub mod control;
pub mod image;
pub mod import;
pub mod limits;
pub mod pki;
pub mod random;
pub mod settings;
pub mod stream;
pub mod tasks;
pub mod validate;
pub mod view;
