//! The verdict on control records: who may write, by which rules, and which keys are gone.

use ed25519_dalek::VerifyingKey;

use super::judge::{Draft, Judge, Stop};
use super::lookup::Lookup;
use super::state::{Authority, Member};
use super::verdict::VoidReason;
use crate::control::{
    CONTROL_ENVELOPE, Control, Genesis, MAX_ADMINISTRATORS, NodeKeys, is_valid_name,
};
use crate::header::LeafType;
use crate::id::{Hash, KeyId, LedgerId, NodeId};

/// What an accepted contribution changes beside its chains.
#[derive(Debug)]
pub(super) enum Effect {
    None,
    Authority(Authority),
    Founded(Authority, String),
    Destroyed(KeyId),
}

impl<L: Lookup> Judge<'_, L> {
    /// A control record stands alone in its contribution, so that no half of one can matter; only
    /// block 1 has two, genesis and first admission.
    pub(super) fn authorise(&self, drafts: &[Draft<'_>]) -> Result<Effect, Stop<L::Error>> {
        match drafts {
            drafts if drafts.iter().all(|draft| draft.header.leaf == LeafType::Record) => {
                Ok(Effect::None)
            }
            [one] => match (understand(one)?, self.state.sequence) {
                (Control::Genesis(_), _) | (_, 0) => Err(VoidReason::NotAuthorised.into()),
                (control, _) => self.permit(&control),
            },
            [genesis, admission] if self.state.sequence == 0 => {
                Ok(self.found(&understand(genesis)?, &understand(admission)?)?)
            }
            _ => Err(VoidReason::Malformed.into()),
        }
    }

    fn permit(&self, control: &Control) -> Result<Effect, Stop<L::Error>> {
        let after = self.authority.after(&self.state.genesis, control);
        let after = after.ok_or(VoidReason::NotAuthorised)?;
        if let Control::KeyDestroyed { key, .. } = control {
            if self.is_destroyed(*key)? {
                return Err(VoidReason::KeyDestroyed.into());
            }
            return Ok(Effect::Destroyed(*key));
        }
        Ok(Effect::Authority(after))
    }

    fn found(&self, genesis: &Control, admission: &Control) -> Result<Effect, VoidReason> {
        let (Control::Genesis(genesis), Control::NodeAdmitted { .. }) = (genesis, admission) else {
            return Err(VoidReason::NotAuthorised);
        };
        let empty = Authority::founded(genesis, self.state.ledger).ok_or(VoidReason::Malformed)?;
        let admitted = empty.after(&self.state.genesis, admission);
        Ok(Effect::Founded(admitted.ok_or(VoidReason::NotAuthorised)?, genesis.name.clone()))
    }
}

impl Authority {
    /// As a genesis says, before it admits its first node; none when it can found nothing in this
    /// ledger.
    pub(crate) fn founded(genesis: &Genesis, ledger: LedgerId) -> Option<Self> {
        is_sound(genesis, ledger).then(|| Self {
            administrators: genesis.administrators.clone(),
            threshold: genesis.threshold,
            rules: genesis.rules,
            members: std::collections::BTreeMap::new(),
        })
    }

    /// After a control record, in the ledger of this genesis; none when too few administrators have
    /// signed it, or it is not possible now.
    pub(crate) fn after(&self, genesis: &Hash, control: &Control) -> Option<Self> {
        if !control.is_signed_by(genesis, &self.administrators, self.threshold) {
            return None;
        }
        match control {
            Control::Genesis(_) => None,
            Control::NodeAdmitted { node, keys, .. } => admit(self, *node, *keys),
            Control::NodeRetired { node, .. } => retire(self, *node),
            Control::RulesRaised { rules, .. } => {
                (*rules > self.rules).then(|| Self { rules: *rules, ..self.clone() })
            }
            Control::KeyDestroyed { .. } => Some(self.clone()),
        }
    }
}

fn understand(draft: &Draft<'_>) -> Result<Control, VoidReason> {
    let header = &draft.header;
    if header.leaf != LeafType::Control || header.envelope_version != CONTROL_ENVELOPE {
        return Err(VoidReason::Malformed);
    }
    Control::decode(draft.body).map_err(|_| VoidReason::Malformed)
}

/// Whether a genesis can found anything: its administrators exist and can reach the threshold.
pub(crate) fn is_sound(genesis: &Genesis, ledger: LedgerId) -> bool {
    let keys = &genesis.administrators;
    genesis.ledger == ledger
        && genesis.rules > 0
        && is_valid_name(&genesis.name)
        && genesis.threshold > 0
        && usize::from(genesis.threshold) <= keys.len()
        && keys.len() <= MAX_ADMINISTRATORS
        && keys
            .iter()
            .enumerate()
            .all(|(place, key)| is_key(key) && !keys.iter().take(place).any(|other| other == key))
}

/// A new id with three new keys. What was ever used, by a retired node too, admits nobody.
fn admit(authority: &Authority, node: NodeId, keys: NodeKeys) -> Option<Authority> {
    let is_new = |key: &[u8; 32]| {
        is_key(key)
            && !authority.administrators.contains(key)
            && !authority.members.values().any(|member| member.keys.all().contains(&key))
    };
    let distinct = |place: usize, key| !keys.all().iter().take(place).any(|other| *other == key);
    let allowed = node != NodeId::ZERO
        && !authority.members.contains_key(&node)
        && keys
            .all()
            .into_iter()
            .enumerate()
            .all(|(place, key)| distinct(place, key) && is_new(key));
    allowed.then(|| {
        let mut changed = authority.clone();
        changed.members.insert(node, Member { keys, retired: false });
        changed
    })
}

/// The last node cannot be retired: nobody could admit another.
fn retire(authority: &Authority, node: NodeId) -> Option<Authority> {
    if authority.active_count() < 2 {
        return None;
    }
    let mut changed = authority.clone();
    let member = changed.members.get_mut(&node).filter(|member| !member.retired)?;
    member.retired = true;
    Some(changed)
}

/// A point of the curve, and not one of the few under which one signature fits many messages.
fn is_key(bytes: &[u8; 32]) -> bool {
    VerifyingKey::from_bytes(bytes).is_ok_and(|key| !key.is_weak())
}
