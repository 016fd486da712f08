//! Hands checkpoints to a witness over HTTP, as c2sp.org/tlog-witness says: `POST <url>/add-checkpoint`.

use std::time::{Duration, Instant};

use ::ledger::witness::AddCheckpoint;
use ::ledger::{Hash, LedgerId};
use engine::{Engine, NodeCheckpoint, WitnessSetup, Witnessed};
use http::StatusCode;
use http_body_util::Full;
use hyper::body::Bytes;
use tokio_util::task::AbortOnDropHandle;

use crate::config::{Witness, Witnesses};
use crate::web;

/// How long a witness may take to answer: it syncs one file.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one that failed is left alone.
const LATER: Duration = Duration::from_secs(5);
/// How long a witness may be ahead of a node that lags, before it counts as disagreeing.
const CATCHING_UP: Duration = Duration::from_secs(20);
/// Longest answer: a few signature lines.
const MAX_ANSWER: usize = 16 * 1024;

/// Who they are, for the engine.
pub(crate) fn setup(witnesses: &Witnesses) -> WitnessSetup {
    let keys = witnesses.known.iter().map(|witness| witness.key.clone()).collect();
    WitnessSetup { keys, quorum: witnesses.quorum }
}

/// Hands every witness the checkpoints of both ledgers, until it is dropped.
pub(crate) fn hand_over(engine: &Engine, witnesses: &Witnesses) -> Vec<AbortOnDropHandle<()>> {
    let ledgers = [LedgerId::RECORDS, LedgerId::ACCESS];
    let each = |witness: &Witness| ledgers.map(|ledger| (ledger, witness.clone()));
    let each = witnesses.known.iter().flat_map(each);
    each.map(|(ledger, witness)| {
        AbortOnDropHandle::new(tokio::spawn(follow(engine.clone(), ledger, witness)))
    })
    .collect()
}

/// Hands it every checkpoint of a ledger that a majority of the nodes has signed, until the node stops.
async fn follow(engine: Engine, ledger: LedgerId, witness: Witness) {
    // What it has cosigned, as far as is known: at first nothing, and it says so.
    let (mut old, mut before): (u64, Option<NodeCheckpoint>) = (0, None);
    let mut ahead: Option<Instant> = None;
    while let Some(checkpoint) = engine.for_witness(ledger, before.as_ref()).await {
        let did = add(&engine, ledger, &witness, &checkpoint, &mut old).await;
        let size = checkpoint.checkpoint.size;
        if old <= size {
            ahead = None;
        } else if ahead.get_or_insert_with(Instant::now).elapsed() < CATCHING_UP {
            // Another node handed it more than this one has applied yet.
            wait().await;
            continue;
        }
        match engine.witnessed(ledger, &witness.key, &checkpoint, did) {
            // Only now is it known that the signature is its own.
            Ok(true) => (old, before) = (size, Some(NodeCheckpoint::clone(&checkpoint))),
            Ok(false) | Err(_) => wait().await,
        }
    }
}

/// Until it is asked again.
async fn wait() {
    // An endless wait that is cut off: the timer is what is waited for.
    let _elapsed = tokio::time::timeout(LATER, std::future::pending::<()>()).await;
}

/// Hands it one checkpoint; a second time from the size that it says it has.
async fn add(
    engine: &Engine,
    ledger: LedgerId,
    witness: &Witness,
    checkpoint: &NodeCheckpoint,
    old: &mut u64,
) -> Witnessed {
    let size = checkpoint.checkpoint.size;
    for _ in 0..2 {
        if *old > size {
            return Witnessed::Disagrees(format!("it has cosigned {old} records"));
        }
        let proof = match proof(engine, ledger, *old, size) {
            Ok(proof) => proof,
            Err(why) => return Witnessed::Failed(why),
        };
        let request = AddCheckpoint { old: *old, proof, note: checkpoint.note.clone() };
        let asked = tokio::time::timeout(PATIENCE, post(&witness.url, request.to_string()));
        let (status, said) = match asked.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => return Witnessed::Failed(why),
            Err(_) => return Witnessed::Failed(format!("{} does not answer", witness.url)),
        };
        let line = said.lines().next().unwrap_or_default().to_owned();
        match (status, said.trim_end().parse::<u64>()) {
            (StatusCode::OK, _) => return Witnessed::Cosigned(said),
            (StatusCode::CONFLICT, Ok(has)) if has != *old => *old = has,
            (StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY, _) => {
                return Witnessed::Disagrees(line);
            }
            (status, _) => {
                return Witnessed::Failed(format!("{} answers {status}: {line}", witness.url));
            }
        }
    }
    Witnessed::Failed(format!("{} does not say what it has", witness.url))
}

fn proof(engine: &Engine, ledger: LedgerId, old: u64, size: u64) -> Result<Vec<Hash>, String> {
    let proof = engine.consistency_of(ledger, old, size);
    proof.map_err(|failure| failure.to_string())
}

/// The status and the body.
async fn post(url: &str, body: String) -> Result<(StatusCode, String), String> {
    let request = http::Request::post(format!("{}/add-checkpoint", url.trim_end_matches('/')))
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let (status, body) = web::send(request, None, MAX_ANSWER).await?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
