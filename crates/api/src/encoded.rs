//! Answers whose largest part is encoded already: what a server keeps ready and sends as it is.

use prost::bytes::Bytes;

/// [`crate::v1::GetPatientFileResponse`] with its file in protobuf form. An embedded message and a
/// `bytes` field are the same on the wire, so clients cannot tell the two apart.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct GetPatientFileResponse {
    /// A [`crate::v1::PatientFile`], encoded.
    #[prost(bytes = "bytes", tag = "1")]
    pub file: Bytes,
    /// As in the message.
    #[prost(string, tag = "2")]
    pub next_page_token: String,
    /// As in the message.
    #[prost(uint64, tag = "3")]
    pub position: u64,
    /// As in the message.
    #[prost(bytes = "vec", tag = "4")]
    pub receipt: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::v1;

    #[test]
    fn a_client_reads_what_was_sent_encoded() {
        let file = v1::PatientFile {
            patient_id: "00".repeat(16),
            version: 7,
            entries: vec![v1::EntryState { revision: 3, ..v1::EntryState::default() }],
            ..v1::PatientFile::default()
        };
        let sent = GetPatientFileResponse {
            file: file.encode_to_vec().into(),
            next_page_token: "next".to_owned(),
            position: 9,
            receipt: vec![1; 32],
        };
        let got = v1::GetPatientFileResponse::decode(sent.encode_to_vec().as_slice()).unwrap();
        assert_eq!(
            got,
            v1::GetPatientFileResponse {
                file: Some(file),
                next_page_token: "next".to_owned(),
                position: 9,
                receipt: vec![1; 32],
            }
        );
        assert_eq!(got.encode_to_vec(), sent.encode_to_vec());
    }
}
