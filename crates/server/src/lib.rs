//! Weir's server: listeners, the request pipeline, resources, the import engine and the controllers.

pub mod body;
pub mod clock;
pub mod limits;
pub mod random;
pub mod settings;
pub mod tasks;
