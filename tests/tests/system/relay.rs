//! A way to the broker that is cut at a chosen request, so that a program can be killed at each of its
//! steps: the broker has carried the request out, and the program has not heard of it. Or one that is long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use testkit::cluster::{Cluster, Node};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::{mpsc, watch};

use crate::tools::PATIENCE;

/// What a client's requests to the broker begin with, in NATS' text protocol.
const REQUESTS: [&[u8]; 3] = [b"PUB $JS.API.", b"PUB $KV.", b"PUB caseledger."];

/// What a block of `records` begins with on its way.
const BLOCK: &[u8] = b"HPUB caseledger.records";

/// A block of one node's checkpoint has some 700 bytes, one that registers a patient more than this.
const CHECKPOINT: usize = 1_000;

/// Listens on loopback and passes everything on until it is cut.
pub(crate) struct Relay {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    /// How many more requests go through; none: all.
    left: watch::Sender<Option<usize>>,
    /// Whether the broker has answered the last of them.
    cut: watch::Sender<bool>,
    /// Blocks of `records` that have left for the broker, but for those of checkpoints alone.
    blocks: watch::Sender<usize>,
    /// How long everything takes to the broker.
    latency: watch::Sender<Duration>,
}

impl Relay {
    pub(crate) async fn to(cluster: &Cluster) -> Self {
        let broker = cluster.nats.url().trim_start_matches("nats://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("nats://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared {
            left: watch::Sender::new(None),
            cut: watch::Sender::new(false),
            blocks: watch::Sender::new(0),
            latency: watch::Sender::new(Duration::ZERO),
        });
        let all = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&broker).await.expect("the broker");
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(ask(Arc::clone(&all), from_client, to_server));
                tokio::spawn(answer(Arc::clone(&all), from_server, to_client));
            }
        });
        Self { url, shared }
    }

    /// From now on everything takes so long to the broker, what is on its way included.
    pub(crate) fn takes(&self, latency: Duration) {
        self.shared.latency.send_replace(latency);
    }

    /// How many blocks of `records`, but for those of checkpoints alone, have left for the broker.
    pub(crate) fn blocks(&self) -> watch::Receiver<usize> {
        self.shared.blocks.subscribe()
    }

    /// Has a node use this way from its next start on.
    pub(crate) fn lies_before(&self, cluster: &Cluster, node: &Node) {
        let file = node.state.join("config.toml");
        let text = std::fs::read_to_string(&file).expect("configuration");
        assert!(text.contains(cluster.nats.url()), "{text}");
        std::fs::write(&file, text.replace(cluster.nats.url(), &self.url)).expect("written");
    }

    /// Runs a program and kills it when the broker has answered its `requests`-th request. Returns
    /// whether it was; else it ended well before.
    pub(crate) async fn killed_at(&self, requests: usize, command: &mut Command) -> bool {
        self.shared.cut.send_replace(false);
        self.shared.left.send_replace(Some(requests));
        let mut child = command.kill_on_drop(true).spawn().expect("started");
        let mut cut = self.shared.cut.subscribe();
        // What it returns holds a lock that the relay's own tasks, on this very thread, wait for.
        let until_cut = async { drop(cut.wait_for(|cut| *cut).await) };
        let killed = tokio::select! {
            () = until_cut => {
                child.kill().await.expect("killed");
                true
            }
            ended = tokio::time::timeout(PATIENCE, child.wait()) => {
                let status = ended.expect("it ends").expect("it ran");
                assert!(status.success(), "it ended with {status}");
                false
            }
        };
        self.shared.left.send_replace(None);
        killed
    }
}

async fn ask(shared: Arc<Shared>, mut client: OwnedReadHalf, server: OwnedWriteHalf) {
    let (send, sent_since) = mpsc::unbounded_channel();
    tokio::spawn(on_the_way(Arc::clone(&shared), sent_since, server));
    let mut chunk = vec![0; 1024 * 1024];
    while let Ok(length @ 1..) = client.read(&mut chunk).await {
        let sent = &chunk[..length];
        let begins = |at: usize| REQUESTS.iter().any(|begin| sent[at..].starts_with(begin));
        let requests = (0..length).filter(|at| begins(*at)).count();
        shared.left.send_modify(|left| {
            *left = left.map(|left| left.saturating_sub(requests));
        });
        let blocks = (0..length).filter(|at| is_block(&sent[*at..])).count();
        if blocks > 0 {
            shared.blocks.send_modify(|left| *left += blocks);
        }
        if send.send((Instant::now(), sent.to_vec())).is_err() {
            return;
        }
    }
}

/// Whether a block of `records` begins here that holds more than checkpoints: `HPUB SUBJECT REPLY HEADERS
/// BYTES`.
fn is_block(sent: &[u8]) -> bool {
    let line = sent.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let bytes = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    let bytes = std::str::from_utf8(bytes).ok().and_then(|bytes| bytes.parse::<usize>().ok());
    sent.starts_with(BLOCK) && bytes.is_some_and(|bytes| bytes > CHECKPOINT)
}

/// What is on its way to the broker: one after the other, each as long as it takes.
async fn on_the_way(
    shared: Arc<Shared>,
    mut sent_since: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>,
    mut server: OwnedWriteHalf,
) {
    let mut latency = shared.latency.subscribe();
    while let Some((sent, bytes)) = sent_since.recv().await {
        loop {
            let left = latency.borrow_and_update().saturating_sub(sent.elapsed());
            // Until it has arrived, or the way has become another one.
            if left.is_zero() || tokio::time::timeout(left, latency.changed()).await.is_err() {
                break;
            }
        }
        if server.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn answer(shared: Arc<Shared>, mut server: OwnedReadHalf, mut client: OwnedWriteHalf) {
    let mut chunk = vec![0; 1024 * 1024];
    while let Ok(length @ 1..) = server.read(&mut chunk).await {
        if *shared.left.borrow() == Some(0) {
            shared.cut.send_replace(true);
            // The connection stays: a program that sees it end may end itself before it is killed.
            return std::future::pending().await;
        }
        if client.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
}
