//! Answers that are counted but not decoded: a caller that took apart every entry it reads would use
//! up the processors that the node needs, and a hospital's callers have processors of their own.
//!
//! The body is taken as it came, and only the tags of its outer fields are walked.

use std::marker::PhantomData;

use anyhow::{Context as _, ensure};
use api::v1;
use bytes::{Buf as _, Bytes};
use prost::encoding::{WireType, decode_key, decode_varint};
use testkit::client::{Authorised, Client};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic_prost::{ProstCodec, ProstEncoder};

/// Fields of `GetPatientFileResponse` and `GetPatientHistoryResponse`, which agree in these.
const NEXT_PAGE_TOKEN: u32 = 2;
const RECEIPT: u32 = 4;
/// `GetPatientFileResponse.file`, and the entries in it.
const FILE: u32 = 1;
const ENTRIES: u32 = 5;
/// `GetPatientHistoryResponse.events`.
const EVENTS: u32 = 1;

/// Asks for pages of files and histories over a connection of its own.
#[derive(Clone, Debug)]
pub(crate) struct Reader(tonic::client::Grpc<Authorised>);

impl Reader {
    /// Over this client's connection.
    pub(crate) fn new(client: &Client) -> Self {
        Self(client.raw())
    }

    /// A page of a file.
    ///
    /// # Errors
    /// The node's refusal, or an answer that is malformed or has no receipt.
    pub(crate) async fn file(
        &mut self,
        request: v1::GetPatientFileRequest,
    ) -> anyhow::Result<Page> {
        let path = "/caseledger.v1.PatientFileService/GetPatientFile";
        Page::of_file(self.call(path, request).await?)
    }

    /// A page of a history.
    ///
    /// # Errors
    /// As [`Reader::file`].
    pub(crate) async fn history(
        &mut self,
        request: v1::GetPatientHistoryRequest,
    ) -> anyhow::Result<Page> {
        let path = "/caseledger.v1.PatientFileService/GetPatientHistory";
        Page::of_history(self.call(path, request).await?)
    }

    async fn call<M: prost::Message + 'static>(
        &mut self,
        path: &'static str,
        request: M,
    ) -> anyhow::Result<Bytes> {
        self.0.ready().await?;
        let (request, path) = (tonic::Request::new(request), PathAndQuery::from_static(path));
        Ok(self.0.unary(request, path, AsItCame(PhantomData)).await?.into_inner())
    }
}

/// Encodes requests; leaves answers as they are.
struct AsItCame<M>(PhantomData<fn() -> M>);

impl<M: prost::Message + 'static> Codec for AsItCame<M> {
    type Encode = M;
    type Decode = Bytes;
    type Encoder = ProstEncoder<M>;
    type Decoder = Body;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<M, ()>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        Body
    }
}

/// The whole body of a message.
struct Body;

impl Decoder for Body {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, body: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(body.copy_to_bytes(body.remaining())))
    }
}

/// What is looked at of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// Entries or events on it.
    pub(crate) items: usize,
    /// Where the next page is; empty on the last.
    pub(crate) next_page_token: String,
}

impl Page {
    fn of_file(answer: Bytes) -> anyhow::Result<Self> {
        Self::of(answer, |number, content| match number {
            FILE => {
                let mut entries = 0;
                walk(content, |number, _| {
                    entries += usize::from(number == ENTRIES);
                    Ok(())
                })?;
                Ok(entries)
            }
            _ => Ok(0),
        })
    }

    fn of_history(answer: Bytes) -> anyhow::Result<Self> {
        Self::of(answer, |number, _| Ok(usize::from(number == EVENTS)))
    }

    fn of(
        answer: Bytes,
        mut items: impl FnMut(u32, Bytes) -> anyhow::Result<usize>,
    ) -> anyhow::Result<Self> {
        let (mut page, mut receipt) = (Self::default(), false);
        walk(answer, |number, content| {
            match number {
                NEXT_PAGE_TOKEN => page.next_page_token = String::from_utf8(content.into())?,
                RECEIPT => receipt = !content.is_empty(),
                _ => page.items += items(number, content)?,
            }
            Ok(())
        })?;
        ensure!(receipt, "an answer without a receipt");
        Ok(page)
    }
}

/// Visits the fields of a message that have a length (texts, bytes, messages), in their order.
fn walk(
    mut message: Bytes,
    mut visit: impl FnMut(u32, Bytes) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    while message.has_remaining() {
        let (number, kind) = decode_key(&mut message)?;
        let length = match kind {
            WireType::Varint => {
                decode_varint(&mut message)?;
                continue;
            }
            WireType::ThirtyTwoBit => 4,
            WireType::SixtyFourBit => 8,
            WireType::LengthDelimited => usize::try_from(decode_varint(&mut message)?)?,
            WireType::StartGroup | WireType::EndGroup => anyhow::bail!("a group in the answer"),
        };
        let content = (length <= message.remaining()).then(|| message.split_to(length));
        let content = content.context("an answer that breaks off")?;
        if kind == WireType::LengthDelimited {
            visit(number, content)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn file(entries: usize) -> v1::GetPatientFileResponse {
        let state = |n: usize| v1::EntryState {
            entry_id: format!("{n:032x}"),
            entry: Some(v1::Entry { note: "é".repeat(n), ..v1::Entry::default() }),
            revision: u32::MAX,
            ..v1::EntryState::default()
        };
        v1::GetPatientFileResponse {
            file: Some(v1::PatientFile {
                patient_id: "0f".repeat(16),
                version: 300,
                identity: Some(v1::Identity::default()),
                entries: (0..entries).map(state).collect(),
                unreadable_positions: vec![1, 1 << 40],
                ..v1::PatientFile::default()
            }),
            next_page_token: String::new(),
            position: 1 << 60,
            receipt: vec![7; 32],
        }
    }

    fn page(items: usize, token: &str) -> Page {
        Page { items, next_page_token: token.to_owned() }
    }

    #[test]
    fn entries_are_counted_as_decoding_would_count_them() {
        for entries in [0, 1, 50, 200] {
            let answer = file(entries).encode_to_vec();
            assert_eq!(Page::of_file(answer.into()).unwrap(), page(entries, ""));
        }
        let next = v1::GetPatientFileResponse { next_page_token: "tökén".to_owned(), ..file(3) };
        assert_eq!(Page::of_file(next.encode_to_vec().into()).unwrap(), page(3, "tökén"));
        assert_eq!(
            Page::of_file(
                v1::GetPatientFileResponse { file: None, ..file(3) }.encode_to_vec().into()
            )
            .unwrap(),
            page(0, "")
        );
    }

    #[test]
    fn events_are_counted_too() {
        let answer = v1::GetPatientHistoryResponse {
            events: vec![v1::FiledEvent::default(); 51],
            next_page_token: "next".to_owned(),
            position: 51,
            receipt: vec![1],
        };
        assert_eq!(Page::of_history(answer.encode_to_vec().into()).unwrap(), page(51, "next"));
    }

    #[test]
    fn an_answer_without_a_receipt_or_its_end_is_an_error() {
        let bare = v1::GetPatientFileResponse { receipt: Vec::new(), ..file(2) };
        assert!(Page::of_file(bare.encode_to_vec().into()).is_err());
        let whole = Bytes::from(file(2).encode_to_vec());
        for length in 0..whole.len() {
            let cut = whole.slice(..length);
            assert!(Page::of_file(cut).is_err(), "{length} of {} bytes", whole.len());
        }
        assert!(Page::of_file(Bytes::from_static(&[0x0b])).is_err(), "a group");
        assert!(Page::of_file(Bytes::from_static(&[0xff; 12])).is_err(), "no tag");
    }
}
