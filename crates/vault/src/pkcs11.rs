//! A key-encryption key that lies in a file, sealed by a key that never leaves a PKCS#11 module.
//!
//! The module's key (AES-256, sensitive, not extractable) encrypts the key-encryption key, which is
//! opened once, when the node starts, and then held in its memory. So the module is needed at a start
//! alone, and no read waits for it.
//!
//! Against: somebody with the machine's disks or backups, who has configuration, sealed file and key
//! database, opens nothing without the module and its PIN; and who has had the PIN for a while cannot
//! take the module's key along. Not against: somebody in control of a running node, whose memory holds the
//! key-encryption key; somebody who can read the PIN's file and reach the module, who can open the
//! sealed file himself.
//!
//! Sealed file, one line: `caseledger-kek-v1 `, then in hexadecimal digits nonce (12) ‖ AES-256-GCM
//! ciphertext (32) ‖ tag (16), with the associated data `caseledger/kek/v1`.

use crate::VaultError;
use crate::key_encryption::{KEY_BYTES, Secret, blank, fill_random};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Mutex;
use zeroize::Zeroizing;

const HEADLINE: &str = "caseledger-kek-v1 ";
const LABEL: &[u8] = b"caseledger/kek/v1";
const NONCE: usize = 12;
const TAG: usize = 16;
const SEALED: usize = NONCE + KEY_BYTES + TAG;

/// A module is set up once in a process, and taken down again after each use.
static ALONE: Mutex<()> = Mutex::new(());

/// Where a key is that a PKCS#11 module opens. Written as a URI (RFC 7512) of exactly these parts:
/// `pkcs11:token=LABEL;object=LABEL?module-path=FILE&pin-source=FILE&x-sealed=FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleKey {
    /// The module, a shared library.
    pub module: PathBuf,
    /// Label of the token.
    pub token: String,
    /// Label of the AES-256 key in it.
    pub object: String,
    /// File with the user's PIN, which only its owner may read.
    pub pin: PathBuf,
    /// The file that the module's key opens.
    pub sealed: PathBuf,
}

/// A fresh key-encryption key, sealed.
#[derive(Debug)]
pub struct SealedKey {
    /// What its file is to hold.
    pub text: String,
    /// Whether the module's key was made for it, because there was none of that label.
    pub made_module_key: bool,
}

/// What can go wrong with a PKCS#11 module.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// The module failed, or refused.
    #[error("the PKCS#11 module {} could not {action}", module.display())]
    Call {
        /// Which module.
        module: PathBuf,
        /// What it was asked to do.
        action: &'static str,
        /// What it said.
        #[source]
        source: cryptoki::error::Error,
    },
    /// No token of that label, or several.
    #[error("the PKCS#11 module {} has {found} tokens labelled '{token}', one is needed", module.display())]
    Token {
        /// Which module.
        module: PathBuf,
        /// The label.
        token: String,
        /// How many it has.
        found: usize,
    },
    /// No key of that label, or several.
    #[error("the token '{token}' has {found} AES keys labelled '{object}', one is needed")]
    Key {
        /// The token's label.
        token: String,
        /// The key's label.
        object: String,
        /// How many it has.
        found: usize,
    },
    /// The key can be copied out of the module.
    #[error(
        "the key '{object}' can be taken out of its token: make one that is sensitive and not \
         extractable, and a new key-encryption key under it"
    )]
    Extractable {
        /// The key's label.
        object: String,
    },
    /// The sealed file is not one.
    #[error("{}: holds no sealed key-encryption key; `caseledgerd kek make` makes one", .0.display())]
    NotSealed(PathBuf),
    /// The module opened something that is no key.
    #[error("{}: what the module opened is no key of 32 bytes", .0.display())]
    NoKey(PathBuf),
    /// Another thread panicked while it used a module.
    #[error("a part of the vault stopped after a panic; start the program again")]
    Poisoned,
}

impl ModuleKey {
    /// Opens the sealed file.
    pub(crate) fn open(&self) -> Result<Secret, VaultError> {
        let fail = |source| VaultError::KeyFile { path: self.sealed.clone(), source };
        let text = std::fs::read_to_string(&self.sealed).map_err(fail)?;
        let not_sealed = || Box::new(ModuleError::NotSealed(self.sealed.clone()));
        let mut bytes = [0_u8; SEALED];
        text.trim_ascii_end()
            .strip_prefix(HEADLINE)
            .and_then(|digits| hex::decode_to_slice(digits, &mut bytes).ok())
            .ok_or_else(not_sealed)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>().ok_or_else(not_sealed)?;
        let plain = self.with_session(false, |session| {
            let key = self.key(session)?.ok_or_else(|| self.no_key(0))?;
            let mut nonce = *nonce;
            let parameters = self.parameters(&mut nonce)?;
            let opened = session.decrypt(&Mechanism::AesGcm(parameters), key, sealed);
            opened.map(Zeroizing::new).map_err(self.failed("open the sealed key-encryption key"))
        })?;
        let mut secret = blank();
        if plain.len() != secret.len() {
            return Err(Box::new(ModuleError::NoKey(self.sealed.clone())).into());
        }
        secret.copy_from_slice(&plain);
        Ok(secret)
    }

    /// Makes a fresh key-encryption key and seals it; nothing is written. A key in the module is made if
    /// the token has none of that label.
    ///
    /// # Errors
    /// When the module cannot be used, or its key can be taken out of it.
    pub fn seal_fresh(&self) -> Result<SealedKey, VaultError> {
        let mut secret = blank();
        fill_random(&mut secret)?;
        let mut nonce = [0_u8; NONCE];
        fill_random(&mut nonce)?;
        let (sealed, made_module_key) = self.with_session(true, |session| {
            let found = self.key(session)?;
            let key = found.map_or_else(|| self.make_key(session), Ok)?;
            // A module may put a nonce of its own in place of ours.
            let parameters = self.parameters(&mut nonce)?;
            let sealed = session.encrypt(&Mechanism::AesGcm(parameters), key, &secret);
            let sealed = sealed.map_err(self.failed("seal the key-encryption key"))?;
            Ok((sealed, found.is_none()))
        })?;
        let text = format!("{HEADLINE}{}{}\n", hex::encode(nonce), hex::encode(&sealed));
        Ok(SealedKey { text, made_module_key })
    }

    fn failed(
        &self,
        action: &'static str,
    ) -> impl FnOnce(cryptoki::error::Error) -> Box<ModuleError> {
        let module = self.module.clone();
        move |source| Box::new(ModuleError::Call { module, action, source })
    }

    fn no_key(&self, found: usize) -> Box<ModuleError> {
        let (token, object) = (self.token.clone(), self.object.clone());
        Box::new(ModuleError::Key { token, object, found })
    }

    fn parameters<'a>(&self, nonce: &'a mut [u8]) -> Result<GcmParams<'a>, Box<ModuleError>> {
        GcmParams::new(nonce, LABEL, 128.into()).map_err(self.failed("take AES-GCM's parameters"))
    }

    /// Logged in, for as long as `work` takes.
    fn with_session<T>(
        &self,
        writes: bool,
        work: impl FnOnce(&Session) -> Result<T, Box<ModuleError>>,
    ) -> Result<T, VaultError> {
        let pin = self.read_pin()?;
        let alone = ALONE.lock().map_err(|_| Box::new(ModuleError::Poisoned))?;
        let module = Pkcs11::new(&self.module).map_err(self.failed("be loaded"))?;
        module
            .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
            .map_err(self.failed("be set up"))?;
        let done = self.log_in(&module, &pin, writes).and_then(|session| work(&session));
        let closed = module.finalize().map_err(self.failed("be closed"));
        drop(alone);
        let value = done?;
        closed?;
        Ok(value)
    }

    fn read_pin(&self) -> Result<AuthPin, VaultError> {
        let bytes = crate::source::private(&self.pin)?;
        let text = std::str::from_utf8(bytes.trim_ascii_end())
            .map_err(|_| VaultError::KeyFileContent { path: self.pin.clone() })?;
        Ok(AuthPin::from(text))
    }

    fn log_in(
        &self,
        module: &Pkcs11,
        pin: &AuthPin,
        writes: bool,
    ) -> Result<Session, Box<ModuleError>> {
        let list = "list its tokens";
        let mut found = Vec::new();
        for slot in module.get_slots_with_initialized_token().map_err(self.failed(list))? {
            if module.get_token_info(slot).map_err(self.failed(list))?.label() == self.token {
                found.push(slot);
            }
        }
        let [slot] = found.as_slice() else {
            let (module, token) = (self.module.clone(), self.token.clone());
            return Err(Box::new(ModuleError::Token { module, token, found: found.len() }));
        };
        let opened =
            if writes { module.open_rw_session(*slot) } else { module.open_ro_session(*slot) };
        let session = opened.map_err(self.failed("open a session"))?;
        session
            .login(UserType::User, Some(pin))
            .map_err(self.failed("log in with the PIN of its pin-source"))?;
        Ok(session)
    }

    /// The module's key, if there is one; one that can be copied is refused.
    fn key(&self, session: &Session) -> Result<Option<ObjectHandle>, Box<ModuleError>> {
        let wanted = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Label(self.object.clone().into_bytes()),
        ];
        let keys = session.find_objects(&wanted).map_err(self.failed("find its key"))?;
        let key = match keys.as_slice() {
            [] => return Ok(None),
            [key] => *key,
            several => return Err(self.no_key(several.len())),
        };
        let asked = [AttributeType::Sensitive, AttributeType::Extractable];
        let told = session
            .get_attributes(key, &asked)
            .map_err(self.failed("say whether its key can be copied"))?;
        let safe = [Attribute::Sensitive(true), Attribute::Extractable(false)];
        if safe.iter().all(|attribute| told.contains(attribute)) {
            Ok(Some(key))
        } else {
            Err(Box::new(ModuleError::Extractable { object: self.object.clone() }))
        }
    }

    fn make_key(&self, session: &Session) -> Result<ObjectHandle, Box<ModuleError>> {
        let template = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::ValueLen(32.into()),
            Attribute::Label(self.object.clone().into_bytes()),
        ];
        session.generate_key(&Mechanism::AesKeyGen, &template).map_err(self.failed("make a key"))
    }
}

/// What stands unescaped in a value, of what RFC 7512 allows there.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b':');

impl fmt::Display for ModuleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &str| utf8_percent_encode(value, ESCAPED).to_string();
        let path = |value: &Path| text(&value.to_string_lossy());
        write!(
            f,
            "pkcs11:token={};object={}?module-path={}&pin-source={}&x-sealed={}",
            text(&self.token),
            text(&self.object),
            path(&self.module),
            path(&self.pin),
            path(&self.sealed),
        )
    }
}

impl FromStr for ModuleKey {
    type Err = VaultError;

    fn from_str(uri: &str) -> Result<Self, Self::Err> {
        let wrong = |why: String| VaultError::KeySource { given: uri.to_owned(), why };
        let rest = uri.strip_prefix("pkcs11:").unwrap_or(uri);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut parts = BTreeMap::new();
        let all = path.split(';').chain(query.split('&')).filter(|part| !part.is_empty());
        for part in all {
            let (name, value) =
                part.split_once('=').ok_or_else(|| wrong(format!("'{part}' has no value")))?;
            let value = percent_decode_str(value)
                .decode_utf8()
                .map_err(|_| wrong(format!("{name} is not UTF-8")))?;
            if parts.insert(name, value.into_owned()).is_some() {
                return Err(wrong(format!("{name} stands twice")));
            }
        }
        let mut take = |name: &str| {
            let value = parts.remove(name).filter(|value| !value.is_empty());
            value.ok_or_else(|| wrong(format!("{name} is missing")))
        };
        let (token, object) = (take("token")?, take("object")?);
        let (module, pin, sealed) = (take("module-path")?, take("pin-source")?, take("x-sealed")?);
        if let Some(name) = parts.keys().next() {
            return Err(wrong(format!(
                "{name} is not known; token, object, module-path, pin-source and x-sealed are"
            )));
        }
        let pin = pin.strip_prefix("file://").or(pin.strip_prefix("file:")).unwrap_or(&pin).into();
        Ok(Self { module: module.into(), token, object, pin, sealed: sealed.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "pkcs11:token=case%20ledger;object=kek?module-path=/usr/lib/m.so\
                        &pin-source=file:/run/pin&x-sealed=keys/kek.sealed";

    #[test]
    fn a_uri_names_module_token_key_pin_and_sealed_file() {
        let key: ModuleKey = GOOD.parse().unwrap();
        assert_eq!((key.token.as_str(), key.object.as_str()), ("case ledger", "kek"));
        assert_eq!((key.module, key.pin), ("/usr/lib/m.so".into(), "/run/pin".into()));
        assert_eq!(key.sealed, Path::new("keys/kek.sealed"));
    }

    #[test]
    fn a_uri_with_a_part_missing_twice_or_unknown_is_refused_and_the_part_named() {
        let cases = [
            ("object=kek", "object=", "object is missing"),
            ("&x-sealed=keys/kek.sealed", "", "x-sealed is missing"),
            (";object=kek", ";object=kek;object=other", "object stands twice"),
            ("?module-path", "?pin-value=1234&module-path", "pin-value is not known"),
            (";object=kek", ";object", "'object' has no value"),
            ("case%20ledger", "%ff", "token is not UTF-8"),
        ];
        for (from, to, why) in cases {
            assert!(GOOD.contains(from), "the case changes nothing: {from}");
            let error = GOOD.replacen(from, to, 1).parse::<ModuleKey>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
