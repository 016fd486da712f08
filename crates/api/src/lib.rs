//! The gRPC interface in Rust: messages, clients and servers generated from `proto/`, and the
//! descriptor set for reflection.
//!
//! It holds no behaviour: conversion to the domain's types is `server`'s, conversion from FHIR is
//! `fhir`'s. `server`, `fhir`, `cli` and `console` build on it. What a field means stands in the
//! `.proto` files, whose comments are carried over to the generated types.

/// Version 1 of the interface, package `caseledger.v1`.
pub mod v1 {
    tonic::include_proto!("caseledger.v1");
}

/// The compiled `.proto` files with their comments (a protobuf `FileDescriptorSet`): what
/// reflection serves, and what lists of RPCs are checked against.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

#[cfg(test)]
mod tests {
    use super::FILE_DESCRIPTOR_SET;
    use prost::Message;
    use prost_types::FileDescriptorSet;

    fn ours() -> Vec<prost_types::FileDescriptorProto> {
        let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
        set.file.into_iter().filter(|file| file.package() == "caseledger.v1").collect()
    }

    /// Adding or removing an RPC is a decision: this list, the role table and the documentation
    /// change with it.
    #[test]
    fn every_rpc_is_listed() {
        let mut found = Vec::new();
        for file in ours() {
            for service in &file.service {
                for method in &service.method {
                    let stream = match (method.client_streaming(), method.server_streaming()) {
                        (false, false) => "",
                        (false, true) => " -> stream",
                        (true, false) => " <- stream",
                        (true, true) => " <-> stream",
                    };
                    found.push(format!("{}/{}{stream}", service.name(), method.name()));
                }
            }
        }
        found.sort();
        assert_eq!(
            found,
            [
                "AuditService/ListAccesses",
                "ImportService/Import <-> stream",
                "LedgerService/GetHead",
                "LedgerService/GetNodeStatus",
                "PatientFileService/Contribute",
                "PatientFileService/FindPatient",
                "PatientFileService/GetPatientFile",
                "PatientFileService/GetPatientHistory",
                "PatientFileService/RegisterPatient",
                "PatientFileService/SettleRequest",
                "PatientFileService/WatchPatientFile -> stream",
                "PeerService/GetSignedHead",
                "PeerService/GrantHeal",
                "PeerService/ReadBlocks -> stream",
            ]
        );
    }

    /// Whatever shows patient data carries the position it reflects and a receipt.
    #[test]
    fn every_answer_about_a_patient_has_position_and_receipt() {
        let shows = ["PatientFileService", "ImportService", "AuditService"];
        for file in ours() {
            for service in file.service.iter().filter(|service| shows.contains(&service.name())) {
                for method in &service.method {
                    if method.name() == "SettleRequest" {
                        continue; // shows only whether a request of the caller's own was filed
                    }
                    let answer = method.output_type().trim_start_matches(".caseledger.v1.");
                    let message =
                        file.message_type.iter().find(|m| m.name() == answer).expect(answer);
                    for wanted in ["position", "receipt"] {
                        assert!(
                            message.field.iter().any(|field| field.name() == wanted),
                            "{answer} has no {wanted}"
                        );
                    }
                }
            }
        }
    }

    /// Every field, message, RPC and enum value is explained (`buf lint` says the same, but is
    /// not needed for a build).
    #[test]
    fn everything_is_commented() {
        for file in ours() {
            let info = file.source_code_info.as_ref().expect("source info");
            for location in &info.location {
                // paths of messages (4), enums (5), services (6) and what is in them have even
                // length; reserved ranges and options do not occur
                let [kind, _, rest @ ..] = location.path.as_slice() else { continue };
                let declared = matches!((kind, rest), (4..=6, []))
                    || matches!((kind, rest), (4, [2 | 8, _]) | (5 | 6, [2, _]));
                if declared {
                    assert!(
                        location.leading_comments.is_some(),
                        "{} line {:?} has no comment",
                        file.name(),
                        location.span.first().map(|line| line + 1)
                    );
                }
            }
        }
    }
}
