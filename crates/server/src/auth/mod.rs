//! Who is asking, and may they?
//!
//! [`authenticate`] finds out who sent a request, [`impersonate`] lets them act as somebody else, [`authorize`] refuses
//! what they may not do. Everybody else in the server asks [`may`]: it is the one entry to what is allowed, and answers
//! from roles and bindings as they are at this moment.

pub mod actor;
mod authenticate;
mod authorize;
mod authorizer;
mod compiled;
mod front_proxy;
pub mod groups;
mod impersonate;
mod jwt;
pub mod oauth;
mod oidc;
mod proved;
pub mod rbac;
pub mod tokens;

pub use actor::{ANONYMOUS, AUTHENTICATED, Actor, SharedActor};
pub use authenticate::{Authenticator, TokenOwner, authenticate, prepare, token_owner};
pub use authorize::{authorize, check, denied, may, may_read_layers, review};
pub use authorizer::Authorizer;
pub use front_proxy::FrontProxy;
pub use groups::Groups;
pub use impersonate::{impersonate, is_asked as is_impersonation};
pub use jwt::Signer;
pub use oidc::Oidc;

/// What a caller may do about something, with the authorizer's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// Why, for people; mostly empty.
    pub reason: String,
}
