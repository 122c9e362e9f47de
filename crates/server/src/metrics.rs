//! Counters in Prometheus' text form, under the names that dashboards for Kubernetes API servers know.

use std::fmt;
use std::sync::Mutex;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::registry::measures::Measures;

/// The server's counters.
pub struct Metrics {
    registry: Mutex<Registry>,
    /// The integrated registry's.
    pub images: Measures,
    requests: Family<RequestLabels, Counter>,
    durations: Family<VerbLabels, Histogram>,
    /// Watches that are open.
    pub watches: Gauge,
    /// Imports that were made, by outcome.
    pub imports: Family<OutcomeLabels, Counter>,
    /// Calls of hooks, by outcome.
    pub hooks: Family<OutcomeLabels, Counter>,
    /// Attempts to deliver events and objects, by outcome.
    pub deliveries: Family<OutcomeLabels, Counter>,
    /// Tags that moved, by cause.
    pub moves: Family<CauseLabels, Counter>,
    /// Lines of the audit log that were lost because the disk could not keep up.
    pub audit_dropped: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerbLabels {
    verb: &'static str,
    resource: &'static str,
}

/// How something ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    /// `success` or the reason of the failure.
    pub outcome: String,
}

/// Why a tag moved.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CauseLabels {
    /// The cause, as in the ledger.
    pub cause: String,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// Bounds of request durations in seconds.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

impl Default for Metrics {
    fn default() -> Metrics {
        let mut registry = Registry::default();
        let requests = Family::<RequestLabels, Counter>::default();
        let durations = Family::<VerbLabels, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let (watches, imports, moves) = (Gauge::default(), Family::default(), Family::default());
        let (hooks, deliveries) = (Family::default(), Family::default());
        let audit_dropped = Counter::default();
        let images = Measures::default();
        images.register(&mut registry);
        registry.register("apiserver_request", "Requests by verb, resource and result", requests.clone());
        registry.register("apiserver_request_duration_seconds", "Time requests took", durations.clone());
        registry.register("apiserver_longrunning_requests", "Watches that are open", watches.clone());
        registry.register("weir_imports", "Images that were imported, by outcome", imports.clone());
        registry.register("weir_hook_calls", "Calls of hooks, by outcome", hooks.clone());
        registry.register("weir_deliveries", "Attempts to deliver, by outcome", deliveries.clone());
        registry.register("weir_tag_moves", "Tags that moved, by cause", moves.clone());
        registry.register(
            "weir_audit_dropped",
            "Lines of the audit log that were lost",
            audit_dropped.clone(),
        );
        Metrics {
            registry: Mutex::new(registry),
            images,
            requests,
            durations,
            watches,
            imports,
            hooks,
            deliveries,
            moves,
            audit_dropped,
        }
    }
}

/// What a request was about, for its counters. Only resources that exist are named, so that callers cannot make series.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// The verb.
    pub verb: &'static str,
    /// API group.
    pub group: &'static str,
    /// Resource.
    pub resource: &'static str,
    /// Subresource.
    pub subresource: &'static str,
}

impl Metrics {
    /// Counts a request that was answered.
    pub fn request(&self, what: &Counted, code: u16, seconds: f64) {
        self.requests
            .get_or_create(&RequestLabels {
                verb: what.verb,
                group: what.group,
                resource: what.resource,
                subresource: what.subresource,
                code,
            })
            .inc();
        if what.verb != "watch" {
            let labels = VerbLabels { verb: what.verb, resource: what.resource };
            self.durations.get_or_create(&labels).observe(seconds);
        }
    }

    /// All counters as text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let registry = self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        encode(&mut out, &registry).expect("writing to a string does not fail");
        out
    }
}
