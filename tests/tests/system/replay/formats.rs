//! Accesses that were answered in an earlier answer format are replayed as they were.

use api::v1;
use ledger::{LedgerId, SubjectId};
use prost::Message;
use schema::AccessRecord;
use testkit::client::purpose;
use testkit::cluster::Cluster;

use super::{replay, trail};
use crate::spooled::Spool;
use crate::tools::some_notes;

/// Format 1 is of before entries could be masked; its answers had the bytes that whole ones have now.
#[tokio::test]
async fn an_access_of_the_first_answer_format_is_replayed_byte_for_byte() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.expect("registered").patient_id;
    some_notes(&manager, &patient, 5).await;
    let request = v1::GetPatientFileRequest {
        patient_id: patient.clone(),
        purpose: purpose("TREAT"),
        ..v1::GetPatientFileRequest::default()
    };
    let page = manager.file().get_patient_file(request).await.expect("a page").into_inner();
    let was_shown = page.file.expect("a file").encode_to_vec();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let access = trail(&officer).await.remove(&page.receipt).expect("it is on the trail");
    cluster.agreed().await.expect("all of it is applied");

    // The same access, as a node of the first format would have recorded it.
    cluster.node_mut(0).stop().await.expect("stopped");
    let spool = Spool::of(cluster.node(0));
    let item = spool.store.reader().access(access.position).expect("readable").expect("filed");
    let now = item.record.expect("it opens");
    assert_eq!((now.answer_format, now.masked.len()), (2, 0));
    let then = AccessRecord { answer_format: 1, ..now };
    let at = spool.store.state(LedgerId::ACCESS).expect("its state").time;
    let subject: SubjectId = patient.parse().expect("an id");
    let keys = spool.vault.keys_of(subject).expect("readable").expect("its keys");
    spool.put((subject, keys.audit), &then, at);
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("it serves");

    // Later changes do not matter.
    some_notes(&cluster.client(0, "case-manager").unwrap(), &patient, 3).await;
    cluster.agreed().await.expect("all of it is applied");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let old = trail(&officer).await.into_values().find(|access| access.answer_format == 1);
    let old = old.expect("it is on the trail");
    assert_eq!((old.shown_version_to, &old.patient_id), (access.shown_version_to, &patient));
    let again = replay(&officer, old.position).await.expect("replayed");
    assert!(again.answer.expect("an answer").value == was_shown, "byte for byte");
}
