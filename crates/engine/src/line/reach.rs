//! How what a node has applied stands to the stream's end, and whether that is near enough.

/// A node this near to the stream's end serves: under load none is ever exactly at it.
pub(super) const NEAR: u64 = 1_024;
/// A node that serves may be so far from the end before it stops: four times as far, so that it does
/// not stop and serve by turns under a load that it can barely keep up with. And as far as the
/// commands that may be in flight on it, had each a block of its own: what is filed through it alone
/// does not stop it.
pub(super) const ROOM: u64 = 4 * NEAR;

/// Whether a node that applied so much is too far from a stream's last message to serve. Without
/// the genesis it knows nothing, not even who the members are.
pub(crate) const fn is_behind(applied: u64, last: u64) -> bool {
    applied == 0 || applied.saturating_add(NEAR) < last
}

/// Whether a node that serves has fallen too far behind the stream's last message to go on.
pub(crate) const fn has_fallen_behind(applied: u64, last: u64) -> bool {
    applied.saturating_add(ROOM) < last
}

/// How what is applied stands to the stream's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Its views are being made, so many records of so many: nothing can be read.
    Making { done: u64, total: u64 },
    /// Just started: peers and broker have not been asked yet.
    Unheard,
    /// The stream goes on to `last`, further than near.
    Behind { last: u64 },
    /// Near the end that it last heard of. It may have grown since: a node that cannot reach the
    /// broker answers from what it has (invariant 10).
    Near,
}

/// [`Reach`], and the end kept in the database.
#[derive(Debug)]
pub(super) struct End {
    pub(super) reach: Reach,
    pub(super) kept: u64,
}

pub(super) fn how_far(applied: u64, last: u64) -> String {
    match last {
        0 => format!("{applied} messages are applied, and the stream holds more"),
        _ => format!("{applied} of {last} messages are applied"),
    }
}

pub(super) fn making(done: u64, total: u64) -> String {
    format!("its views are being made anew: {done} of {total} records")
}

/// What a node that applied so much knows at its start, of a stream that was seen to reach `kept`.
pub(super) fn unheard(applied: u64, kept: u64) -> (Reach, String) {
    if is_behind(applied, kept) {
        (Reach::Behind { last: kept }, format!("{}: starting", how_far(applied, kept)))
    } else {
        (Reach::Unheard, "starting".to_owned())
    }
}
