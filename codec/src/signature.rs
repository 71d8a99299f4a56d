//! Ed25519: the server signs frames and heads, every peer verifies before it delivers or relays.

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::ChannelName;

/// Length of a signature in bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// A signature.
pub type Signature = [u8; SIGNATURE_BYTES];

/// The server's public key.
pub type PublicKey = [u8; 32];

/// Makes signatures. The real one is [`SigningKey`]; simulations may inject a cheaper one.
pub trait Signer: Send {
    /// Signs `message`.
    fn sign(&self, message: &[u8]) -> Signature;
    /// The key that verifies it.
    fn public_key(&self) -> PublicKey;
}

/// Checks signatures. The real one is [`Ed25519`]; simulations may inject a cheaper one.
pub trait Verifier: Send {
    /// Whether `signature` is `key`'s over `message`.
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool;
}

/// An Ed25519 private key.
#[derive(Debug)]
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// The key that belongs to a secret seed of 32 random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are an Ed25519 seed"))
    }
}

impl Signer for SigningKey {
    fn sign(&self, message: &[u8]) -> Signature {
        self.0.sign(message).as_ref().try_into().expect("Ed25519 signatures have 64 bytes")
    }

    fn public_key(&self) -> PublicKey {
        self.0.public_key().as_ref().try_into().expect("Ed25519 public keys have 32 bytes")
    }
}

/// Ed25519 verification.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ed25519;

impl Verifier for Ed25519 {
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
    }
}

/// What a signature covers: a context string, the channel's name, and the item's bytes before the signature.
pub(crate) fn signed_message(context: &str, channel: &ChannelName, signed: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(context.len() + channel.as_str().len() + 2 + signed.len());
    for part in [context, channel.as_str()] {
        message.extend_from_slice(part.as_bytes());
        message.push(b'\n');
    }
    message.extend_from_slice(signed);
    message
}
