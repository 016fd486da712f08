//! What lies on disk.

use std::path::{Path, PathBuf};

use testkit::client::request_id;
use testkit::cluster::Cluster;

fn files_below(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files_below(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[tokio::test]
async fn invariant_8_no_clear_text_at_rest() {
    const PLANTED: [&str; 4] =
        ["Zyxwvington", "MRN-PLANTED-77", "qq-planted-note-qq", "planted-reason"];
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register(PLANTED[1], PLANTED[0]).await.unwrap().patient_id;
    for _ in 0..20 {
        manager.file_note(&patient, PLANTED[2], &request_id(), None).await.unwrap();
    }
    manager.read_file(&patient, None).await.unwrap();
    let find = api::v1::FindPatientRequest {
        issuer: "https://hospital.example/mrn".to_owned(),
        value: PLANTED[1].to_owned(),
        purpose: Some(api::v1::Purpose {
            purpose_of_use: "TREAT".to_owned(),
            reason: PLANTED[3].to_owned(),
        }),
    };
    manager.file().find_patient(find).await.expect("found");
    // Access records that wait in the spool, too.
    cluster.nats.kill().expect("killed");
    manager.read_file(&patient, None).await.expect("reads go on");
    cluster.node_mut(0).stop().await.expect("stopped");

    let mut files = Vec::new();
    files_below(&cluster.node(0).state, &mut files);
    files_below(&cluster.nats.store_dir(), &mut files);
    assert!(files.len() > 10, "there is something to search");
    for file in files {
        let bytes = std::fs::read(&file).expect("readable");
        for planted in PLANTED {
            assert!(!contains(&bytes, planted), "{planted} stands in {}", file.display());
        }
    }
}
