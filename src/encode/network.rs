//! Addresses: inet, cidr, macaddr and macaddr8.

use super::Value;
use super::error::{EncodeError, mismatch, quote};
use std::net::IpAddr;

/// What PostgreSQL calls the two families in binary form; not the system's own numbers.
const IPV4: u8 = 2;
const IPV6: u8 = 3;

/// The binary form of an inet, or of a cidr, which has no bits to the right of its mask.
pub(super) fn address(value: Value<'_>, cidr: bool) -> Result<Vec<u8>, EncodeError> {
    let name = if cidr { "cidr" } else { "inet" };
    let text = text_of(value, name)?;
    let wrong = || EncodeError::new(name, format!("{} is no {name}", quote(text)));
    let (address, mask) = match text.split_once('/') {
        Some((address, mask)) => (address, Some(mask)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let (family, bytes) = match address {
        IpAddr::V4(address) => (IPV4, address.octets().to_vec()),
        IpAddr::V6(address) => (IPV6, address.octets().to_vec()),
    };
    let width = bytes.len() as u8 * 8;
    let bits = match mask {
        None => width,
        Some(mask) if mask.bytes().all(|byte| byte.is_ascii_digit()) && (mask == "0" || !mask.starts_with('0')) => {
            mask.parse().ok().filter(|bits| *bits <= width).ok_or_else(wrong)?
        }
        Some(_) => return Err(wrong()),
    };
    if cidr && host_bits(&bytes, bits) {
        let detail = format!("{} has bits to the right of its mask", quote(text));
        return Err(EncodeError::new("cidr_host_bits", detail));
    }
    let mut out = vec![family, bits, u8::from(cidr), bytes.len() as u8];
    out.extend_from_slice(&bytes);
    Ok(out)
}

fn host_bits(bytes: &[u8], bits: u8) -> bool {
    bytes.iter().zip(0_u8..).any(|(byte, place)| {
        let kept = bits.saturating_sub(place * 8).min(8);
        byte & 0xff_u8.checked_shr(u32::from(kept)).unwrap_or(0) != 0
    })
}

/// The six bytes of a macaddr.
pub(super) fn mac(value: Value<'_>) -> Result<[u8; 6], EncodeError> {
    let text = text_of(value, "macaddr")?;
    let wrong = || EncodeError::new("macaddr", format!("{} is no MAC address", quote(text)));
    hexadecimal(text).and_then(|bytes| bytes.try_into().ok()).ok_or_else(wrong)
}

/// The eight bytes of a macaddr8. An address of six gets ff:fe in its middle, as PostgreSQL does it.
pub(super) fn mac8(value: Value<'_>) -> Result<[u8; 8], EncodeError> {
    let text = text_of(value, "macaddr8")?;
    match hexadecimal(text).as_deref() {
        Some([a, b, c, d, e, f]) => Ok([*a, *b, *c, 0xff, 0xfe, *d, *e, *f]),
        Some(&[a, b, c, d, e, f, g, h]) => Ok([a, b, c, d, e, f, g, h]),
        _ => Err(EncodeError::new("macaddr8", format!("{} is no EUI-64 address", quote(text)))),
    }
}

/// The bytes of pairs of hexadecimal digits, in groups of equal length between separators of one kind.
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let separator = text.chars().find(|c| matches!(c, ':' | '-' | '.'));
    let groups: Vec<&str> = match separator {
        Some(separator) => text.split(separator).collect(),
        None => vec![text],
    };
    let length = groups.first().map_or(0, |group| group.len());
    // Between points there are four digits and no others, as PostgreSQL has it.
    if length == 0
        || length % 2 == 1
        || separator == Some('.') && length != 4
        || groups.iter().any(|group| group.len() != length)
    {
        return None;
    }
    let digits = groups.concat();
    let digits: Vec<u8> = digits.chars().map(|digit| Some(digit.to_digit(16)? as u8)).collect::<Option<_>>()?;
    Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

fn text_of<'a>(value: Value<'a>, wanted: &str) -> Result<&'a str, EncodeError> {
    match value {
        Value::Text(text) => Ok(text.trim_matches(' ')),
        _ => Err(mismatch(value, wanted)),
    }
}
