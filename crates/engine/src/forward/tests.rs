use ledger::{Base, Hash};

use super::*;

#[test]
fn only_what_is_wrong_with_the_link_or_the_base_is_sealed_anew() {
    let accepted = Outcome::Accepted { first_position: 1, count: 1 };
    let base = Base { sequence: 7, stream_hash: Hash::ZERO };
    for outcome in [
        Outcome::Void(VoidReason::Stale),
        Outcome::Void(VoidReason::TimeBackwards),
        Outcome::Refused(Refusal::BadBase(base)),
    ] {
        assert_eq!(judge(&[accepted, outcome]), Verdict::Refused, "{outcome:?}");
    }
    let malformed = Outcome::Void(VoidReason::Malformed);
    assert_eq!(judge(&[malformed, Outcome::Void(VoidReason::Stale)]), Verdict::Unsound);
    assert_eq!(judge(&[accepted, Outcome::Abandoned]), Verdict::Settled);
    let retired = Outcome::Refused(Refusal::RetiredNode);
    assert_eq!(judge(&[retired]), Verdict::Open, "the spool keeps it");
}
