//! Witnesses that are slow, or answer with another signature than was asked for; and several nodes.

use std::collections::HashMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::tools::{alarm, some_notes};
use crate::verifier::{checkpoint, covering};
use crate::witness::{Office, World};

/// What becomes of the answers of a witness that is asked through [`Between`].
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// They come so much later.
    Late(Duration),
    /// From the second about a ledger on, each is the first once more.
    Repeated,
}

/// Somebody between a node and a witness.
struct Between {
    address: String,
    serving: JoinHandle<()>,
}

impl Between {
    async fn start(witness: &str, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let witness = witness.to_owned();
        let serving = tokio::spawn(async move {
            let mut first = HashMap::new();
            while let Ok((mut node, _)) = listener.accept().await {
                let request = message(&mut node).await;
                let mut there = TcpStream::connect(&witness).await.expect("the witness");
                there.write_all(&request).await.expect("asked");
                let mut answer = message(&mut there).await;
                match fault {
                    // An endless wait that is cut off.
                    Fault::Late(by) => drop(tokio::time::timeout(by, forever()).await),
                    Fault::Repeated if answer.starts_with(b"HTTP/1.1 200") => {
                        let of_records = request.windows(9).any(|part| part == b"/records.");
                        answer = first.entry(of_records).or_insert(answer).clone();
                    }
                    Fault::Repeated => {}
                }
                // The node may have given up.
                let _ = node.write_all(&answer).await;
            }
        });
        Self { address, serving }
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn forever() {
    std::future::pending::<()>().await;
}

/// One HTTP/1.1 message with a length.
async fn message(from: &mut TcpStream) -> Vec<u8> {
    let mut message = Vec::new();
    let body = loop {
        let end = message.windows(4).position(|end| end == b"\r\n\r\n");
        if let Some(end) = end {
            break end + 4;
        }
        if from.read_buf(&mut message).await.expect("readable") == 0 {
            return message;
        }
    };
    let head = String::from_utf8_lossy(&message[..body]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(0, |length| length.trim().parse().expect("a length"));
    while message.len() < body + length {
        if from.read_buf(&mut message).await.expect("readable") == 0 {
            break;
        }
    }
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_slower_than_checkpoints_come_still_lets_them_leave() {
    let mut world = World::new().await;
    let (office, policies) = (Office::new(), world.policies());
    let _serving = office.serve(&policies);
    let late = Between::start(&office.address, Fault::Late(Duration::from_millis(1_500))).await;
    world.with(&office.config_at(&late.address, 1)).await;
    // Something new is signed each second; what leaves lags behind, but goes on.
    let mut left = 0;
    for _ in 0..3 {
        let size = some_notes(&world.manager, &world.patient, 2).await;
        world.witnessed(&office, size).await;
        assert!(size > left);
        left = size;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_over_another_checkpoint_counts_for_nothing() {
    let mut world = World::new().await;
    let (office, policies) = (Office::new(), world.policies());
    let _serving = office.serve(&policies);
    let liar = Between::start(&office.address, Fault::Repeated).await;
    world.with(&office.config_at(&liar.address, 1)).await;
    let first = world.witnessed(&office, 1).await;
    let size = some_notes(&world.manager, &world.patient, 3).await;
    let missed = alarm(&world.operator, "WITNESS_UNREACHED").await;
    assert!(missed.text.contains("no good signature"), "{missed:?}");
    // Nothing left but the first, which was cosigned in truth.
    let verifier = world.verifier().await;
    let now = checkpoint(&world.manager).await.expect("the first");
    assert_eq!(verifier.open(&now).0, verifier.open(&first).0);
    // Once it is asked itself, all of it leaves.
    drop(liar);
    world.with_instead(&office.config(1)).await;
    world.witnessed(&office, size).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_shows_what_the_witness_cosigned_for_any_of_them() {
    let mut world = World::of(3).await;
    let (office, policies) = (Office::new(), world.policies());
    let _serving = office.serve(&policies);
    world.with(&office.config(1)).await;
    let size = some_notes(&world.manager, &world.patient, 4).await;
    for node in 0..3 {
        let asks = world.cluster.client(node, "case-manager").expect("a client");
        let note = world.witnessed_by(&asks, &office, size).await;
        let (_, by) = world.verifier().await.open(&note);
        assert!(by >= 2, "a majority of the nodes: {by}");
    }
    // One of them is gone; the others and the witness go on.
    world.cluster.node_mut(2).kill().expect("killed");
    let size = some_notes(&world.manager, &world.patient, 4).await;
    world.witnessed(&office, size).await;
    let verifier = world.verifier().await;
    covering(&world.cluster.client(1, "case-manager").expect("a client"), &verifier, size).await;
    let status = world.operator.status().await.expect("its status");
    assert!(status.alarms.iter().all(|one| one.code != "WITNESS_DISAGREES"), "{status:?}");
}
