//! Emergency credentials (45 CFR 164.312(a)(2)(ii)): tokens that were sealed long before, for when the
//! issuers of the others are away.
//!
//! Such a token is one person's, has an id, and ends some hours after this node first saw it: what was
//! opened does not stay open, and what nobody opened stays good until its `exp`. The first use is on disk
//! before anybody is let in, in a file of the data directory:
//!
//! ```json
//! {"<jti>": {"first_used": <seconds since 1970 UTC>, "expires": <its exp>}}
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use engine::Role;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{Refused, Revoked};

/// What an emergency credential may grant: to care for patients. Whoever has the key that seals them could
/// else govern policies, judge emergencies or run the nodes in as many names as are needed.
pub(crate) const GRANTED: [Role; 4] =
    [Role::CaseManager, Role::Physician, Role::Nurse, Role::Registrar];

/// Longest id of an emergency credential: it stands in an alarm, and on an envelope.
const MAX_ID: usize = 64;

/// What an issuer of emergency credentials may issue, and which of them were used here.
#[derive(Debug)]
pub struct Emergency {
    /// How long one is good from its first use at this node, in seconds.
    usable: u64,
    /// How long one may lie sealed, from its `nbf` to its `exp`, in seconds.
    sealed: u64,
    file: PathBuf,
    used: Mutex<Used>,
    changed: watch::Sender<()>,
}

type Used = BTreeMap<String, Use>;

/// When a credential was first used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Use {
    /// Seconds since 1970 UTC.
    pub(super) first_used: u64,
    /// When it would have ended unused, likewise.
    expires: u64,
}

/// What the token of an emergency says of itself.
#[derive(Debug)]
pub(super) struct Sealed<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) person: Option<&'a str>,
    pub(super) sealed_at: Option<u64>,
    pub(super) expires: u64,
}

/// The file of first uses is not one.
#[derive(Debug, thiserror::Error)]
pub enum BadUses {
    /// It could not be read.
    #[error("{}: cannot be read", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something else is in it.
    #[error(
        "{}: does not say which emergency credentials were used; if it cannot be restored, take back \
         all that were ever opened and remove it", file.display()
    )]
    Malformed {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl Emergency {
    /// With what was used before, as this file says; none has been while there is no such file. `usable`
    /// and `sealed` are seconds.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn load(file: PathBuf, usable: u64, sealed: u64) -> Result<Self, BadUses> {
        let used = match fs::read(&file) {
            Ok(json) => serde_json::from_slice(&json)
                .map_err(|source| BadUses::Malformed { file: file.clone(), source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Used::new(),
            Err(source) => return Err(BadUses::Unreadable { file, source }),
        };
        let changed = watch::Sender::new(());
        Ok(Self { usable, sealed, file, used: Mutex::new(used), changed })
    }

    /// When this token ends, which is used now, perhaps for the first time.
    ///
    /// # Errors
    /// It is none of an emergency, has ended, or its use cannot be written down.
    pub(super) fn ends(&self, token: &Sealed<'_>, now: u64) -> Result<u64, Refused> {
        let (Some(id), Some(_), Some(sealed_at)) = (token.id, token.person, token.sealed_at) else {
            return Err(Refused::Emergency);
        };
        if !is_id(id) || token.expires.saturating_sub(sealed_at) > self.sealed {
            return Err(Refused::Emergency);
        }
        let use_of_it = self.used_now(id, Use { first_used: now, expires: token.expires })?;
        let ends = token.expires.min(use_of_it.first_used.saturating_add(self.usable));
        if now < ends { Ok(ends) } else { Err(Refused::Expired) }
    }

    /// The first use of this credential: `this` one, if there was none before.
    fn used_now(&self, id: &str, this: Use) -> Result<Use, Refused> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = used.get(id) {
            return Ok(*before);
        }
        let mut with_it = used.clone();
        with_it.insert(id.to_owned(), this);
        replace(&self.file, &with_it).map_err(|error| {
            tracing::error!(
                %error, file = %self.file.display(),
                "the first use of an emergency credential cannot be written down, so it is refused"
            );
            Refused::FirstUse
        })?;
        *used = with_it;
        self.changed.send_replace(());
        Ok(this)
    }

    /// Those that were used here and are not taken back.
    pub(super) fn open(&self, revoked: &Revoked) -> Vec<(String, Use)> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let open = used.iter().filter(|(id, _)| !revoked.holds(Some(id), None));
        open.map(|(id, one)| (id.clone(), *one)).collect()
    }

    /// Told when one is used for the first time.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// When one ends that was first used then, seconds since 1970 UTC.
    pub(super) fn end_of(&self, one: &Use) -> u64 {
        one.expires.min(one.first_used.saturating_add(self.usable))
    }
}

/// It is shown to people, and they type it.
fn is_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(plain)
}

/// Whoever is killed meanwhile leaves what was there before.
fn replace(file: &Path, used: &Used) -> io::Result<()> {
    let new = file.with_added_extension("new");
    let mut opened = File::create(&new)?;
    opened.write_all(&serde_json::to_vec_pretty(used)?)?;
    opened.sync_all()?;
    fs::rename(&new, file)?;
    crate::keys::sync_parent(file)
}
