//! Counters of the registry, under the names that dashboards for OpenShift's registry know. What is a summary there is a
//! histogram here: sum and count have the same names, and histograms of several servers can be added up.

use std::sync::{Mutex, PoisonError};

use ::registry::PulledThrough;
use ::registry::route::Route;
use http::{Method, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

const PREFIX: &str = "imageregistry";
const SECONDS: [f64; 11] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0];
const BYTES: [f64; 7] = [256.0, 4096.0, 65536.0, 1048576.0, 16777216.0, 268435456.0, 4294967296.0];

type Timed<L> = Family<L, Histogram, fn() -> Histogram>;

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

/// What the registry counts.
pub struct Measures {
    registry: Mutex<Registry>,
    operations: Timed<Operation>,
    in_flight: Gauge,
    requests: Family<Request, Counter>,
    durations: Timed<ByMethod>,
    request_sizes: Histogram,
    response_sizes: Histogram,
    cache: Family<Kind, Counter>,
    /// Events that an endpoint was never told.
    pub(super) events_lost: Counter,
    /// Questions to other registries.
    pub(super) asked: Timed<Asked>,
    /// Questions to other registries that failed.
    pub(super) failed: Family<Failed, Counter>,
    /// Work of the storage.
    pub(super) storage: Timed<Operation>,
    /// Work of the storage that failed.
    pub(super) storage_errors: Family<StorageError, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Operation {
    pub(super) operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    code: u16,
    method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByMethod {
    method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Asked {
    pub(super) registry: String,
    pub(super) operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Failed {
    pub(super) registry: String,
    pub(super) operation: &'static str,
    pub(super) code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StorageError {
    pub(super) operation: &'static str,
    pub(super) code: &'static str,
}

impl std::fmt::Debug for Measures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Measures")
    }
}

impl Default for Measures {
    fn default() -> Measures {
        let measures = Measures {
            registry: Mutex::default(),
            operations: Family::new_with_constructor(seconds),
            in_flight: Gauge::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(seconds),
            request_sizes: Histogram::new(BYTES),
            response_sizes: Histogram::new(BYTES),
            cache: Family::default(),
            events_lost: Counter::default(),
            asked: Family::new_with_constructor(seconds),
            failed: Family::default(),
            storage: Family::new_with_constructor(seconds),
            storage_errors: Family::default(),
        };
        let mut own = Registry::default();
        measures.register(&mut own);
        *measures.registry.lock().unwrap_or_else(PoisonError::into_inner) = own;
        measures
    }
}

impl Measures {
    /// Adds the counters to a set of counters.
    pub fn register(&self, to: &mut Registry) {
        let to = to.sub_registry_with_prefix(PREFIX);
        to.register("request_duration_seconds", "Time that operations took", self.operations.clone());
        to.register("http_in_flight_requests", "Requests in flight", self.in_flight.clone());
        to.register("http_requests", "Requests by code and method", self.requests.clone());
        to.register("http_request_duration_seconds", "Time that requests took", self.durations.clone());
        to.register("http_request_size_bytes", "Sizes of requests", self.request_sizes.clone());
        to.register("http_response_size_bytes", "Sizes of answers", self.response_sizes.clone());
        let name = "pullthrough_blobstore_cache_requests";
        to.register(name, "Blobs that were here, and that were not", self.cache.clone());
        let name = "pullthrough_repository_duration_seconds";
        to.register(name, "Time that other registries took", self.asked.clone());
        let name = "pullthrough_repository_errors";
        to.register(name, "Failures of other registries", self.failed.clone());
        to.register("events_lost", "Events that an endpoint was never told", self.events_lost.clone());
        to.register("storage_duration_seconds", "Time that the storage took", self.storage.clone());
        to.register("storage_errors", "Failures of the storage", self.storage_errors.clone());
    }

    /// The registry's own counters as text.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        encode(&mut out, &registry).expect("writing to a string does not fail");
        out
    }

    /// Counts a request as in flight until what is returned is dropped.
    pub(super) fn begin(&self, size: Option<u64>) -> InFlight<'_> {
        self.in_flight.inc();
        if let Some(size) = size {
            self.request_sizes.observe(size as f64);
        }
        InFlight(&self.in_flight)
    }

    /// Counts a request that was answered.
    pub(super) fn answered<B: http_body::Body>(
        &self,
        method: &Method,
        path: &str,
        response: &Response<B>,
        seconds: f64,
    ) {
        let code = response.status().as_u16();
        let method_name = name_of(method);
        self.requests.get_or_create(&Request { code, method: method_name }).inc();
        self.durations.get_or_create(&ByMethod { method: method_name }).observe(seconds);
        if let Some(size) = response.body().size_hint().exact() {
            self.response_sizes.observe(size as f64);
        }
        let Ok(route) = Route::parse(path) else { return };
        if let Some(operation) = operation(route, method) {
            self.operations.get_or_create(&Operation { operation }).observe(seconds);
        }
        if matches!(route, Route::Blob { .. }) && matches!(*method, Method::GET | Method::HEAD) {
            let is_here =
                response.status().is_success() && response.extensions().get::<PulledThrough>().is_none();
            self.cache.get_or_create(&Kind { r#type: if is_here { "Hit" } else { "Miss" } }).inc();
        }
    }
}

/// A request in flight.
pub(super) struct InFlight<'m>(&'m Gauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Methods as labels; what clients make up is one of them.
fn name_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

/// What a request is called in OpenShift's registry.
fn operation(route: Route<'_>, method: &Method) -> Option<&'static str> {
    let name = match (route, name_of(method)) {
        (Route::Manifest { .. }, "get") => "ManifestService.Get",
        (Route::Manifest { .. }, "head") => "ManifestService.Exists",
        (Route::Manifest { .. }, "put") => "ManifestService.Put",
        (Route::Manifest { .. }, "delete") => "ManifestService.Delete",
        (Route::Tags { .. }, _) => "TagService.All",
        (Route::Blob { .. }, "get") => "BlobStore.ServeBlob",
        (Route::Blob { .. }, "head") => "BlobStore.Stat",
        (Route::Blob { .. }, "delete") => "BlobStore.Delete",
        (Route::Uploads { .. }, "post") => "BlobStore.Create",
        (Route::Upload { .. }, "put") => "BlobWriter.Commit",
        (Route::Upload { .. }, "delete") => "BlobWriter.Cancel",
        (Route::Upload { .. }, "patch" | "get" | "head") => "BlobStore.Resume",
        _ => return None,
    };
    Some(name)
}
