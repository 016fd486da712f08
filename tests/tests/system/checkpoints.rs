//! Checkpoints that a majority of the nodes has signed, and proofs that lead to them.

use std::time::Duration;

use api::v1;
use ledger::checkpoint::{Checkpoint, TlogProof};
use ledger::cosigned::sign;
use ledger::note::SignedNote;
use ledger::proof::verify_consistency;
use ledger::{Base, Block, Content, Frame, Hash, Item, LedgerId, SigningKey, TileKind, TilePath};
use testkit::client::{Client, purpose};
use testkit::cluster::Cluster;
use testkit::wait::eventually;

use crate::tools::{
    PATIENCE, Pen, alarm, databases, filed_since, many_notes, messages, publish, some_notes,
    with_notes,
};
use crate::verifier::{Verifier, checkpoint, covering, fetch, with_http};

/// The size that the last message of the stream signs, if it does.
async fn last_signed(cluster: &Cluster) -> Option<u64> {
    let block = messages(cluster).await.pop()?;
    let content = Frame::parse(&block).ok()?.content().ok()?;
    content.items.iter().find_map(|item| {
        let Item::Checkpoint(note) = item else { return None };
        let note: SignedNote = std::str::from_utf8(note).ok()?.parse().ok()?;
        let checkpoint: Checkpoint = note.text().parse().ok()?;
        Some(checkpoint.size)
    })
}

async fn record_hash(client: &Client, patient: &str, version: u64) -> Hash {
    let request = v1::GetPatientHistoryRequest {
        purpose: testkit::client::purpose("CAREMGT"),
        patient_id: patient.to_owned(),
        ..v1::GetPatientHistoryRequest::default()
    };
    let page = client.file().get_patient_history(request).await.expect("history").into_inner();
    let record = page.events.iter().find(|event| event.version == version).expect("the record");
    Hash::from_slice(&record.hash).expect("a hash")
}

#[tokio::test]
async fn what_was_filed_is_proved_within_moments_and_the_proof_is_a_file_that_anyone_can_check() {
    let (cluster, manager, patient) = with_notes(1, 3).await;
    let verifier = Verifier::of(&cluster, &cluster.agreed().await.expect("a head")[0]);
    let before = covering(&manager, &verifier, 1).await.0;
    let position = some_notes(&manager, &patient, 1).await;
    let request = v1::AwaitProofRequest { ledger: None, position: position - 1 };
    let proof = manager.proofs().await_proof(request).await.expect("a proof").into_inner().proof;
    let proof: TlogProof = proof.parse().expect("a tlog-proof");
    let leaf = record_hash(&manager, &patient, 5).await;
    let (covered, by) =
        proof.verify(&leaf, &verifier.origin, &verifier.cosigners).expect("it holds");
    assert_eq!((proof.index, by.len()), (position - 1, 1));
    assert!(proof.verify(&Hash([1; 32]), &verifier.origin, &verifier.cosigners).is_err());

    let request = v1::GetConsistencyProofRequest { size: before.size, ..Default::default() };
    let answer =
        manager.proofs().get_consistency_proof(request).await.expect("a proof").into_inner();
    let (now, _) = verifier.open(&answer.note);
    assert!(now.size >= covered.size);
    let hashes: Vec<Hash> =
        answer.hashes.iter().map(|hash| Hash::from_slice(hash).expect("a hash")).collect();
    assert!(verify_consistency(before.size, now.size, &before.root, &now.root, &hashes));
    let beyond = v1::GetInclusionProofRequest { ledger: None, position: now.size + 1_000 };
    let refused = manager.proofs().get_inclusion_proof(beyond).await.expect_err("there is none");
    assert_eq!(refused.code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn invariant_6_a_checkpoint_leaves_only_with_a_majority_of_the_nodes() {
    let (mut cluster, manager, patient) = with_notes(3, 1).await;
    let verifier = Verifier::of(&cluster, &cluster.agreed().await.expect("a head")[0]);
    let size = some_notes(&manager, &patient, 1).await;
    let (first, by) = covering(&manager, &verifier, size).await;
    assert!(by >= 2, "signed by {by} of three");
    cluster.node_mut(2).kill().expect("killed");
    let size = some_notes(&manager, &patient, 1).await;
    let (second, by) = covering(&manager, &verifier, size).await;
    assert_eq!(by, 2);
    assert!(second.size > first.size);
    cluster.node_mut(1).kill().expect("killed");
    some_notes(&manager, &patient, 3).await;
    // The one that is left signs, and shows no more than the two have signed.
    let signed = eventually(PATIENCE, "its own signature", async || {
        let last = last_signed(&cluster).await;
        anyhow::ensure!(last.is_some_and(|size| size > second.size), "{last:?}");
        Ok(())
    });
    signed.await.expect("it goes on signing");
    assert_eq!(verifier.open(&checkpoint(&manager).await.expect("a checkpoint")).0, second);
    cluster.node_mut(1).spawn().expect("started");
    covering(&manager, &verifier, second.size + 3).await;
}

#[tokio::test]
async fn a_restarted_node_has_the_checkpoint_at_once_and_signs_on() {
    let (mut cluster, manager, patient) = with_notes(1, 2).await;
    let verifier = Verifier::of(&cluster, &cluster.agreed().await.expect("a head")[0]);
    let (before, _) = covering(&manager, &verifier, 3).await;
    cluster.node_mut(0).kill().expect("killed");
    cluster.nats.kill().expect("killed");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).condition(v1::LedgerCondition::ReadOnly).await.expect("it reads");
    let (now, _) = covering(&manager, &verifier, 1).await;
    assert!(now.size >= before.size, "without the broker it shows what it had");
    cluster.nats.restart().await.expect("back");
    cluster.node(0).serving().await.expect("serving");
    let size = some_notes(&manager, &patient, 1).await;
    covering(&manager, &verifier, size).await;
}

#[tokio::test]
async fn a_verifier_recomputes_the_root_from_tiles_and_entries_over_http() {
    let mut cluster = Cluster::found(1).await.expect("founded");
    let at = with_http(cluster.node(0));
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    for _ in 0..4 {
        many_notes(&manager, &patient, 100).await;
    }
    let head = cluster.agreed().await.expect("at rest").swap_remove(0);
    let verifier = Verifier::of(&cluster, &head);
    let (checkpoint, _) = covering(&manager, &verifier, head.size).await;
    let prefix = head.origin.split_once('/').expect("name and path").1.to_owned();
    let get = async |path: &str| fetch(&at, &format!("/{prefix}/{path}"), None).await;

    let (status, note) = get("checkpoint").await;
    assert_eq!(status, 200);
    assert_eq!(verifier.open(&String::from_utf8(note).expect("text")).0, checkpoint);

    let auditor = testkit::client::Token::signed(&cluster.node(0).state, "auditor", "auditor-1");
    let auditor = auditor.expect("a token");
    let mut leaves = Vec::new();
    for index in 0..checkpoint.size.div_ceil(256) {
        let width = u16::try_from((checkpoint.size - index * 256).min(256)).expect("at most 256");
        let tile = TilePath { kind: TileKind::Hashes(0), index, width };
        let (status, hashes) = get(&tile.to_string()).await;
        assert_eq!((status, hashes.len()), (200, usize::from(width) * 32));
        let entries = TilePath { kind: TileKind::Entries, ..tile };
        let (status, _) = get(&entries.to_string()).await;
        assert_eq!(status, 401, "entries show who and when");
        let path = format!("/{prefix}/{entries}");
        let (status, mut bundle) = fetch(&at, &path, Some(auditor.0.as_str())).await;
        assert_eq!(status, 200);
        for hash in hashes.chunks(32) {
            let length = usize::from(u16::from_be_bytes([bundle[0], bundle[1]]));
            let entry: Vec<u8> = bundle.drain(..2 + length).skip(2).collect();
            assert_eq!(ledger::leaf_hash(&entry).0, hash);
            leaves.push(ledger::leaf_hash(&entry));
        }
        assert!(bundle.is_empty());
    }
    let (mut tree, mut full) = (ledger::Tree::default(), Vec::new());
    for leaf in leaves {
        tree.append(leaf, &mut full);
    }
    assert_eq!(tree.root(), checkpoint.root, "what is served is what is signed");
    for path in ["tile/0/000.p/999", "tile/0/x999/000", "tile/9/000", "tile/0/0", "nothing"] {
        assert_eq!(get(path).await.0, 404, "{path}");
    }
    // Each bundle that was shown is on the trail, with what was asked for.
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        page_size: 200,
        ..v1::ListAccessesRequest::default()
    };
    let listed = cluster.client(0, "auditor").unwrap().audit().list_accesses(request).await;
    let listed = listed.expect("the trail").into_inner().accesses;
    let bundles = listed.iter().filter(|access| access.operation == "GET tile/entries");
    assert_eq!(bundles.count() as u64, checkpoint.size.div_ceil(256));
    let manager = testkit::client::Token::signed(&cluster.node(0).state, "nurse", "nurse-1");
    let path = format!("/{prefix}/tile/entries/000");
    assert_eq!(fetch(&at, &path, Some(manager.expect("a token").0.as_str())).await.0, 403);
}

#[tokio::test]
async fn a_checkpoint_that_disagrees_is_an_alarm_and_the_next_one_comes() {
    let (cluster, manager, patient) = with_notes(1, 2).await;
    let operator = cluster.client(0, "hospital-it").unwrap();
    let head = cluster.agreed().await.expect("at rest").swap_remove(0);
    let verifier = Verifier::of(&cluster, &head);
    let (right, _) = covering(&manager, &verifier, head.size).await;
    // Whoever has the node's block key files another root in its name.
    let pen = Pen::of(&cluster.node(0).state);
    let stranger = SigningKey::from_bytes(&[7; 32]);
    let wrong = Checkpoint { root: Hash([7; 32]), ..right.clone() };
    let note = sign(&wrong, &stranger, ("stranger", &stranger), 4_000_000_000).expect("signed");
    let base = Base {
        sequence: head.sequence,
        stream_hash: Hash::from_slice(&head.stream_hash).expect("a hash"),
    };
    let items: Vec<Item> = vec![Item::Checkpoint(note.to_string().into_bytes())];
    let time = head.time.as_ref().expect("the ledger's time");
    let sealed_at = u64::try_from(time.seconds + 1).expect("since 1970") * 1_000_000;
    let content = Content { sealed_at, base, items };
    let block = Block::seal(LedgerId::RECORDS, pen.node, &content, &pen.key, &pen.genesis);
    publish(&cluster, block.expect("sealed")).await;
    let raised = alarm(&operator, "CHECKPOINT_DISAGREES").await;
    assert!(raised.text.contains(&format!("size {}", right.size)), "{raised:?}");
    assert_eq!(verifier.open(&checkpoint(&manager).await.expect("a checkpoint")).0, right);
    let size = some_notes(&manager, &patient, 1).await;
    covering(&manager, &verifier, size).await;
    let filed = filed_since(&cluster, head.sequence).await;
    assert_eq!(filed.len(), 1, "the note");
    assert!(messages(&cluster).await.len() < 20, "no storm of checkpoints");
}

#[tokio::test]
async fn invariant_6_a_node_signs_nothing_that_does_not_continue_what_it_signed() {
    let (mut cluster, manager, patient) = with_notes(1, 2).await;
    let operator = cluster.client(0, "hospital-it").unwrap();
    let head = cluster.agreed().await.expect("at rest").swap_remove(0);
    let verifier = Verifier::of(&cluster, &head);
    let (signed, _) = covering(&manager, &verifier, head.size).await;
    cluster.node_mut(0).stop().await.expect("stopped");
    {
        // As if another tree had been here when it signed.
        let (store, _) = databases(cluster.node(0));
        let other = Checkpoint { root: Hash([7; 32]), ..signed.clone() };
        store.set_last_checkpoint(LedgerId::RECORDS, &other).expect("kept");
    }
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    some_notes(&manager, &patient, 1).await;
    let raised = alarm(&operator, "CHECKPOINT_WOULD_FORK").await;
    assert_eq!(raised.count, 1, "{raised:?}");
    assert_eq!(verifier.open(&checkpoint(&manager).await.expect("a checkpoint")).0, signed);
    assert_eq!(filed_since(&cluster, head.sequence).await.len(), 1);
    let filed = messages(&cluster).await.len() as u64;
    assert_eq!(filed, head.sequence + 1, "the note, and no checkpoint");
}

#[tokio::test]
async fn a_node_with_another_key_than_it_was_admitted_with_signs_nothing_and_says_so() {
    let mut cluster = Cluster::found(1).await.expect("founded");
    let key = cluster.node(0).state.join("keys/cosigner.key");
    std::fs::write(&key, format!("{}\n", "5a".repeat(32))).expect("another key");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    let manager = cluster.client(0, "case-manager").unwrap();
    manager.register("MRN-1", "Ames").await.expect("it files all the same");
    let operator = cluster.client(0, "hospital-it").unwrap();
    let raised = alarm(&operator, "CHECKPOINT_KEYS_UNLIKE").await;
    assert_eq!(raised.count, 1);
    let none = checkpoint(&manager).await.expect_err("there is none");
    assert!(none.to_string().contains("majority"), "{none}");
    assert_eq!(
        filed_since(&cluster, 0).await.len(),
        messages(&cluster).await.len(),
        "none is filed"
    );
}

#[tokio::test]
async fn an_unchanged_ledger_is_cosigned_again() {
    let (cluster, manager, _) = with_notes(1, 1).await;
    let verifier = Verifier::of(&cluster, &cluster.agreed().await.expect("a head")[0]);
    let (first, _) = covering(&manager, &verifier, 2).await;
    let time = |note: &str| {
        let note: SignedNote = note.parse().expect("a note");
        note.verify(&verifier.cosigners).expect("good")[0].time
    };
    let before = time(&checkpoint(&manager).await.expect("a checkpoint"));
    let again = eventually(Duration::from_secs(90), "a newer cosignature", async || {
        let note = checkpoint(&manager).await?;
        anyhow::ensure!(time(&note) > before);
        Ok(verifier.open(&note).0)
    });
    assert_eq!(again.await.expect("cosigned again"), first, "of the same tree");
}
