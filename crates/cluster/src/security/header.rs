//! The `authorization` value of one call, `v1.TIME.NONCE.PROOF`, and the proof in its answer.
//!
//! TIME is decimal milliseconds since 1970, NONCE 16 random bytes and PROOF 32 bytes in lower-case
//! hexadecimal. Only its form; the guard decides what is acceptable. Invariant: one value has one
//! spelling, so a changed character is a changed value.

use std::fmt::Write;

use super::SharedKey;

/// A value of the right form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header<'a> {
    /// Everything before the proof.
    pub(super) claim: &'a str,
    /// When the caller made it.
    pub(super) time: u64,
    /// Makes two calls of one millisecond differ.
    pub(super) nonce: Nonce,
    /// Over the claim and the path.
    pub(super) proof: [u8; 32],
}

pub(super) type Nonce = [u8; 16];

/// The value for one call of `path`, made now with a fresh nonce.
pub(super) fn make(key: &SharedKey, path: &str, time: u64, nonce: Nonce) -> String {
    let mut value = format!("v1.{time}.");
    push_hex(&mut value, &nonce);
    let proof = key.sign(&value, path);
    value.push('.');
    push_hex(&mut value, &proof);
    value
}

/// The answer of a server that knows the key to a call of `path`: it saw the call's `claim`.
pub(super) fn answer(key: &SharedKey, claim: &str, path: &str) -> String {
    let mut proof = String::new();
    push_hex(&mut proof, &key.sign(claim, &answered(path)));
    proof
}

/// Whether `proof` is the answer to the call of `path` that showed `value`.
pub(super) fn is_answer(key: &SharedKey, value: &str, path: &str, proof: &[u8]) -> bool {
    let proof = std::str::from_utf8(proof).ok().and_then(from_hex);
    let claim = value.rsplit_once('.').map(|(claim, _)| claim);
    let (Some(proof), Some(claim)) = (proof, claim) else { return false };
    key.verify(claim, &answered(path), &proof)
}

/// No path has a space, so no answer can be shown as a call.
fn answered(path: &str) -> String {
    format!("{path} answered")
}

/// `None` for anything that [`make`] does not make.
pub(super) fn parse(value: &[u8]) -> Option<Header<'_>> {
    let value = std::str::from_utf8(value).ok()?;
    let (claim, proof) = value.rsplit_once('.')?;
    let (time, nonce) = claim.strip_prefix("v1.")?.split_once('.')?;
    let digits = time.bytes().all(|byte| byte.is_ascii_digit());
    let time = if digits { time.parse().ok()? } else { return None };
    Some(Header { claim, time, nonce: from_hex(nonce)?, proof: from_hex(proof)? })
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
}

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}
