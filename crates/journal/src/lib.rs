//! The journal: ordered, replicated, durable messages on NATS JetStream.
//!
//! It publishes opaque blocks to one stream a ledger and follows them by sequence, refuses a broker
//! or a stream that is set up weaker than required, and keeps the bucket of wrapped keys. Its
//! promises: an outcome that is not known is never called a failure ([`PublishFailure`]), and a
//! follower is handed every sequence or an error, never silence ([`FollowError`]).
//!
//! It is deliberately not a ledger: it knows neither blocks nor signatures nor verdicts, keeps no
//! state between starts, and repairs nothing. JetStream's de-duplication, per-subject expectations
//! and acknowledged consumers are not used, since apply decides (a block published twice does no
//! harm). `engine` builds on it: its writer publishes, its follower applies, its healer rebuilds.

mod api;
mod bucket;
mod connection;
mod follow;
mod publish;
mod pull;
mod requirement;
mod servers;
mod source;
mod stream;

pub use bucket::{BucketFailure, KeyBucket, KeyChange, KeyEntry};
pub use connection::{ConnectError, ConnectionState, Credentials, Journal};
pub use follow::{FollowError, Message};
pub use publish::{ACK_TIMEOUT, ExpectingFailure, PublishFailure};
pub use requirement::{ConfigDifference, Difference};
pub use servers::{OLDEST_SERVER, ServerCheckError};
pub use stream::{
    CreateError, InspectError, LedgerStream, MAX_MESSAGE_BYTES, StreamFacts, StreamSpec,
    Unavailable,
};
