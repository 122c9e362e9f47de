//! Who makes a request: a name, groups, and what else the source of users says.
//!
//! The groups are those that this request's credentials prove, never remembered ones. Nothing here decides anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::bootstrap::ADMIN_GROUP;

/// Group of everybody who has proved who they are.
pub const AUTHENTICATED: &str = "system:authenticated";
/// Group of those who logged in with a password or through another identity provider.
pub const AUTHENTICATED_OAUTH: &str = "system:authenticated:oauth";
/// User name of everybody else.
pub const ANONYMOUS: &str = "system:anonymous";
/// Group of everybody else.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// What names of service accounts begin with; `NAMESPACE:NAME` follows.
pub const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";
/// Group of all service accounts; `:NAMESPACE` behind it means those of one project.
pub const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";

/// Who makes a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// Name.
    pub user: String,
    /// Identity beyond the name, where the source of users has one.
    pub uid: String,
    /// Groups; shared by all requests with the same credentials.
    pub groups: Arc<Vec<String>>,
    /// Further words about the user; shared, too.
    pub extra: Arc<BTreeMap<String, Vec<String>>>,
    /// Who really asks, when this user is impersonated.
    pub impersonator: Option<String>,
    /// The request; audit and ledger name it.
    pub request_id: String,
}

/// An actor shared by the parts of one request.
pub type SharedActor = Arc<Actor>;

impl Actor {
    /// A part of the server itself.
    pub fn controller(name: &str) -> Actor {
        Actor {
            user: format!("{SERVICE_ACCOUNT_PREFIX}weir:{name}"),
            groups: Arc::new(vec![ADMIN_GROUP.to_owned(), AUTHENTICATED.to_owned()]),
            ..Actor::default()
        }
    }

    /// Somebody who showed nothing.
    pub fn anonymous() -> Actor {
        Actor {
            user: ANONYMOUS.to_owned(),
            groups: Arc::new(vec![UNAUTHENTICATED.to_owned()]),
            ..Actor::default()
        }
    }

    /// Somebody who proved a name and groups.
    pub fn named(user: impl Into<String>, groups: impl IntoIterator<Item = String>) -> Actor {
        let mut groups: Vec<String> = groups.into_iter().collect();
        if !groups.iter().any(|group| group == AUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        Actor { user: user.into(), groups: Arc::new(groups), ..Actor::default() }
    }

    /// A service account.
    pub fn service_account(namespace: &str, name: &str, uid: &str) -> Actor {
        let user = format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}");
        let mut actor = Actor::named(user, service_account_groups(namespace));
        uid.clone_into(&mut actor.uid);
        actor
    }

    /// True for administrators of the whole server.
    pub fn is_admin(&self) -> bool {
        self.groups.iter().any(|group| group == ADMIN_GROUP)
    }

    /// True for somebody who showed nothing.
    pub fn is_anonymous(&self) -> bool {
        self.user == ANONYMOUS
    }
}

/// The groups that every service account of a project is in.
pub fn service_account_groups(namespace: &str) -> [String; 2] {
    [SERVICE_ACCOUNTS.to_owned(), format!("{SERVICE_ACCOUNTS}:{namespace}")]
}

/// Namespace and name of the service account that a user name means.
pub fn split_service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}
