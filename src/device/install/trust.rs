//! Whose shelves a device takes. A signature that does not belong to the content is refused whoever is trusted.

use crate::config;
use crate::shelf::{KeyError, PublicKey, SignatureError, signer};

/// The keys that a device trusts.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    keys: Vec<PublicKey>,
    unsigned: bool,
}

impl Trust {
    /// Reads the keys that the configuration names.
    ///
    /// # Errors
    /// [`KeyError`] naming the file.
    pub fn read(install: &config::Install) -> Result<Self, KeyError> {
        let keys = install.keys.iter().map(|path| PublicKey::read(path)).collect::<Result<_, _>>()?;
        Ok(Self { keys, unsigned: install.unsigned })
    }

    /// Whether it names anybody, or takes shelves from anybody: else nothing can be installed.
    pub fn is_set(&self) -> bool {
        self.unsigned || !self.keys.is_empty()
    }

    /// Whose signature the shelf bears, where the device takes it. Without any key named, whoever wrote the configuration
    /// vouches for the shelf in it.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn admit(&self, shelf: &[u8]) -> Result<Option<PublicKey>, SignatureError> {
        let signer = signer(shelf)?;
        match &signer {
            _ if self.unsigned || self.keys.is_empty() => Ok(signer),
            None => Err(SignatureError::Unsigned),
            Some(key) if self.keys.contains(key) => Ok(signer),
            Some(key) => Err(SignatureError::Untrusted(key.fingerprint())),
        }
    }
}
