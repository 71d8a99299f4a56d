//! Signatures that cost next to nothing.

use tiercast_codec::{PublicKey, Signature, Signer, Verifier};

/// Signs by a checksum: fast, and any changed bit still shows.
pub struct FakeSigner(pub u8);

/// Verifies what [`FakeSigner`] signs.
pub struct FakeVerifier;

impl Signer for FakeSigner {
    fn sign(&self, message: &[u8]) -> Signature {
        // FNV-1a
        let hash = message.iter().chain([&self.0]).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut signature = [0; 64];
        signature[..8].copy_from_slice(&hash.to_be_bytes());
        signature
    }

    fn public_key(&self) -> PublicKey {
        [self.0; 32]
    }
}

impl Verifier for FakeVerifier {
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        FakeSigner(key[0]).sign(message) == *signature
    }
}
