//! A spinner for work that takes a while, for people only.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::app::App;
use crate::limits;

/// Waits for something; shows that it does when that takes long and somebody is looking.
pub(crate) async fn watched<T>(app: &App, what: &'static str, work: impl Future<Output = T>) -> T {
    if !app.io.is_terminal() {
        return work.await;
    }
    tokio::pin!(work);
    if let Ok(done) = tokio::time::timeout(limits::SPINNER_AFTER, &mut work).await {
        return done;
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::default_spinner());
    bar.set_message(what);
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    let done = work.await;
    bar.finish_and_clear();
    done
}
