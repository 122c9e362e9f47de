//! What a project may hold: limits of streams and images, and quotas.

pub mod kinds;
pub mod limits;
pub mod quota;
