//! A server that answers from a script, and streams that remember: for tests of whole commands.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{Cursor, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value;

use crate::app::App;
use crate::discovery::Mapper;
use crate::io::Io;

/// What was written.
#[derive(Clone, Default)]
pub(crate) struct Sink(Rc<RefCell<Vec<u8>>>);

impl Sink {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Streams with a given input; standard output and error to look at.
pub(crate) fn streams(input: &str) -> (Io, Sink, Sink) {
    let (out, err) = (Sink::default(), Sink::default());
    let io = Io::new(
        Rc::new(RefCell::new(out.clone())),
        Rc::new(RefCell::new(err.clone())),
        Rc::new(RefCell::new(Cursor::new(input.as_bytes().to_vec()))),
    );
    (io, out, err)
}

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) content_type: String,
    pub(crate) body: Value,
}

/// Expected requests with their answers, in order.
#[derive(Clone, Default)]
pub(crate) struct Script {
    answers: Arc<Mutex<VecDeque<(String, u16, Value)>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Script {
    /// A script of `(request line, status, answer)`.
    pub(crate) fn new(steps: impl IntoIterator<Item = (&'static str, u16, Value)>) -> Script {
        let script = Script::default();
        script
            .answers
            .lock()
            .unwrap()
            .extend(steps.into_iter().map(|(line, code, body)| (line.to_owned(), code, body)));
        script
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Fails unless everything that was expected happened.
    #[track_caller]
    pub(crate) fn finished(&self) {
        let left: Vec<String> = self.answers.lock().unwrap().iter().map(|step| step.0.clone()).collect();
        assert!(left.is_empty(), "never asked: {left:?}");
    }
}

impl tower_service::Service<http::Request<Body>> for Script {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let script = self.clone();
        Box::pin(async move {
            let line = format!("{} {}", request.method(), request.uri());
            let content_type = request
                .headers()
                .get("content-type")
                .map(|v| v.to_str().unwrap().to_owned())
                .unwrap_or_default();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            script.seen.lock().unwrap().push(Seen { content_type, body });
            let step = script.answers.lock().unwrap().pop_front();
            let (want, code, answer) = step.unwrap_or_else(|| panic!("unexpected {line}"));
            assert_eq!(line, want);
            let text = match answer {
                Value::String(text) => text,
                other => other.to_string(),
            };
            Ok(http::Response::builder().status(code).body(Body::from(text.into_bytes())).unwrap())
        })
    }
}

/// What a command printed and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) status: u8,
}

/// Runs a command line in project `ns` against a script.
pub(crate) fn run(line: &[&str], script: &Script, mapper: Option<Mapper>) -> Outcome {
    use clap::FromArgMatches;
    let (io, out, err) = streams("");
    let root = crate::command_line();
    let words: Vec<&str> = std::iter::once("weir").chain(line.iter().copied()).collect();
    let status = match root.clone().try_get_matches_from(&words) {
        Err(error) => {
            let args: Vec<std::ffi::OsString> = line.iter().map(std::ffi::OsString::from).collect();
            crate::explain(&error, &root, &args, &io)
        }
        Ok(matches) => {
            let command = crate::commands::Verb::from_arg_matches(&matches).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap();
            let outcome = runtime.block_on(async {
                let client = kube::Client::new(script.clone(), "ns");
                let app = App::connected(io.clone(), "ns", client, mapper);
                crate::commands::run(&app, command, &root).await
            });
            match outcome {
                Ok(()) => 0,
                Err(failure) => {
                    let text = failure.render("weir");
                    if !text.is_empty() {
                        io.complain(&text);
                    }
                    failure.exit_status()
                }
            }
        }
    };
    Outcome { out: out.text(), err: err.text(), status }
}

/// A Status as servers send it.
pub(crate) fn refusal(error: &machinery::status::ApiError) -> Value {
    serde_json::from_slice(&error.0.to_json()).unwrap()
}
