//! What a verifier of a ledger has: keys, and a connection to read tiles over.

use std::path::{Path, PathBuf};

use api::v1;
use ledger::checkpoint::Checkpoint;
use ledger::cosigned::{cosigner_vkey, log_vkey};
use ledger::note::{SignedNote, Vkey};
use ledger::{Hash, NodeId, NodeKeys, SigningKey, TileKind, TilePath};
use testkit::client::Client;
use testkit::cluster::{Cluster, Node};
use testkit::wait::eventually;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::tools::{PATIENCE, Pen};

/// A verifier: what it must know of a ledger, from the nodes' directories.
pub(crate) struct Verifier {
    pub(crate) origin: String,
    pub(crate) log: Vec<Vkey>,
    pub(crate) cosigners: Vec<Vkey>,
}

fn public(node: &Node, file: &str) -> [u8; 32] {
    let secret = std::fs::read_to_string(node.state.join("keys").join(file)).expect("a key");
    let secret: Hash = secret.trim().parse().expect("32 bytes");
    SigningKey::from_bytes(&secret.0).verifying_key().to_bytes()
}

impl Verifier {
    /// Of the ledger with this head.
    pub(crate) fn of(cluster: &Cluster, head: &v1::Head) -> Self {
        let name = head.origin.split('/').next().expect("a name");
        let keys = |node: &Node| NodeKeys {
            block: public(node, "block.key"),
            checkpoint: public(node, "checkpoint.key"),
            cosigner: public(node, "cosigner.key"),
        };
        let id = |node: &Node| -> NodeId { Pen::of(&node.state).node };
        let log = |node: &Node| log_vkey(&head.origin, &keys(node)).expect("a key");
        let cosigner = |node: &Node| cosigner_vkey(name, id(node), &keys(node)).expect("a key");
        Self {
            origin: head.origin.clone(),
            log: cluster.nodes.iter().map(log).collect(),
            cosigners: cluster.nodes.iter().map(cosigner).collect(),
        }
    }

    /// Opens a note, and says how many nodes cosigned it.
    pub(crate) fn open(&self, note: &str) -> (Checkpoint, usize) {
        let note: SignedNote = note.parse().expect("a note");
        let (checkpoint, by) =
            Checkpoint::open(&note, &self.origin, &self.cosigners).expect("good");
        Checkpoint::open(&note, &self.origin, &self.log).expect("signed as the log");
        (checkpoint, by.len())
    }
}

/// Asks a node over HTTP; the status and the body.
pub(crate) async fn fetch(at: &str, path: &str, token: Option<&str>) -> (u16, Vec<u8>) {
    let stream = tokio::net::TcpStream::connect(at).await.expect("connected");
    fetch_over(stream, path, token).await
}

/// The same over a connection that there is.
pub(crate) async fn fetch_over(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    path: &str,
    token: Option<&str>,
) -> (u16, Vec<u8>) {
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: ledger\r\n{token}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("answered");
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(answer[..end].to_vec()).expect("text");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer[end + 4..].to_vec())
}

/// Has a node serve its ledgers over HTTP from its next start on; where.
pub(crate) fn with_http(node: &Node) -> String {
    let address = format!("{}:{}", node.listen.ip(), node.listen.port() + 1);
    let config = node.state.join("config.toml");
    let text = std::fs::read_to_string(&config).expect("configuration");
    std::fs::write(&config, format!("{text}\n[http]\nlisten = \"{address}\"\n")).expect("written");
    address
}

/// The newest checkpoint that a node shows.
pub(crate) async fn checkpoint(client: &Client) -> anyhow::Result<String> {
    let request = v1::GetCheckpointRequest::default();
    Ok(client.proofs().get_checkpoint(request).await?.into_inner().note)
}

/// A checkpoint of at least so many records.
pub(crate) async fn covering(
    client: &Client,
    verifier: &Verifier,
    size: u64,
) -> (Checkpoint, usize) {
    let found = eventually(PATIENCE, "a checkpoint", async || {
        let (found, by) = verifier.open(&checkpoint(client).await?);
        anyhow::ensure!(found.size >= size, "it covers {} of {size}", found.size);
        Ok((found, by))
    });
    found.await.expect("a checkpoint that covers it")
}

/// Copies all that a verifier reads over HTTP into a folder, as it is served; returns the files.
pub(crate) async fn mirror(
    at: &str,
    prefix: &str,
    token: &str,
    size: u64,
    folder: &Path,
) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut put = async |path: String| {
        let (status, bytes) = fetch(at, &format!("/{prefix}/{path}"), Some(token)).await;
        assert_eq!(status, 200, "{path}");
        let file = folder.join(&path);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(&file, bytes).expect("written");
        files.push(file);
    };
    let (mut level, mut hashes) = (0, size);
    while hashes > 0 {
        for index in 0..hashes.div_ceil(256) {
            let width = u16::try_from((hashes - index * 256).min(256)).expect("at most 256");
            let tile = TilePath { kind: TileKind::Hashes(level), index, width };
            put(tile.to_string()).await;
            if level == 0 {
                put(TilePath { kind: TileKind::Entries, ..tile }.to_string()).await;
            }
        }
        (level, hashes) = (level + 1, hashes / 256);
    }
    put("checkpoint".to_owned()).await;
    files
}

/// Copies the bodies of the control records at these positions beside a mirrored log.
pub(crate) async fn controls(
    at: &str,
    prefix: &str,
    token: &str,
    positions: &[usize],
    log: &Path,
) -> Vec<PathBuf> {
    let mut files = Vec::new();
    std::fs::create_dir_all(log.join("control")).expect("made");
    for position in positions {
        let path = format!("control/{position}");
        let (status, body) = fetch(at, &format!("/{prefix}/{path}"), Some(token)).await;
        assert_eq!(status, 200, "{path}");
        std::fs::write(log.join(&path), body).expect("written");
        files.push(log.join(&path));
    }
    files
}

/// Places that differ from run to run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new() -> Self {
        Self(u64::from(std::process::id()))
    }

    pub(crate) fn below(&mut self, below: usize) -> usize {
        // Knuth's MMIX generator: where something is tried is all that it decides.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % below
    }
}

/// Flips bits, one at a time; each must be refused.
pub(crate) fn flipped(files: &[PathBuf], flips: usize, refused: impl Fn() -> bool) {
    let mut dice = Dice::new();
    for _ in 0..flips {
        let file = &files[dice.below(files.len())];
        let whole = std::fs::read(file).expect("readable");
        let mut changed = whole.clone();
        let at = dice.below(whole.len());
        changed[at] ^= 1 << dice.below(8);
        std::fs::write(file, changed).expect("written");
        assert!(refused(), "byte {at} of {} was flipped", file.display());
        std::fs::write(file, whole).expect("written");
    }
}
