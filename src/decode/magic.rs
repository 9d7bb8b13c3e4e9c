//! Names for encodings other than JSON text, asked only once a value has turned out not to be JSON. Nothing is decoded.

use super::chain::is_text;

/// The name of the encoding that the bytes look like, and the step of a chain that reads it, if there is one.
pub(super) fn recognise(value: &[u8]) -> Option<(&'static str, Option<&'static str>)> {
    const MAGIC: [(&[u8], &str, Option<&str>); 14] = [
        (b"\xff\xfe", "utf-16", None),
        (b"\xfe\xff", "utf-16", None),
        (b"\x1f\x8b", "gzip", Some("gzip?")),
        (b"\x28\xb5\x2f\xfd", "zstd", Some("zstd?")),
        (b"\x04\x22\x4d\x18", "lz4", Some("lz4?")),
        (b"\xff\x06\x00\x00sNaPpY", "snappy", Some("snappy?")),
        (b"\xfd7zXZ\x00", "xz", None),
        (b"\xac\xed\x00\x05", "java", None),
        (b"\x00\x01\x00\x00\x00\xff\xff\xff\xff", "dotnet_binary", None),
        (b"\x00\x00\x00\x02", "igbinary", None),
        (b"\x00\x00\x00\x01", "igbinary", None),
        (b"\x04\x08", "ruby_marshal", None),
        (b"{\x00", "utf-16", None),
        (b"\x00{", "utf-16", None),
    ];
    if let Some((_, name, step)) = MAGIC.iter().find(|(magic, ..)| value.starts_with(magic)) {
        return Some((name, *step));
    }
    match value {
        [0x80, 2..=5, ..] => Some(("pickle", None)),
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] if !is_text(value) => Some(("zlib", Some("zlib?"))),
        [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', ..] => Some(("bzip2", None)),
        _ if text_pickle(value) => Some(("pickle", None)),
        [b'O' | b'C' | b'E', ..] if php(value) => Some(("php", None)),
        _ if php(value) => Some(("php", Some("php"))),
        _ => None,
    }
}

/// Pickle's protocols 0 and 1: an opcode of a first value, with what must follow it, and the full stop at the end.
/// A sentence can begin and end so too: what follows is looked at as well.
fn text_pickle(value: &[u8]) -> bool {
    const MODULES: [&[u8]; 4] = [b"copy_reg\n", b"copyreg\n", b"__builtin__\n", b"__main__\n"];
    let Some(body) = value.trim_ascii_end().strip_suffix(b".") else { return false };
    let numeric = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'L');
    match body {
        [b'(', b'd' | b'l', b'p', b'0'..=b'9', ..] | [b'}' | b']' | b')', b'q', ..] => true,
        [b'S', b'\'' | b'"', ..] | [b'V', ..] => memchr::memmem::find(body, b"\np").is_some() && body.ends_with(b"\n"),
        [b'I' | b'L' | b'F', number @ .., b'\n'] => !number.is_empty() && number.iter().all(numeric),
        [b'c', rest @ ..] | [b'(', b'i', rest @ ..] => MODULES.iter().any(|module| rest.starts_with(module)),
        _ => false,
    }
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
