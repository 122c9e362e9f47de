//! The one place that spawns tasks: each has a name, a panic in one is logged and ends the server in order, and all are
//! joined at shutdown.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, error, info_span, warn};

/// Spawns, names and joins the server's tasks. Clones share one set.
#[derive(Clone, Debug, Default)]
pub struct Tasks(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tracker: TaskTracker,
    shutdown: CancellationToken,
}

impl Tasks {
    /// An empty set.
    pub fn new() -> Tasks {
        Tasks::default()
    }

    /// Runs a background activity that the server cannot do without until it ends or the server stops. It should watch
    /// [`Tasks::stopping`]. If it panics the server is told to stop.
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.0.shutdown.clone();
        let guarded = async move {
            let guard = StopOnPanic { name, shutdown };
            future.await;
            std::mem::forget(guard);
        };
        self.start(guarded.instrument(info_span!("task", name)));
    }

    /// Runs something that belongs to one connection or request: a panic ends only it.
    pub fn spawn_small(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.start(future);
    }

    /// Runs something short that blocks, on a thread that may.
    pub fn spawn_blocking(&self, work: impl FnOnce() + Send + 'static) {
        self.0.tracker.spawn_blocking(work);
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
    fn start(&self, future: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.0.tracker.track_future(future));
    }

    /// Completes when the server is to stop.
    pub async fn stopping(&self) {
        self.0.shutdown.cancelled().await;
    }

    /// True when the server is to stop.
    pub fn is_stopping(&self) -> bool {
        self.0.shutdown.is_cancelled()
    }

    /// Tells all tasks to stop.
    pub fn stop(&self) {
        self.0.shutdown.cancel();
    }

    /// Waits until all tasks have ended, at most `limit`; false when some had to be left.
    pub async fn join(&self, limit: Duration) -> bool {
        self.0.tracker.close();
        if tokio::time::timeout(limit, self.0.tracker.wait()).await.is_ok() {
            return true;
        }
        warn!(left = self.0.tracker.len(), "tasks did not end in time");
        false
    }
}

/// Dropped without being forgotten only when the task panicked (or was aborted with the runtime).
struct StopOnPanic {
    name: &'static str,
    shutdown: CancellationToken,
}

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!(task = self.name, "a task panicked: stopping");
            self.shutdown.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stop_reaches_every_task_and_join_waits_for_them() {
        let tasks = Tasks::new();
        for _ in 0..3 {
            let inside = tasks.clone();
            tasks.spawn("waiter", async move { inside.stopping().await });
        }
        tasks.stop();
        assert!(tasks.join(Duration::from_secs(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panicking_task_stops_the_server() {
        let tasks = Tasks::new();
        tasks.spawn("broken", async { panic!("boom") });
        tasks.stopping().await;
        assert!(tasks.is_stopping());
    }

    #[tokio::test(start_paused = true)]
    async fn join_gives_up_in_the_end() {
        let tasks = Tasks::new();
        tasks.spawn("stubborn", std::future::pending());
        assert!(!tasks.join(Duration::from_secs(1)).await);
    }
}
