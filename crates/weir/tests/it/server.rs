//! The program under test, as its users start it: `weir serve` with a folder of its own and ports that are free.
//!
//! The server says where it listens in `serve.json`; the fixture waits for that file, written by this very process, and
//! then for `/readyz`. It can be ended the polite way and the hard way and started again on the same folder. What it
//! printed is shown when a test fails. It is killed with the fixture.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::api::{Api, Request};

/// What clients see as the integrated registry; the recordings were made with this name.
const INTERNAL_REGISTRY: &str = "172.30.56.218:5000";

/// The configuration file, where there is one.
const CONFIGURATION: &str = "config.yaml";

/// A start takes 200 ms at most on an idle machine; this one is allowed to be busy.
const START: Duration = Duration::from_secs(30);
/// A server that was told to stop has this long.
const STOP: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

/// `serve.json`.
#[derive(Debug, Deserialize)]
struct Listening {
    api: String,
    registry: String,
    pid: u32,
}

/// A running server and its folder.
#[derive(Debug)]
pub(crate) struct Server {
    folder: TempDir,
    process: Child,
    listening: Listening,
}

impl Server {
    /// Starts one on an empty folder.
    pub(crate) async fn start() -> Self {
        Self::start_in(folder(), serve).await
    }

    /// Starts one whose files cannot grow over so many blocks of 512 bytes, as on a full disk. Started again, it can.
    pub(crate) async fn start_limited(blocks: u32) -> Self {
        Self::start_in(folder(), |data| {
            let plain = serve(data);
            let mut limited = Command::new("sh");
            // Writes beyond the limit fail then, where they would kill the process otherwise.
            let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
            limited
                .arg("-c")
                .arg(script)
                .arg(plain.get_program())
                .args(plain.get_args())
                .stdin(Stdio::null());
            limited
        })
        .await
    }

    /// Starts one with a configuration file, in which `{folder}` is the folder that holds it and these other files. Its
    /// registry is known by its address.
    pub(crate) async fn configured(text: &str, files: &[(&str, &[u8])]) -> Self {
        let folder = folder();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).expect("a file is written");
        }
        let text = text.replace("{folder}", folder.path().to_str().expect("folders have names of text"));
        fs::write(folder.path().join(CONFIGURATION), text).expect("the configuration is written");
        Self::start_in(folder, serve).await
    }

    async fn start_in(folder: TempDir, command: impl FnOnce(&Path) -> Command) -> Self {
        let process = spawn(command(&data(folder.path())), folder.path());
        let listening = Listening { api: String::new(), registry: String::new(), pid: process.id() };
        let mut server = Self { folder, process, listening };
        server.wait_until_ready().await;
        server
    }

    /// The administrator's client.
    pub(crate) fn api(&self) -> Api {
        let ca = fs::read(self.data().join("ca.crt")).expect("ca.crt is there");
        Api::new(&self.listening.api, Some(&self.token()), Some(&ca))
    }

    /// `HOST:PORT` of the integrated registry.
    pub(crate) fn registry(&self) -> &str {
        &self.listening.registry
    }

    pub(crate) fn token(&self) -> String {
        fs::read_to_string(self.data().join("admin.token")).expect("admin.token is there").trim().to_owned()
    }

    /// A connection to the API on which a test says what it wants, byte for byte.
    pub(crate) async fn connect(&self) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(self.data().join("ca.crt")).expect("ca.crt is there")
        {
            roots.add(certificate.expect("ca.crt is PEM")).expect("ca.crt holds certificates");
        }
        let configuration = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has ciphers")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let address = self.listening.api.trim_start_matches("https://");
        let stream = TcpStream::connect(address).await.expect("the server listens");
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host).to_owned();
        let name = ServerName::try_from(host).expect("a host");
        TlsConnector::from(Arc::new(configuration))
            .connect(name, stream)
            .await
            .expect("the certificate is good")
    }

    pub(crate) fn data(&self) -> PathBuf {
        data(self.folder.path())
    }

    /// Everything that was printed so far, by every start on this folder.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Ends the server as a power cut would.
    pub(crate) fn kill9(&mut self) {
        self.process.kill().expect("the server can be killed");
        self.process.wait().expect("the server has ended");
    }

    /// The running process, for those who want to end it while others use the server.
    pub(crate) fn process(&self) -> Process {
        Process(
            i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).expect("a process has a number"),
        )
    }

    /// Asks the server to stop, and does not wait.
    pub(crate) fn terminate(&self) {
        let pid =
            i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).expect("a process has a number");
        kill_process(pid, Signal::TERM).expect("the server is there to be told");
    }

    /// Waits until the server has ended by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + STOP;
        loop {
            if let Some(status) = self.process.try_wait().expect("the server can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not stop");
            sleep(POLL).await;
        }
    }

    /// Starts again on the same folder; the server has to have ended.
    pub(crate) async fn start_again(&mut self) {
        assert!(
            self.process.try_wait().expect("the server can be waited for").is_some(),
            "the server still runs"
        );
        self.process = spawn(serve(&self.data()), self.folder.path());
        self.wait_until_ready().await;
    }

    /// Stops and starts again.
    pub(crate) async fn restart(&mut self) {
        self.terminate();
        let status = self.ended().await;
        assert!(status.success(), "the server stopped with {status}");
        self.start_again().await;
    }

    async fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + START;
        let file = self.data().join("serve.json");
        loop {
            if let Some(status) = self.process.try_wait().expect("the server can be waited for") {
                panic!("the server ended at its start: {status}");
            }
            // The file of an earlier process may still be there, and this one's half written.
            let listening =
                fs::read(&file).ok().and_then(|raw| serde_json::from_slice::<Listening>(&raw).ok());
            if let Some(listening) = listening.filter(|listening| listening.pid == self.process.id()) {
                self.listening = listening;
                break;
            }
            assert!(Instant::now() < deadline, "the server does not say where it listens");
            sleep(POLL).await;
        }
        let api = self.api();
        while api.call(&Request::new("GET", "/readyz")).await.map(|answer| answer.status).ok() != Some(200) {
            assert!(Instant::now() < deadline, "the server does not become ready");
            sleep(POLL).await;
        }
    }
}

/// A running server's process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(Pid);

impl Process {
    /// Ends it as a power cut would.
    pub(crate) fn kill9(self) {
        kill_process(self.0, Signal::KILL).expect("the server can be killed");
    }
}

impl Drop for Server {
    #[expect(
        clippy::print_stderr,
        reason = "whoever reads a failed test wants to know what this process said"
    )]
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!(
                "--- the server said at last:\n{}",
                lines[lines.len().saturating_sub(100)..].join("\n")
            );
        }
    }
}

/// The arguments of every server here.
fn serve(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command
        .arg("serve")
        .arg("--data-dir")
        .arg(data)
        .args(["--listen", "127.0.0.1:0", "--registry-listen", "127.0.0.1:0"])
        .stdin(Stdio::null());
    let configuration = data.with_file_name(CONFIGURATION);
    if configuration.exists() {
        command.arg("--config").arg(configuration);
    } else {
        command.args(["--internal-registry-hostname", INTERNAL_REGISTRY]);
    }
    command
}

/// Starts a server that is expected to end by itself at once; its exit status and what it printed.
pub(crate) fn refused(data: &Path) -> (ExitStatus, String) {
    let mut process =
        serve(data).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let deadline = START.as_millis() / 10;
    for _ in 0..deadline {
        if process.try_wait().expect("the server can be waited for").is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    // Still running is the failure that the caller finds in the status.
    let _ = process.kill();
    let status = process.wait().expect("the server has ended");
    let mut text = String::new();
    for pipe in
        [process.stdout.take().map(Pipe::Out), process.stderr.take().map(Pipe::Err)].into_iter().flatten()
    {
        pipe.read(&mut text);
    }
    (status, text)
}

enum Pipe {
    Out(std::process::ChildStdout),
    Err(std::process::ChildStderr),
}

impl Pipe {
    fn read(self, text: &mut String) {
        match self {
            Self::Out(mut pipe) => pipe.read_to_string(text),
            Self::Err(mut pipe) => pipe.read_to_string(text),
        }
        .expect("what is printed is text");
    }
}

fn spawn(mut command: Command, folder: &Path) -> Child {
    let log = fs::File::options().create(true).append(true).open(folder.join("log")).expect("a log");
    command.stdout(log.try_clone().expect("a second handle")).stderr(log).spawn().expect("weir starts")
}

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder for a server")
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}
