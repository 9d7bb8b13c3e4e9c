//! Names for encodings other than JSON text, asked only once a value has turned out not to be JSON. Nothing is decoded.

/// The name of the encoding that the bytes look like.
pub(super) fn recognise(value: &[u8]) -> Option<&'static str> {
    const MAGIC: [(&[u8], &str); 7] = [
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
        (b"\x1f\x8b", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\x00\x00\x00\x02", "igbinary"),
        (b"\x00\x00\x00\x01", "igbinary"),
        (b"\x04\x08", "ruby_marshal"),
    ];
    if let Some((_, name)) = MAGIC.iter().find(|(magic, _)| value.starts_with(magic)) {
        return Some(name);
    }
    match value {
        [0x80, 2..=5, ..] => Some("pickle"),
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] if binary(value) => Some("zlib"),
        [b'(', b'd' | b'l' | b'i' | b'c', b'p' | b'o', ..] if value.trim_ascii_end().ends_with(b".") => Some("pickle"),
        _ if php(value) => Some("php"),
        _ => None,
    }
}

/// Text that starts with `x^` is a valid zlib header: only bytes that text does not have make it one.
fn binary(value: &[u8]) -> bool {
    value.iter().take(32).any(|byte| !byte.is_ascii() || (byte.is_ascii_control() && !byte.is_ascii_whitespace()))
}

/// PHP's serialize: `a:1:{`, `s:2:"`, `O:8:"`, `i:5;`, `b:1;`, `d:0.5;`, `N;`.
fn php(value: &[u8]) -> bool {
    match value {
        b"N;" => true,
        [b'a' | b's' | b'O' | b'C' | b'E', b':', b'0'..=b'9', rest @ ..] => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            matches!(rest.get(digits..), Some([b':', b'{' | b'"', ..]))
        }
        [b'i' | b'b' | b'd', b':', b'-' | b'0'..=b'9', .., b';'] => true,
        [b'b' | b'i', b':', _, b';'] => true,
        _ => false,
    }
}
