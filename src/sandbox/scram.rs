//! Passwords as PostgreSQL keeps them (SCRAM-SHA-256), made with one round of hashing.
//!
//! The server's own 4096 rounds make guessing slow. The passwords here are 128 random bits, which nobody guesses, and the
//! rounds would be computed anew for every connection: most of what a short session costs its client.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::digest::InvalidLength;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// What `CREATE ROLE … PASSWORD` takes in the place of a password.
///
/// # Errors
/// None: HMAC takes keys of any length.
pub(super) fn verifier(password: &str, salt: &[u8]) -> Result<String, InvalidLength> {
    let salted = hmac(password.as_bytes(), &[salt, &1_u32.to_be_bytes()].concat())?;
    let stored = Sha256::digest(hmac(&salted, b"Client Key")?);
    let server = hmac(&salted, b"Server Key")?;
    let [salt, stored, server] = [salt, stored.as_slice(), &server].map(|bytes| BASE64_STANDARD.encode(bytes));
    Ok(format!("SCRAM-SHA-256$1:{salt}${stored}:{server}"))
}

fn hmac(key: &[u8], message: &[u8]) -> Result<[u8; 32], InvalidLength> {
    Ok(Hmac::<Sha256>::new_from_slice(key)?.chain_update(message).finalize().into_bytes().into())
}
