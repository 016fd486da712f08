//! One note out of what several nodes signed of the same checkpoint.
//!
//! Each node signs twice: as the log (type 0x01, key name = origin, its checkpoint key), which any
//! verifier of C2SP checkpoints asks for, and as a cosigner (type 0x04, its cosigner key), which a
//! verifier's policy counts. The gathered note has the log's signatures first.

use std::collections::BTreeMap;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::control::NodeKeys;
use crate::id::NodeId;
use crate::note::{KeyType, SignedNote, Vkey, VkeyError};
use crate::rules::Authority;

/// The key of a node's signature as the log `origin`.
///
/// # Errors
/// When the key is no Ed25519 key, which no admitted node's is.
pub fn log_vkey(origin: &str, keys: &NodeKeys) -> Result<Vkey, VkeyError> {
    Vkey::new(origin, KeyType::Signature, keys.checkpoint)
}

/// The name under which a node cosigns: the ledger's name and the node's id.
#[must_use]
pub fn cosigner_name(ledger_name: &str, node: NodeId) -> String {
    format!("{ledger_name}/node/{node}")
}

/// The key of a node's cosignature.
///
/// # Errors
/// When the key is no Ed25519 key, which no admitted node's is.
pub fn cosigner_vkey(ledger_name: &str, node: NodeId, keys: &NodeKeys) -> Result<Vkey, VkeyError> {
    Vkey::new(&cosigner_name(ledger_name, node), KeyType::Cosignature, keys.cosigner)
}

/// What nodes signed of one checkpoint.
#[derive(Clone, Debug)]
pub struct Cosigned {
    checkpoint: Checkpoint,
    text: String,
    /// Each good signer: when it cosigned (seconds since 1970 UTC), and its note.
    signers: BTreeMap<NodeId, (u64, SignedNote)>,
}

impl Cosigned {
    /// Nobody's signature yet.
    #[must_use]
    pub fn new(checkpoint: Checkpoint) -> Self {
        let text = checkpoint.to_string();
        Self { checkpoint, text, signers: BTreeMap::new() }
    }

    /// Takes in what a member signed, retired since or not. False when it is of another text, or is
    /// not signed with both of the node's keys.
    pub fn add(
        &mut self,
        ledger_name: &str,
        node: NodeId,
        keys: &NodeKeys,
        note: &SignedNote,
    ) -> bool {
        if note.text() != self.text {
            return false;
        }
        let Ok(log) = log_vkey(&self.checkpoint.origin, keys) else { return false };
        let Ok(cosigner) = cosigner_vkey(ledger_name, node, keys) else { return false };
        let known = [log, cosigner];
        let Ok(verified) = note.verify(&known) else { return false };
        let time = |kind| verified.iter().find(|one| one.key.kind() == kind).map(|one| one.time);
        let (Some(_), Some(cosigned_at)) = (time(KeyType::Signature), time(KeyType::Cosignature))
        else {
            return false;
        };
        let mut own = note.clone();
        own.signatures.retain(|line| known.iter().any(|key| key.claims(line)));
        own.signatures.sort_by_key(|line| line.name != self.checkpoint.origin);
        own.signatures.dedup_by_key(|line| line.key_id);
        self.signers.insert(node, (cosigned_at, own));
        true
    }

    /// The checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// When a node cosigned, seconds since 1970 UTC.
    #[must_use]
    pub fn cosigned_at(&self, node: NodeId) -> Option<u64> {
        self.signers.get(&node).map(|(at, _)| *at)
    }

    /// Whether a majority of the members that are not retired has signed.
    #[must_use]
    pub fn has_majority(&self, authority: &Authority) -> bool {
        let signed = self.signers.keys().filter(|node| authority.active(**node).is_some()).count();
        2 * signed > authority.active_count()
    }

    /// One note with all signatures.
    ///
    /// # Errors
    /// When the checkpoint's origin cannot stand in a note.
    pub fn note(&self) -> Result<SignedNote, CheckpointError> {
        let mut note = self.checkpoint.to_note()?;
        // Each signer's two lines: the log's first, then the cosignature.
        for place in 0..2 {
            let lines = self.signers.values().filter_map(|(_, own)| own.signatures.get(place));
            note.signatures.extend(lines.cloned());
        }
        Ok(note)
    }
}

/// Signs a checkpoint as the log and as a cosigner, as of `time`, seconds since 1970 UTC.
///
/// # Errors
/// When the checkpoint's origin cannot stand in a note.
pub fn sign(
    checkpoint: &Checkpoint,
    as_log: &ed25519_dalek::SigningKey,
    cosigner: (&str, &ed25519_dalek::SigningKey),
    time: u64,
) -> Result<SignedNote, CheckpointError> {
    let mut note = checkpoint.to_note()?;
    note.sign(&checkpoint.origin, as_log);
    note.cosign(cosigner.0, cosigner.1, time);
    Ok(note)
}

/// What a verifier needs of a ledger as of now, as a C2SP tlog-policy: its nodes as logs and as
/// witnesses, and a majority of them as the quorum.
///
/// # Errors
/// When a key is no Ed25519 key, which no admitted node's is.
pub fn policy(origin: &str, ledger_name: &str, authority: &Authority) -> Result<String, VkeyError> {
    let (mut logs, mut witnesses, mut names) = (String::new(), String::new(), String::new());
    for (node, member) in authority.members.iter().filter(|(_, member)| !member.retired) {
        logs.push_str(&format!("log {}\n", log_vkey(origin, &member.keys)?));
        let cosigner = cosigner_vkey(ledger_name, *node, &member.keys)?;
        witnesses.push_str(&format!("witness {node} {cosigner}\n"));
        names.push_str(&format!(" {node}"));
    }
    let majority = authority.active_count() / 2 + 1;
    Ok(format!("{logs}\n{witnesses}\ngroup nodes {majority}{names}\nquorum nodes\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningKey;
    use crate::id::Hash;
    use crate::rules::Member;
    use crate::testing::{key, node_keys, public};

    const NAME: &str = "ledger.hospital.example";

    fn checkpoint(root: u8) -> Checkpoint {
        let origin = format!("{NAME}/records.0.0/{}", Hash([9; 32]));
        Checkpoint { origin, size: 7, root: Hash([root; 32]) }
    }

    /// Node `n` has the keys of seeds n, 100 + n and 150 + n.
    fn signed(node: u8, checkpoint: &Checkpoint, time: u64) -> SignedNote {
        let name = cosigner_name(NAME, NodeId([node; 16]));
        sign(checkpoint, &key(100 + node), (&name, &key(150 + node)), time).unwrap()
    }

    fn authority(nodes: u8) -> Authority {
        let member = |n| (NodeId([n; 16]), Member { keys: node_keys(n, 100 + n), retired: false });
        Authority { members: (1..=nodes).map(member).collect(), ..Authority::default() }
    }

    #[test]
    fn a_majority_of_the_members_makes_a_note_that_counts_them() {
        let (checkpoint, members) = (checkpoint(1), authority(3));
        let mut gathered = Cosigned::new(checkpoint.clone());
        for (node, majority) in [(1, false), (3, true)] {
            let note = signed(node, &checkpoint, 1_790_000_000 + u64::from(node));
            let id = NodeId([node; 16]);
            assert!(gathered.add(NAME, id, &members.members[&id].keys, &note));
            assert_eq!(gathered.has_majority(&members), majority);
        }
        assert_eq!(gathered.cosigned_at(NodeId([3; 16])), Some(1_790_000_003));
        let note: SignedNote = gathered.note().unwrap().to_string().parse().unwrap();
        let keys: Vec<Vkey> = members
            .members
            .iter()
            .map(|(node, member)| cosigner_vkey(NAME, *node, &member.keys).unwrap())
            .collect();
        let (opened, verified) = Checkpoint::open(&note, &checkpoint.origin, &keys).unwrap();
        assert_eq!((opened, verified.len()), (checkpoint.clone(), 2));
        let log = [log_vkey(&checkpoint.origin, &members.members[&NodeId([1; 16])].keys).unwrap()];
        assert_eq!(Checkpoint::open(&note, &checkpoint.origin, &log).unwrap().1.len(), 1);
    }

    #[test]
    fn the_policy_names_the_nodes_and_a_majority_of_them() {
        let mut members = authority(4);
        members.members.get_mut(&NodeId([2; 16])).unwrap().retired = true;
        let origin = checkpoint(1).origin;
        let policy = policy(&origin, NAME, &members).unwrap();
        let lines: Vec<&str> = policy.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.len(), 3 + 3 + 2);
        let key: Vkey = lines[0].strip_prefix("log ").unwrap().parse().unwrap();
        assert_eq!((key.name(), key.public_key()), (origin.as_str(), &public(101)));
        let witness = lines[3].rsplit_once(' ').unwrap().1.parse::<Vkey>().unwrap();
        assert_eq!((witness.kind(), witness.public_key()), (KeyType::Cosignature, &public(151)));
        let ids = [1, 3, 4].map(|node| NodeId([node; 16]).to_string()).join(" ");
        assert_eq!(lines[6..], [format!("group nodes 2 {ids}"), "quorum nodes".to_owned()]);
    }

    #[test]
    fn what_is_of_another_text_or_of_other_keys_does_not_count() {
        let (right, members) = (checkpoint(1), authority(2));
        let (one, two) = (NodeId([1; 16]), NodeId([2; 16]));
        let mut gathered = Cosigned::new(right.clone());
        let mut add =
            |node, note: &SignedNote| gathered.add(NAME, node, &members.members[&node].keys, note);
        assert!(!add(one, &signed(1, &checkpoint(2), 5)), "another root");
        assert!(!add(two, &signed(1, &right, 5)), "in another node's name");
        let mut half = right.to_note().unwrap();
        half.sign(&right.origin, &key(101));
        assert!(!add(one, &half), "as the log alone");
        let mut broken = signed(1, &right, 5);
        broken.signatures[1].signature[8] ^= 1;
        assert!(!add(one, &broken), "a signature that does not hold");
        let stranger = SigningKey::from_bytes(&[77; 32]);
        let mut more = signed(1, &right, 5);
        more.sign("stranger.example", &stranger);
        assert!(add(one, &more), "a stranger's line is no matter");
        assert_eq!(gathered.note().unwrap().signatures.len(), 2, "and is not handed on");
        assert!(!gathered.has_majority(&members), "one of two is none");
    }
}
