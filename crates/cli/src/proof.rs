//! `caseledger ledger checkpoint`, `policy` and `proof`: files that other people's tools read.

use std::process::ExitCode;

use api::v1;
use api::v1::proof_service_client::ProofServiceClient;
use serde_json::{Value, json};

use crate::connection::{connect, timed};
use crate::failure::Failure;
use crate::options::{Global, Proof, WhichLedger};
use crate::output::Output;

/// Prints the newest checkpoint, byte for byte as it is signed.
pub(crate) async fn checkpoint(
    global: &Global,
    wanted: &WhichLedger,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let mut client = ProofServiceClient::new(connect(global).await?);
    let request = v1::GetCheckpointRequest { ledger: Some(wanted.ledger.id()) };
    let answer = client
        .get_checkpoint(timed(request))
        .await
        .map_err(|status| Failure::of(&global.server, "ProofService/GetCheckpoint", status))?;
    let note = answer.into_inner().note;
    output.show(|| checkpoint_json(&note), || note.clone())?;
    Ok(ExitCode::SUCCESS)
}

/// The lines of a checkpoint by name, and all of it.
fn checkpoint_json(note: &str) -> Value {
    let mut lines = note.lines();
    let (origin, size, root) = (lines.next(), lines.next(), lines.next());
    let size: Option<u64> = size.and_then(|size| size.parse().ok());
    json!({"origin": origin, "size": size, "root": root, "note": note})
}

/// Prints what a verifier needs beside a checkpoint.
pub(crate) async fn policy(
    global: &Global,
    wanted: &WhichLedger,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let policy = node_policy(global, wanted).await?;
    output.show(|| json!({"policy": policy}), || policy.clone())?;
    Ok(ExitCode::SUCCESS)
}

/// The policy of a ledger as the node tells it.
pub(crate) async fn node_policy(global: &Global, wanted: &WhichLedger) -> Result<String, Failure> {
    let mut client = ProofServiceClient::new(connect(global).await?);
    let request = v1::GetPolicyRequest { ledger: Some(wanted.ledger.id()) };
    let answer = client
        .get_policy(timed(request))
        .await
        .map_err(|status| Failure::of(&global.server, "ProofService/GetPolicy", status))?;
    Ok(answer.into_inner().policy)
}

/// Prints the proof that a record is under a checkpoint; waits for one that covers it.
pub(crate) async fn proof(
    global: &Global,
    wanted: &Proof,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let mut client = ProofServiceClient::new(connect(global).await?);
    let ledger = Some(wanted.which.ledger.id());
    let request = v1::AwaitProofRequest { ledger, position: wanted.position };
    let answer = client
        .await_proof(timed(request))
        .await
        .map_err(|status| Failure::of(&global.server, "ProofService/AwaitProof", status))?;
    let v1::AwaitProofResponse { proof, witnesses } = answer.into_inner();
    let json = || json!({"position": wanted.position, "proof": proof, "witnesses": witnesses});
    output.show(json, || proof.clone())?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_told_line_by_line_and_whole() {
        let note = "hospital.example/records.0.0/ab\n7\nAAAA\n\n\u{2014} x y\n";
        let told = checkpoint_json(note);
        assert_eq!(told["origin"], "hospital.example/records.0.0/ab");
        assert_eq!((&told["size"], &told["root"]), (&json!(7), &json!("AAAA")));
        assert_eq!(told["note"], note);
    }
}
