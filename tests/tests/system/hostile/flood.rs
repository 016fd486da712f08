//! Too much at once, and too much in one message: bounded memory, a named limit, and others served.

use api::v1;
use testkit::client::{Client, purpose, request_id};
use testkit::cluster::Cluster;
use testkit::wait::eventually;
use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;

use super::{fields, peak_memory, still_serves};
use crate::tools::PATIENCE;

/// Memory of a node under attack, in MiB, at most.
const MEMORY: u64 = 512;

fn exhausted(status: &Status, limit: &str) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.get_details_retry_info().is_some(), "when to try again: {status:?}");
    let info = status.get_details_error_info().expect("error info");
    let named = info.metadata.get("limit").expect("the limit");
    assert!(named.contains(limit), "{named}");
}

fn too_large(status: &Status) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let info = status.get_details_error_info().expect("error info");
    assert_eq!(info.reason, "MESSAGE_TOO_LARGE");
    assert_eq!(info.metadata.get("limit").map(String::as_str), Some("4194304"));
}

fn note_of(patient: &str, bytes: usize) -> v1::ContributeRequest {
    v1::ContributeRequest {
        request_id: request_id(),
        purpose: purpose("TREAT"),
        patient_id: patient.to_owned(),
        expected_version: None,
        changes: vec![Client::note(&"a".repeat(bytes))],
    }
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused_packed_or_not() {
    let cluster = Cluster::start(1).await.expect("a node");
    let client = cluster.client(0, "case-manager").unwrap();
    let patient = client.register("MRN-1", "Ames").await.unwrap().patient_id;
    let large = client.file().contribute(note_of(&patient, 10 * 1024 * 1024)).await;
    too_large(&large.expect_err("10 MiB"));
    let mut packing = client.file().send_compressed(CompressionEncoding::Gzip);
    // A quarter of a MiB on the wire.
    let bomb = packing.contribute(note_of(&patient, 256 * 1024 * 1024)).await;
    too_large(&bomb.expect_err("256 MiB"));
    let fits = packing.contribute(note_of(&patient, 3 * 1024 * 1024)).await;
    let fits = fits.expect_err("3 MiB");
    assert_eq!(fits.code(), Code::InvalidArgument, "{fits:?}");
    let entry = "changes[0].add_entry.entry";
    assert_eq!(fields(&fits), [format!("{entry}.note_detail.text"), entry.to_owned()]);
    packing.contribute(note_of(&patient, 10_000)).await.expect("an honest one is unpacked");

    let first = v1::ImportRequest { purpose: purpose("RECORDMGT"), items: Vec::new() };
    let content = v1::import_item::Content::Identity(Box::new(v1::Identity {
        preferred_name: "a".repeat(10 * 1024 * 1024),
        ..v1::Identity::default()
    }));
    let item = v1::ImportItem { content: Some(content), ..v1::ImportItem::default() };
    let large = v1::ImportRequest { purpose: None, items: vec![item] };
    let answers = client.import().import(tokio_stream::iter([first, large])).await;
    too_large(&answers.expect("begun").into_inner().message().await.expect_err("10 MiB"));

    let memory = peak_memory(&cluster);
    assert!(memory < MEMORY, "the node took {memory} MiB");
    still_serves(&cluster).await;
}

#[tokio::test]
async fn of_five_thousand_streams_the_limit_is_served_and_the_rest_told() {
    const CONNECTIONS: usize = 8;
    const STREAMS: usize = 625;
    const PLACES: usize = 1_024;
    let cluster = Cluster::start(1).await.expect("a node");
    let client = cluster.client(0, "case-manager").unwrap();
    let patient = client.register("MRN-1", "Ames").await.unwrap().patient_id;
    let request = v1::WatchPatientFileRequest {
        patient_id: patient.clone(),
        purpose: purpose("TREAT"),
        from_version: 1,
    };
    let mut opening = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let client = cluster.client(0, "case-manager").unwrap();
        for _ in 0..STREAMS {
            let (client, request) = (client.clone(), request.clone());
            opening.spawn(async move { client.file().watch_patient_file(request).await });
        }
    }
    let mut open = Vec::new();
    let mut told = 0;
    while let Some(answer) = opening.join_next().await {
        match answer.expect("answered") {
            Ok(stream) => open.push(stream.into_inner()),
            Err(status) => {
                exhausted(&status, "1,024 open streams");
                told += 1;
            }
        }
    }
    assert_eq!((open.len(), told), (PLACES, CONNECTIONS * STREAMS - PLACES));
    for stream in &mut open {
        let first = stream.message().await.expect("a delivery").expect("not ended");
        assert_eq!(first.change.expect("the registration").version, 1);
    }
    still_serves(&cluster).await;
    let memory = peak_memory(&cluster);
    assert!(memory < MEMORY, "the node took {memory} MiB");

    drop(open);
    let patience = std::time::Duration::from_secs(30);
    let place = eventually(patience, "a place is free", async || {
        Ok(client.file().watch_patient_file(request.clone()).await?.into_inner())
    });
    let mut stream = place.await.expect("places are given back");
    stream.message().await.expect("a delivery").expect("not ended");
}

#[tokio::test]
async fn of_forty_imports_the_limit_is_served_and_the_rest_told() {
    const PLACES: usize = 32;
    let cluster = Cluster::start(1).await.expect("a node");
    let client = cluster.client(0, "case-manager").unwrap();
    let first = v1::ImportRequest { purpose: purpose("RECORDMGT"), items: Vec::new() };
    let mut open = Vec::new();
    for number in 0..40 {
        let endless = tokio_stream::iter([first.clone()]).chain(tokio_stream::pending());
        match client.import().import(endless).await {
            Ok(stream) => open.push(stream),
            Err(status) => {
                assert!(number >= PLACES, "refused at {number}: {status:?}");
                exhausted(&status, "32 imports at once");
            }
        }
    }
    assert_eq!(open.len(), PLACES);
    still_serves(&cluster).await;
}

/// Begins a call and never sends its message; resolves when the node ends it.
async fn without_its_message(client: Client, method: &'static str) {
    let mut raw = client.raw();
    raw.ready().await.expect("connected");
    let path = http::uri::PathAndQuery::from_static(method);
    let never = tonic::Request::new(tokio_stream::pending::<()>());
    let ended = raw.client_streaming(never, path, ProstCodec::<(), ()>::default()).await;
    ended.expect_err("it was never asked anything");
}

#[tokio::test]
async fn calls_whose_message_never_comes_keep_out_neither_other_nodes_nor_probes() {
    const PLACES: usize = 256;
    let cluster = Cluster::start(1).await.expect("a node");
    let client = cluster.client(0, "case-manager").unwrap();
    let mut held = JoinSet::new();
    for method in ["/caseledger.v1.PeerService/GetSignedHead", "/grpc.health.v1.Health/Check"] {
        for _ in 0..PLACES {
            held.spawn(without_its_message(client.clone(), method));
        }
    }
    tokio::time::timeout(PATIENCE, held.join_all()).await.expect("each is ended");
    let peer = client.peer().get_signed_head(v1::GetSignedHeadRequest::default()).await;
    assert_eq!(peer.expect_err("no proof").code(), Code::Unauthenticated, "it has a place");
    assert!(client.is_serving("LedgerService").await.expect("it has a place"));
    still_serves(&cluster).await;
}
