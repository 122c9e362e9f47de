//! Processes under measurement: `weir serve` as its users start it, the constant listener, an upstream registry. Each is
//! ended with its value.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::wire::Target;

const POLL: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(120);
/// The unit of processor time in `/proc`; Linux has shown hundredths of a second to programs for ever.
const TICK: Duration = Duration::from_millis(10);

/// A process that is killed with its value.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The processor time of a process.
pub(crate) struct Cpu(u32);

impl Cpu {
    /// What it has used so far, in programs and in the kernel.
    pub(crate) fn spent(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        // The name, in parentheses, may hold anything.
        let fields = stat.rsplit_once(')').context("/proc/PID/stat")?.1;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
        Ok(TICK * ticks.sum::<Result<u32, _>>()?)
    }
}

/// A running `weir serve`.
pub(crate) struct Weir {
    process: Ended,
    pub target: Target,
    /// The integrated registry.
    pub registry: Target,
    /// From the start of the process to the first good answer of `/readyz`.
    pub start: Duration,
}

impl Weir {
    /// Starts the program on a data directory.
    pub(crate) async fn start(program: &Path, data: &Path) -> Result<Weir> {
        Weir::configured(program, data, "").await
    }

    /// Starts it with a configuration file.
    pub(crate) async fn configured(program: &Path, data: &Path, settings: &str) -> Result<Weir> {
        let file = data.with_extension("yaml");
        fs::write(&file, settings)?;
        let begin = Instant::now();
        let log = fs::File::options().create(true).append(true).open(data.with_extension("log"))?;
        let child = Command::new(program)
            .arg("serve")
            .arg("--data-dir")
            .arg(data)
            .args(["--listen", "127.0.0.1:0", "--registry-listen", "127.0.0.1:0", "--config"])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut process = Ended(child);
        let pid = u64::from(process.0.id());
        let file = data.join("serve.json");
        let (address, registry) = loop {
            let said =
                fs::read(&file).ok().and_then(|raw| serde_json::from_slice::<serde_json::Value>(&raw).ok());
            // The file of an earlier process may still be there.
            if let Some(said) = said.filter(|said| said["pid"] == pid) {
                let api = said["api"].as_str().context("serve.json names the API")?;
                let registry = said["registry"].as_str().context("serve.json names the registry")?;
                break (api.trim_start_matches("https://").to_owned(), registry.to_owned());
            }
            if let Some(status) = process.0.try_wait()? {
                bail!("weir ended at its start: {status}, see {}", data.with_extension("log").display());
            }
            if begin.elapsed() > PATIENCE {
                bail!("weir does not say where it listens");
            }
            sleep(POLL).await;
        };
        let token = fs::read_to_string(data.join("admin.token"))?.trim().to_owned();
        let mut registry = Target::plain(&registry);
        registry.token = Some(token.clone());
        let target = Target::tls(&address, &data.join("ca.crt"), Some(token))?;
        let (status, _) = target.ask(&target.get("/readyz")).await?;
        if status != 200 {
            bail!("/readyz answers {status}");
        }
        Ok(Weir { process, target, registry, start: begin.elapsed() })
    }

    pub(crate) fn cpu(&self) -> Cpu {
        Cpu(self.process.0.id())
    }

    /// Bytes of memory that are in use.
    pub(crate) fn resident(&self) -> Result<u64> {
        self.memory("VmRSS:")
    }

    /// Bytes of memory that were in use at the most.
    pub(crate) fn peak(&self) -> Result<u64> {
        self.memory("VmHWM:")
    }

    fn memory(&self, which: &'static str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(which)).context(which)?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes * 1024)
    }

    /// Tells the server to stop and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let pid =
            i32::try_from(self.process.0.id()).ok().and_then(Pid::from_raw).context("a process number")?;
        kill_process(pid, Signal::TERM)?;
        let begin = Instant::now();
        while self.process.0.try_wait()?.is_none() {
            if begin.elapsed() > PATIENCE {
                bail!("weir does not stop");
            }
            sleep(POLL).await;
        }
        Ok(())
    }
}

/// Another process of this program that answers everything with the same bytes; see [`crate::constant`].
pub(crate) struct Constant {
    process: Ended,
    pub target: Target,
}

impl Constant {
    /// Serves `bytes` from a data directory of its own.
    pub(crate) fn start(data: &Path, bytes: &[u8]) -> Result<Constant> {
        fs::create_dir_all(data)?;
        let body = data.join("body");
        fs::write(&body, bytes)?;
        let program = std::env::current_exe()?;
        let child = Command::new(program).arg("constant").arg(data).stdout(Stdio::piped()).spawn()?;
        let mut process = Ended(child);
        let output = process.0.stdout.take().context("standard output is a pipe")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let target = Target::tls(line.trim(), &data.join("pki/ca.crt"), None)?;
        Ok(Constant { process, target })
    }

    pub(crate) fn cpu(&self) -> Cpu {
        Cpu(self.process.0.id())
    }
}

/// A `docker-registry` that holds the images of the conformance tests.
pub(crate) struct Upstream {
    process: Ended,
    pub target: Target,
}

impl Upstream {
    /// Starts one and fills it; `None` when the program is not installed.
    pub(crate) async fn start(folder: &Path, seed: &Path) -> Result<Option<Upstream>> {
        fs::create_dir_all(folder.join("storage"))?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let file = folder.join("config.yml");
        let configuration = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}, maintenance: {{uploadpurging: {{enabled: false}}}}}}\n\
             http: {{addr: '{address}', secret: bench}}\n",
            folder.join("storage").display()
        );
        fs::write(&file, configuration)?;
        let log = fs::File::create(folder.join("log"))?;
        let spawned = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn();
        let child = match spawned {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            spawned => spawned?,
        };
        let process = Ended(child);
        let target = Target::plain(&address.to_string());
        let begin = Instant::now();
        while target.connect().await.is_err() {
            if begin.elapsed() > PATIENCE {
                bail!("the upstream registry does not start, see {}", folder.join("log").display());
            }
            sleep(POLL).await;
        }
        let filled = Command::new("python3").arg(seed).arg(format!("http://{address}")).output()?;
        if !filled.status.success() {
            bail!("the upstream registry cannot be filled: {filled:?}");
        }
        Ok(Some(Upstream { process, target }))
    }

    pub(crate) fn cpu(&self) -> Cpu {
        Cpu(self.process.0.id())
    }
}

/// A folder of `parent` that does not exist yet.
pub(crate) fn fresh(parent: &Path, name: &str) -> PathBuf {
    (0..).map(|n: u32| parent.join(format!("{name}-{n}"))).find(|path| !path.exists()).unwrap_or_default()
}
