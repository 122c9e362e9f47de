//! Load: so many clients, each with a connection of its own, each sending its next request when it has the answer.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::process::Cpu;
use crate::wire::Target;

/// What a load did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    /// Answers in a second.
    pub per_second: f64,
    /// Microseconds of the server's processors for one answer.
    pub cpu_micros: f64,
}

impl Rate {
    /// The better of two.
    pub(crate) fn best(self, other: Rate) -> Rate {
        if other.per_second > self.per_second { other } else { self }
    }
}

/// Where a client's requests come from: appends the client's next request to the buffer, or says that there is none.
pub(crate) trait Requests: Send + Sync + 'static {
    /// The request `turn` of `client`; false when there are no more.
    fn next(&self, client: usize, turn: usize, out: &mut Vec<u8>) -> bool;
}

/// One request, again and again.
pub(crate) struct Same(pub(crate) Vec<u8>);

impl Requests for Same {
    fn next(&self, _: usize, _: usize, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(&self.0);
        true
    }
}

/// Every client in turn takes one of a list, once.
pub(crate) struct Once(pub(crate) Vec<Vec<u8>>, pub(crate) usize);

impl Requests for Once {
    fn next(&self, client: usize, turn: usize, out: &mut Vec<u8>) -> bool {
        let request = self.0.get(turn * self.1 + client);
        out.extend_from_slice(request.map_or(&[], |request| request.as_slice()));
        request.is_some()
    }
}

/// Sends requests with `clients` connections for `time`, or until there are no more. Every answer must be a success.
pub(crate) async fn run(
    target: &Target,
    clients: usize,
    time: Duration,
    requests: Arc<dyn Requests>,
    cpu: Option<&Cpu>,
) -> Result<Rate> {
    let mut connections = Vec::with_capacity(clients);
    for _ in 0..clients {
        connections.push(target.connect().await?);
    }
    let spent = cpu.map(Cpu::spent).transpose()?.unwrap_or_default();
    let start = Instant::now();
    let mut set = JoinSet::new();
    for (client, mut connection) in connections.into_iter().enumerate() {
        let requests = Arc::clone(&requests);
        set.spawn(async move {
            let (mut out, mut turn) = (Vec::new(), 0);
            while start.elapsed() < time && requests.next(client, turn, &mut out) {
                let (status, body) = connection.exchange(&out).await?;
                if !(200..300).contains(&status) {
                    bail!("{status} {}", String::from_utf8_lossy(body));
                }
                out.clear();
                turn += 1;
            }
            Ok(turn)
        });
    }
    let mut answers = 0;
    while let Some(done) = set.join_next().await {
        answers += done??;
    }
    let seconds = start.elapsed().as_secs_f64();
    let used = cpu.map(Cpu::spent).transpose()?.unwrap_or_default() - spent;
    let answers = answers as f64;
    Ok(Rate { per_second: answers / seconds, cpu_micros: used.as_secs_f64() * 1e6 / answers.max(1.0) })
}
