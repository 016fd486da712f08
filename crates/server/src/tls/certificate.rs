//! Which service a client certificate names.

use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::auth::MAX_NAME;

/// `id-at-commonName`.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// A client certificate that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The service: the first URI among the subject's alternative names (as SPIFFE has it), else the first
    /// DNS name among them, else the last common name of the subject.
    pub service: String,
    /// When it ends, in seconds since 1970 UTC.
    pub expires: u64,
}

impl Certificate {
    /// Reads a certificate; none if it names no service, or by a name that nobody could put on record.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let certificate = x509_cert::Certificate::from_der(der).ok()?;
        let certificate = certificate.tbs_certificate();
        let names = match certificate.get_extension::<SubjectAltName>() {
            Ok(Some((_, SubjectAltName(names)))) => names,
            Ok(None) => Vec::new(),
            Err(_) => return None,
        };
        let uri = names.iter().find_map(|name| {
            let GeneralName::UniformResourceIdentifier(uri) = name else { return None };
            Some(uri.as_str())
        });
        let dns = names.iter().find_map(|name| {
            let GeneralName::DnsName(name) = name else { return None };
            Some(name.as_str())
        });
        let common = || {
            let all = certificate.subject().iter();
            all.filter(|part| part.oid == COMMON_NAME).filter_map(text).last()
        };
        let service = uri.or(dns).or_else(common)?;
        let fits = !service.trim().is_empty()
            && service.len() <= MAX_NAME
            && !service.chars().any(char::is_control);
        let expires = certificate.validity().not_after.to_unix_duration().as_secs();
        fits.then(|| Self { service: service.to_owned(), expires })
    }
}

/// Whichever of the usual types of text it is.
fn text(part: &AttributeTypeAndValue) -> Option<&str> {
    let value = &part.value;
    let utf8 = value.decode_as::<Utf8StringRef<'_>>().map(|text| text.as_str());
    let printable = || value.decode_as::<PrintableStringRef<'_>>().map(|text| text.as_str());
    let ia5 = || value.decode_as::<Ia5StringRef<'_>>().map(|text| text.as_str());
    utf8.or_else(|_| printable()).or_else(|_| ia5()).ok()
}
