//! Page tokens: where a list goes on, sealed.
//!
//! A token is base64url of `version ‖ nonce ‖ AES-256-GCM(position ‖ cursor)`. Sealed with it are
//! caller, method, and the request without its token and page size, so a token works for one caller
//! and one query only, whose pages may differ in size; anything else is INVALID_ARGUMENT. It is
//! encrypted because the place of an entry in a file tells its kind, and the last of a page may be one
//! that its caller may not see. The key is derived from the cluster's index key: a token of one node
//! works on every node and after a restart.

use api::v1 as proto;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use engine::{Caller, Failure, MAX_PAGE, Operation};
use prost::Message;

use crate::convert::{At, Report};

/// Entries on a page when the caller does not say.
pub(crate) const DEFAULT_PAGE: usize = 50;

/// Longest token looked at, in bytes; ours have about 100, but the staff directory's go on after a
/// person's id, which has up to 1,024: 1,415 then.
const MAX_TOKEN: usize = 2 * 1024;

const VERSION: u8 = 2;

/// Makes and opens page tokens.
#[derive(Clone)]
pub(crate) struct Pages {
    key: [u8; 32],
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

/// What a token is bound to.
#[derive(Debug, Clone, Copy)]
struct Query<'a> {
    /// Who asks.
    caller: &'a Caller,
    /// Which call.
    method: &'a str,
    /// The request's encoding without its token and page size.
    request: &'a [u8],
}

/// Where a page starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The position that the first page reflected.
    pub(crate) position: u64,
    /// Where the engine goes on.
    pub(crate) cursor: Vec<u8>,
}

/// A request for a page of something.
pub(crate) trait Paged: Message {
    /// Its page size and token, taken out of it: what is left is what tokens are bound to.
    fn take_page(&mut self) -> (u32, String);
}

macro_rules! paged {
    ($($request:ident),+ $(,)?) => {$(
        impl Paged for proto::$request {
            fn take_page(&mut self) -> (u32, String) {
                (std::mem::take(&mut self.page_size), std::mem::take(&mut self.page_token))
            }
        }
    )+};
}

paged!(
    GetIncidentRequest,
    GetPatientFileRequest,
    GetPatientHistoryRequest,
    ListAccessesRequest,
    ListEmergencyAccessesRequest,
    ListIncidentsRequest,
    ListPoliciesRequest,
    ListPractitionerRolesRequest,
);

/// The page that a request asks for.
#[derive(Debug)]
pub(crate) struct PageAsked {
    operation: Operation,
    /// The request without its token and page size.
    request: Vec<u8>,
    /// How many items at most.
    pub(crate) size: usize,
    /// Where it starts; none: it is the first.
    pub(crate) start: Option<Place>,
}

impl PageAsked {
    /// The token for the page after this one, which ended before the cursor and reflects the position;
    /// empty when it was the last. Tokens keep the position of the first page.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub(crate) fn next(
        &self,
        pages: &Pages,
        caller: &Caller,
        position: u64,
        cursor: Option<Vec<u8>>,
    ) -> Result<String, Failure> {
        let Some(cursor) = cursor else { return Ok(String::new()) };
        let position = self.start.as_ref().map_or(position, |start| start.position);
        pages.token(&self.query(caller), &Place { position, cursor })
    }

    fn query<'a>(&'a self, caller: &'a Caller) -> Query<'a> {
        Query { caller, method: self.operation.name(), request: &self.request }
    }
}

impl Place {
    /// The id that the cursor is.
    ///
    /// # Errors
    /// It is none, which only a fault of ours can seal into a token.
    pub(crate) fn id(&self) -> Result<[u8; 16], Failure> {
        let bytes = self.cursor.as_slice().try_into();
        bytes.map_err(|_| Failure::Internal { cause: "a page token without an id".to_owned() })
    }

    /// The text that the cursor is.
    ///
    /// # Errors
    /// It is none, which only a fault of ours can seal into a token.
    pub(crate) fn text(&self) -> Result<String, Failure> {
        String::from_utf8(self.cursor.clone())
            .map_err(|_| Failure::Internal { cause: "a page token without a text".to_owned() })
    }

    /// The number that the cursor is.
    ///
    /// # Errors
    /// It is none, which only a fault of ours can seal into a token.
    pub(crate) fn number(&self) -> Result<u64, Failure> {
        let bytes = self.cursor.as_slice().try_into();
        bytes
            .map(u64::from_be_bytes)
            .map_err(|_| Failure::Internal { cause: "a page token without a number".to_owned() })
    }
}

impl Pages {
    /// Seals tokens under this key.
    #[must_use]
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self { key: *key }
    }

    /// The page that a request asks for. What is wrong with its token or size is reported.
    pub(crate) fn asked(
        &self,
        caller: &Caller,
        operation: Operation,
        mut message: impl Paged,
        report: &mut Report,
    ) -> PageAsked {
        let (size, token) = message.take_page();
        let (size, request) = (page_size(size, report), message.encode_to_vec());
        let mut asked = PageAsked { operation, request, size, start: None };
        asked.start = self.open(&asked.query(caller), &token, report);
        asked
    }

    fn token(&self, query: &Query<'_>, place: &Place) -> Result<String, Failure> {
        let mut sealed = place.position.to_be_bytes().to_vec();
        sealed.extend_from_slice(&place.cursor);
        let nonce = RandomizedNonceKey::new(&AES_256_GCM, &self.key)
            .and_then(|key| key.seal_in_place_append_tag(Aad::from(bound(query)), &mut sealed))
            .map_err(|_| Failure::Internal { cause: "a page token cannot be sealed".to_owned() })?;
        let mut token = vec![VERSION];
        token.extend_from_slice(nonce.as_ref());
        token.append(&mut sealed);
        Ok(URL_SAFE_NO_PAD.encode(token))
    }

    /// Where a token says that the page starts; `None` for the first page. A token that was
    /// changed, or belongs to another caller or query, is reported.
    fn open(&self, query: &Query<'_>, token: &str, report: &mut Report) -> Option<Place> {
        if token.is_empty() {
            return None;
        }
        let place = self.place(query, token);
        if place.is_none() {
            report.fault(
                &At::TOP.field("page_token"),
                "page-token",
                "is not a token of this query and caller: start again without it",
            );
        }
        place
    }

    fn place(&self, query: &Query<'_>, token: &str) -> Option<Place> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (version, rest) = bytes.split_first_mut()?;
        let (nonce, sealed) = rest.split_first_chunk_mut::<NONCE_LEN>()?;
        if *version != VERSION {
            return None;
        }
        let key = RandomizedNonceKey::new(&AES_256_GCM, &self.key).ok()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let place = key.open_in_place(nonce, Aad::from(bound(query)), sealed).ok()?;
        let (position, cursor) = place.split_first_chunk::<8>()?;
        Some(Place { position: u64::from_be_bytes(*position), cursor: cursor.to_vec() })
    }
}

/// What a token is sealed with: every part with its length, so that no two queries read the same.
fn bound(query: &Query<'_>) -> Vec<u8> {
    let caller = query.caller;
    let person = caller.person.as_deref().unwrap_or_default();
    let request = digest(&SHA256, query.request);
    let mut bytes = b"caseledger/page/v2".to_vec();
    for part in [
        person.as_bytes(),
        caller.service.as_bytes(),
        caller.organisation.as_bytes(),
        query.method.as_bytes(),
        request.as_ref(),
    ] {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

/// Entries on a page as asked for.
fn page_size(asked: u32, report: &mut Report) -> usize {
    match usize::try_from(asked) {
        Ok(0) => DEFAULT_PAGE,
        Ok(size) if size <= MAX_PAGE => size,
        Ok(_) | Err(_) => {
            let at = At::TOP.field("page_size");
            report.fault(&at, "page-size", format!("a page has at most {MAX_PAGE} items"));
            DEFAULT_PAGE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(person: &str) -> Caller {
        Caller {
            person: Some(person.into()),
            service: "desk".into(),
            roles: Vec::new(),
            organisation: String::new(),
            network: None,
            issuer: None,
        }
    }

    fn opens(pages: &Pages, query: &Query<'_>, token: &str) -> Option<Place> {
        let mut report = Report::default();
        let place = pages.open(query, token, &mut report);
        assert_eq!(place.is_none(), !report.into_violations().is_empty());
        place
    }

    #[test]
    fn a_token_opens_for_its_caller_and_query_only() {
        let pages = Pages::new(&[1; 32]);
        let (ada, eve) = (caller("ada"), caller("eve"));
        let query = Query { caller: &ada, method: "Get", request: b"patient 1" };
        let place = Place { position: 7, cursor: vec![1, 2, 3] };
        let token = pages.token(&query, &place).unwrap();
        assert_eq!(opens(&pages, &query, &token), Some(place));
        for other in [
            Query { caller: &eve, ..query },
            Query { method: "List", ..query },
            Query { request: b"patient 2", ..query },
        ] {
            assert_eq!(opens(&pages, &other, &token), None);
        }
        assert_eq!(opens(&Pages::new(&[2; 32]), &query, &token), None);
    }

    #[test]
    fn a_list_goes_on_after_the_longest_id_of_a_person() {
        let pages = Pages::new(&[1; 32]);
        let ada = caller("ada");
        let query = Query { caller: &ada, method: "List", request: b"" };
        let cursor = vec![b'a'; domain::limits::MAX_SHORT_TEXT];
        let place = Place { position: u64::MAX, cursor };
        let token = pages.token(&query, &place).unwrap();
        assert_eq!(opens(&pages, &query, &token), Some(place));
    }

    #[test]
    fn a_token_does_not_tell_where_the_page_ended() {
        let pages = Pages::new(&[1; 32]);
        let ada = caller("ada");
        let query = Query { caller: &ada, method: "Get", request: b"" };
        let place = Place { position: 7, cursor: b"the kind and id of an entry".to_vec() };
        let token = URL_SAFE_NO_PAD.decode(pages.token(&query, &place).unwrap()).unwrap();
        assert!(!token.windows(4).any(|bytes| bytes == b"kind"));
        let again = pages.token(&query, &place).unwrap();
        assert_ne!(again, URL_SAFE_NO_PAD.encode(&token), "nor that it is the same");
    }

    #[test]
    fn a_changed_token_never_opens() {
        let pages = Pages::new(&[1; 32]);
        let ada = caller("ada");
        let query = Query { caller: &ada, method: "Get", request: b"" };
        let token = pages.token(&query, &Place { position: 0, cursor: Vec::new() }).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(opens(&pages, &query, &URL_SAFE_NO_PAD.encode(changed)), None);
        }
        for odd in ["!", "AAAA", &"A".repeat(MAX_TOKEN + 1)] {
            assert_eq!(opens(&pages, &query, odd), None);
        }
    }

    #[test]
    fn page_sizes_have_a_default_and_an_edge() {
        let mut report = Report::default();
        assert_eq!(page_size(0, &mut report), DEFAULT_PAGE);
        assert_eq!(page_size(200, &mut report), 200);
        assert!(report.into_violations().is_empty());
        let mut report = Report::default();
        page_size(201, &mut report);
        assert_eq!(report.into_violations()[0].field, "page_size");
    }
}
