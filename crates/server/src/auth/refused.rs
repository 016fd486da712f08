//! Why credentials are refused: stable codes, and what the client is told.

/// Why a call's credentials were refused. Its name is a stable code; none says anything about the
/// token's content, which is the issuer's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refused {
    /// No `authorization` header, or none of the form `Bearer …`, and no certificate of a service that
    /// may act alone.
    Missing,
    /// More than one `authorization` header: who would be believed is anybody's guess.
    Ambiguous,
    /// Not a JWT, too long, of no known algorithm (`none` included), or a claim has the wrong type, or is a
    /// name that is too long or has control characters.
    Malformed,
    /// Signed with an algorithm that no issuer may use (HMAC included), or with another than the
    /// issuer's key is for.
    Algorithm,
    /// The issuer is not configured here.
    Issuer,
    /// The issuer has no key of that name, as far as this node knows.
    Key,
    /// None of the issuer's keys is known here: it could not be reached since the node started.
    NoKeys,
    /// No key of the issuer verifies the signature.
    Signature,
    /// Past its `exp`.
    Expired,
    /// Before its `nbf`.
    NotYetValid,
    /// Meant for somebody else.
    Audience,
    /// Neither person nor service, no roles, or no `exp`.
    Claims,
    /// Taken back: the token's id or its person is on the issuer's revocation list.
    Revoked,
    /// By the issuer for emergencies, and without holder, id or `nbf`, or good for longer than is allowed.
    Emergency,
    /// By the issuer for emergencies, and that it is used cannot be written down here.
    FirstUse,
    /// Issued for another service (`azp`) than the one that the client certificate names.
    Service,
    /// The listener asks for a client certificate, and none was shown.
    CertificateMissing,
    /// A client certificate of an authority that is not accepted here, out of date, or that names no
    /// service. The first is refused with a TLS alert, so no status carries its code.
    Certificate,
    /// A peer call whose node is unknown, whose signature is wrong or whose time is off.
    Peer,
}

impl Refused {
    /// All reasons, for tests and tables.
    pub const ALL: [Self; 19] = [
        Self::Missing,
        Self::Ambiguous,
        Self::Malformed,
        Self::Algorithm,
        Self::Issuer,
        Self::Key,
        Self::NoKeys,
        Self::Signature,
        Self::Expired,
        Self::NotYetValid,
        Self::Audience,
        Self::Claims,
        Self::Revoked,
        Self::Emergency,
        Self::FirstUse,
        Self::Service,
        Self::CertificateMissing,
        Self::Certificate,
        Self::Peer,
    ];

    /// The stable code that clients get in `ErrorInfo.reason`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "CREDENTIALS_MISSING",
            Self::Ambiguous => "CREDENTIALS_AMBIGUOUS",
            Self::Malformed => "TOKEN_MALFORMED",
            Self::Algorithm => "TOKEN_ALGORITHM",
            Self::Issuer => "TOKEN_ISSUER_UNKNOWN",
            Self::Key => "TOKEN_KEY_UNKNOWN",
            Self::NoKeys => "TOKEN_ISSUER_UNREACHED",
            Self::Signature => "TOKEN_SIGNATURE",
            Self::Expired => "TOKEN_EXPIRED",
            Self::NotYetValid => "TOKEN_NOT_YET_VALID",
            Self::Audience => "TOKEN_AUDIENCE",
            Self::Claims => "TOKEN_CLAIMS",
            Self::Revoked => "TOKEN_REVOKED",
            Self::Emergency => "TOKEN_EMERGENCY_CLAIMS",
            Self::FirstUse => "TOKEN_USE_NOT_RECORDED",
            Self::Service => "TOKEN_SERVICE_MISMATCH",
            Self::CertificateMissing => "CERTIFICATE_MISSING",
            Self::Certificate => "CERTIFICATE_REFUSED",
            Self::Peer => "PEER_CREDENTIALS",
        }
    }

    /// What the client is told.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Missing => {
                "no bearer token: send the header `authorization: Bearer <token>` with every call"
            }
            Self::Ambiguous => "several authorization headers: send one",
            Self::Malformed => "the bearer token is not a well-formed JWT",
            Self::Algorithm => {
                "the bearer token must be signed with EdDSA (Ed25519), ES256, RS256 or PS256, whichever \
                 its issuer's key is for"
            }
            Self::Issuer => "the bearer token's issuer (iss) is not one that this node trusts",
            Self::Key => {
                "the bearer token's key (kid) is not known here; if the issuer has just changed its \
                 keys, try again in some seconds"
            }
            Self::NoKeys => {
                "this node has none of the keys of the bearer token's issuer, which could not be reached \
                 since the node started; it is tried again every half minute. What cannot wait takes an \
                 emergency credential"
            }
            Self::Signature => "the bearer token's signature does not verify",
            Self::Expired => "the bearer token has expired: get a new one",
            Self::NotYetValid => "the bearer token is not valid yet (nbf)",
            Self::Audience => "the bearer token is meant for another audience (aud)",
            Self::Claims => {
                "the bearer token must carry exp, roles, and sub (person) or azp (service)"
            }
            Self::Revoked => "the bearer token, or its person's access, was taken back",
            Self::Emergency => {
                "an emergency credential must name its holder (sub), have an id (jti, up to 64 letters, \
                 digits, `-`, `_`, `.`) and nbf, and be good for no longer than this node is configured for"
            }
            Self::FirstUse => {
                "this node cannot write down that the emergency credential is used, so it is not accepted \
                 here: try another node"
            }
            Self::Service => {
                "the bearer token was issued for another service (azp) than the client certificate names"
            }
            Self::CertificateMissing => "this node asks for a client certificate: show one",
            Self::Certificate => {
                "the client certificate is out of date, or names no service by URI, DNS name or common \
                 name"
            }
            Self::Peer => "the call is not signed by a node that belongs to this ledger",
        }
    }
}
