//! Which kinds follow tags, and how.

use crate::plain::Plain;
use crate::resource::{RESOURCES, Resource};
use crate::workload::Workload;

/// How objects of a kind follow tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follower {
    /// A kind that runs images: by its containers, or by fields of its own.
    Workload(Workload),
    /// Any other kind: the annotation says where the image goes.
    ByPath,
}

/// Kinds that run images and follow tags. What a Job or a Build runs is fixed when it is made.
const WORKLOADS: [Workload; 9] = [
    Workload::Deployment,
    Workload::StatefulSet,
    Workload::DaemonSet,
    Workload::ReplicaSet,
    Workload::ReplicationController,
    Workload::CronJob,
    Workload::Pod,
    Workload::DeploymentConfig,
    Workload::BuildConfig,
];

/// Other kinds of this server that people keep image names in. Those that say who may do what are not among them.
const BY_PATH: [(&str, &str); 3] =
    [("", "ConfigMap"), ("weir.dev", "ObjectTrigger"), ("weir.dev", "WebhookTrigger")];

impl Follower {
    /// How a kind of this server follows tags; `None` when it does not.
    pub fn of(resource: &Resource) -> Option<Follower> {
        match Workload::of(resource) {
            Some(workload) => Follower::of_workload(workload),
            None => BY_PATH.contains(&(resource.group, resource.kind)).then_some(Follower::ByPath),
        }
    }

    /// How a kind that runs images follows tags; `None` when it does not.
    pub fn of_workload(workload: Workload) -> Option<Follower> {
        WORKLOADS.contains(&workload).then_some(Follower::Workload(workload))
    }

    /// The kinds of this server that follow tags.
    pub fn resources() -> impl Iterator<Item = (&'static Resource, Follower)> {
        let stored = RESOURCES.iter().filter(|resource| resource.is_stored());
        stored.filter_map(|resource| Some((resource, Follower::of(resource)?)))
    }

    /// Whether a kind has fields of its own in which it names tags, so that it needs no annotation.
    pub fn has_own_fields(self) -> bool {
        matches!(self, Follower::Workload(Workload::DeploymentConfig | Workload::BuildConfig))
    }

    /// Whether an object can follow tags. What a controller made of another object has that one's annotations as well,
    /// and is what that one was: history that somebody may go back to.
    pub fn may_be(self, object: &Plain) -> bool {
        let is_made =
            [Workload::ReplicaSet, Workload::ReplicationController, Workload::Pod].map(Follower::Workload);
        let is_copy = is_made.contains(&self)
            && object.metadata.owner_references.iter().any(|owner| owner.controller == Some(true));
        !is_copy
    }
}
