//! Every recorded API conversation, against the real server and real upstream registries.
//!
//! Cases run some at a time: each has namespaces and digests of its own, and those that move tags upstream move their
//! own. `cargo xtask conformance` runs this with a filter, against another server, one by one, or writes down what
//! agrees. What a case may do wrong is in [`crate::replay::ratchet`].

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::{
    api::{Answer, Api, Request},
    random_hex, recording,
    registry::Registries,
    replay::{
        Peer,
        case::{Case, Difference, Limits, PATIENCE, Waits},
        names::Names,
        ratchet::Ratchet,
    },
    server::Server,
    setting,
    upstream::Upstream,
};

/// How many cases run at once unless a person says otherwise.
const AT_ONCE: usize = 6;
/// What a case that is known to differ waits for, in seconds: nobody wants to wait for what does not come.
const KNOWN_PATIENCE: f64 = 3.0;
/// Lines of difference shown a step.
const LINES: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_cases_agree() {
    let place = Place::open().await;
    let filter = setting("WEIR_CASES").unwrap_or_default();
    let mut cases: Vec<Case> =
        case_files().iter().map(|file| Case::read(file)).filter(|case| case.name.contains(&filter)).collect();
    assert!(!cases.is_empty(), "no case's name contains {filter:?}");
    Waits::read(&recording("waits.json")).insert(&mut cases);
    let (agreed, known) = (recording("agreed.txt"), recording("known-differences.json"));
    let ratchet = Ratchet::read(&agreed, &known, "cases");

    let outcomes: Vec<(&Case, Vec<Difference>)> = stream::iter(&cases)
        .map(|case| {
            let (place, known) = (&place, ratchet.reason(&case.name).is_some());
            async move { (case, replay(case, place, known).await) }
        })
        .buffer_unordered(number("WEIR_AT_ONCE", AT_ONCE))
        .collect()
        .await;
    let results: BTreeMap<String, bool> =
        outcomes.iter().map(|(case, differences)| (case.name.clone(), differences.is_empty())).collect();
    let report = report(outcomes, &ratchet);
    println!("{report}");
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance.txt"), &report)
        .expect("the report is kept");

    if setting("WEIR_BLESS").is_some() {
        ratchet.bless(&results, &agreed);
    }
    let verdict = Ratchet::read(&agreed, &known, "cases").judge(&results, filter.is_empty());
    println!("agree and are not listed yet: {:?}\nstill open: {:?}", verdict.fresh, verdict.open);
    if let Some(complaint) = verdict.complaint() {
        panic!("{complaint}");
    }
}

/// Every file of a case, sorted.
pub(crate) fn case_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![recording("cases")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry of the folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// A number that a person may set.
pub(crate) fn number(name: &str, usual: usize) -> usize {
    setting(name).map_or(usual, |text| text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
}

/// Where the recordings are replayed: a server of this test's own, or the one that a person named.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) api: Api,
    pub(crate) registry: String,
    pub(crate) private: String,
    pub(crate) server: Option<Server>,
    upstream: Upstream,
    _registries: Option<Registries>,
}

impl Place {
    pub(crate) async fn open() -> Self {
        let registries = setting("WEIR_UPSTREAM").is_none().then(Registries::start);
        let host = |name: &str, own: fn(&Registries) -> &String| {
            setting(name).or_else(|| registries.as_ref().map(|both| own(both).clone())).unwrap_or_else(|| {
                panic!("both upstream registries have to be named, or none: {name} is missing");
            })
        };
        let registry = host("WEIR_UPSTREAM", |both| &both.open.host);
        let private = host("WEIR_PRIVATE_UPSTREAM", |both| &both.private.host);
        let (api, server) = match setting("WEIR_SERVER") {
            Some(url) => (named(&url), None),
            None => {
                let server = Server::start().await;
                (server.api(), Some(server))
            }
        };
        let upstream = Upstream::at(&registry);
        Self { api, registry, private, server, upstream, _registries: registries }
    }

    /// Makes a namespace; the cluster's administrator may.
    pub(crate) async fn namespace(&self, name: &str) -> Result<(), String> {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let request = Request::new("POST", "/api/v1/namespaces").json(&body);
        let answer = self
            .api
            .call(&request)
            .await
            .map_err(|error| format!("cannot make namespace {name}: {error:?}"))?;
        if answer.status == 201 { Ok(()) } else { Err(format!("cannot make namespace {name}: {answer:?}")) }
    }
}

fn named(url: &str) -> Api {
    let token = setting("WEIR_TOKEN_FILE")
        .map(|file| fs::read_to_string(&file).expect("the token's file can be read"));
    let ca = setting("WEIR_CA").map(|file| fs::read(&file).expect("the CA's file can be read"));
    Api::new(url, token.as_deref().map(str::trim), ca.as_deref())
}

async fn replay(case: &Case, place: &Place, known: bool) -> Vec<Difference> {
    let mut names = Names::fresh(&place.registry, &place.private);
    let first = format!("case-{}", random_hex(4));
    for number in 1..=case.namespaces {
        let (name, word) = match number {
            1 => ("ns".to_owned(), first.clone()),
            _ => (format!("ns{number}"), format!("{first}-{number}")),
        };
        if let Err(text) = place.namespace(&word).await {
            return vec![Difference { step: "before the first step".to_owned(), text }];
        }
        names.learn(&name, &word);
    }
    let patience = if known { KNOWN_PATIENCE } else { PATIENCE };
    case.replay(place, &mut names, Limits { lines: number("WEIR_LINES", LINES), patience }).await
}

fn report(mut outcomes: Vec<(&Case, Vec<Difference>)>, ratchet: &Ratchet) -> String {
    outcomes.sort_by(|one, other| one.0.name.cmp(&other.0.name));
    let mut text = String::new();
    let (mut cases, mut agreeing, mut steps, mut differing) = (0, 0, 0, 0);
    for (case, differences) in outcomes {
        cases += 1;
        agreeing += usize::from(differences.is_empty());
        steps += case.steps.len();
        differing += differences.len();
        let state = if differences.is_empty() { "ok   " } else { "DIFF " };
        let reason =
            ratchet.reason(&case.name).map(|reason| format!(" (known: {reason})")).unwrap_or_default();
        writeln!(text, "{state} {}{reason}", case.name).expect("memory takes any text");
        for difference in differences {
            let indented = difference.text.replace('\n', "\n    ");
            writeln!(text, "  {}\n    {indented}", difference.step).expect("memory takes any text");
        }
    }
    writeln!(text, "{agreeing} of {cases} cases agree, {} of {steps} steps", steps - differing)
        .expect("memory takes any text");
    text
}

impl Peer for Place {
    async fn call(&self, request: &Request) -> Result<Answer, String> {
        self.api.call(request).await.map_err(|error| format!("{error:?}"))
    }

    async fn copy(&self, source: &str, target: &str) -> Result<Answer, String> {
        self.upstream.copy(source, target).await
    }

    async fn remove(&self, name: &str) -> Result<Answer, String> {
        self.upstream.remove(name).await
    }
}
