//! The steps that unpack values: compressed streams and blocks, base64, hexadecimal digits.
//!
//! The first line of an input is `pack STEP`, and the rest is packed by others and unpacked by the product; or it is a
//! chain such as `gzip?,base64`, and the rest is given to it.

use super::lines;
use redis2pg::decode::{Chain, Content, DecodeError, Decoder, Policies};
use std::io::Read as _;

/// The step that reads what another library writes.
pub(crate) type Packer = (&'static str, fn(&[u8]) -> Vec<u8>);

/// What else reads the bytes of a step.
pub(crate) struct Reader {
    pub(crate) step: &'static str,
    /// `None` where they are damaged, or more than so many bytes.
    pub(crate) read: fn(&[u8], usize) -> Option<Vec<u8>>,
    /// Whether it is as strict as the product: what it reads is whole, and nothing follows it.
    pub(crate) strict: bool,
}

/// Writers in Rust. The fuzz targets have others beside them, of C libraries.
pub(crate) const PACKERS: [Packer; 12] = [
    ("gzip", |plain| written(flate2::write::GzEncoder::new(Vec::new(), level(plain)), plain).finish().unwrap()),
    ("zlib", |plain| written(flate2::write::ZlibEncoder::new(Vec::new(), level(plain)), plain).finish().unwrap()),
    ("deflate", |plain| written(flate2::write::DeflateEncoder::new(Vec::new(), level(plain)), plain).finish().unwrap()),
    ("zstd", |plain| ruzstd::encoding::compress_to_vec(plain, ruzstd::encoding::CompressionLevel::Fastest)),
    ("lz4", |plain| written(lz4_flex::frame::FrameEncoder::new(Vec::new()), plain).finish().unwrap()),
    ("snappy", |plain| written(snap::write::FrameEncoder::new(Vec::new()), plain).into_inner().unwrap()),
    ("lz4_block", lz4_flex::block::compress_prepend_size),
    ("snappy_block", |plain| snap::raw::Encoder::new().compress_vec(plain).unwrap()),
    ("lzf", |plain| lzf::compress(plain).unwrap_or_else(|_| lzf_literals(plain))),
    ("base64", |plain| base64_of(plain, &base64::engine::general_purpose::STANDARD)),
    ("base64url", |plain| base64_of(plain, &base64::engine::general_purpose::URL_SAFE_NO_PAD)),
    ("hex", |plain| plain.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()),
];

/// A reader in Rust, by the side of which the fuzz targets have others.
const READERS: [Reader; 1] = [Reader { step: "gzip", read: gunzip, strict: false }];

/// The formats that say themselves where they end: a part of one is none.
const ENDING: [&str; 7] = ["gzip", "zlib", "deflate", "zstd", "lz4", "lz4_block", "snappy_block"];

/// The steps that make bytes more.
const INFLATING: [&str; 9] = ["gzip", "zlib", "deflate", "zstd", "lz4", "snappy", "lz4_block", "snappy_block", "lzf"];

/// The most that a chain may inflate an input to.
const LIMIT: usize = 1 << 18;

pub(crate) fn holds(data: &[u8], packers: &[Packer], readers: &[Reader]) {
    let ([line], rest) = lines::take::<1>(data);
    match line.strip_prefix("pack ") {
        Some(step) => {
            let writers = PACKERS.iter().chain(packers).filter(|(of, _)| *of == step);
            writers.for_each(|(_, pack)| comes_back(step, rest, &pack(rest)));
        }
        None => unpacks(&line.split(',').map(str::to_owned).collect::<Vec<_>>(), rest, readers),
    }
}

fn gunzip(packed: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    flate2::read::MultiGzDecoder::new(packed).take(limit as u64 + 1).read_to_end(&mut out).ok()?;
    (out.len() <= limit).then_some(out)
}

fn written<W: std::io::Write>(mut writer: W, plain: &[u8]) -> W {
    writer.write_all(plain).unwrap();
    writer
}

/// Stored, fast or best, as the first byte has it.
fn level(plain: &[u8]) -> flate2::Compression {
    flate2::Compression::new(u32::from(plain.first().copied().unwrap_or_default()) % 10)
}

fn base64_of(plain: &[u8], engine: &impl base64::Engine) -> Vec<u8> {
    engine.encode(plain).into_bytes()
}

/// LZF for what does not become shorter by it: runs of bytes as they are.
fn lzf_literals(plain: &[u8]) -> Vec<u8> {
    plain.chunks(32).flat_map(|run| [&[run.len() as u8 - 1][..], run].concat()).collect()
}

fn unpack(steps: &[&str], value: &[u8], max_inflated: usize) -> Result<Vec<u8>, DecodeError> {
    let names: Vec<String> = steps.iter().chain(&["bytes"]).map(|name| (*name).to_owned()).collect();
    let decoder = Decoder { chain: Chain::parse(&names).unwrap(), policies: Policies::default(), max_inflated };
    match decoder.decode(value, &mut Vec::new(), &mut Vec::new())? {
        Content::Bytes(bytes) => Ok(bytes.into_owned()),
        other => panic!("{other:?} are no bytes"),
    }
}

fn reason(step: &str, value: &[u8], limit: usize) -> Option<String> {
    unpack(&[step], value, limit).err().map(|error| error.reason.into_owned())
}

/// What others packed is unpacked, within the limit exactly, and only as a whole.
fn comes_back(step: &str, plain: &[u8], packed: &[u8]) {
    if packed.is_empty() || step == "lzf" && plain.is_empty() {
        return;
    }
    let unpacked = unpack(&[step], packed, plain.len());
    assert_eq!(unpacked.as_deref(), Ok(plain), "{step}");
    if INFLATING.contains(&step) && !plain.is_empty() {
        assert_eq!(reason(step, packed, plain.len() - 1).as_deref(), Some("value_too_large"), "{step}");
    }
    if ENDING.contains(&step) {
        let cuts =
            (1..8).chain((1..8).map(|part| packed.len() * part / 8)).filter(|cut| *cut > 0 && *cut <= packed.len());
        for cut in cuts {
            let found = reason(step, &packed[..packed.len() - cut], LIMIT);
            assert!(found.is_some(), "{step} cut short by {cut} of {} bytes was accepted", packed.len());
        }
        let more = [packed, b"\0"].concat();
        assert!(reason(step, &more, LIMIT).is_some(), "{step}: a byte behind the end was passed over");
    }
    let optional = format!("{step}?");
    if Chain::parse(&[optional.clone(), "bytes".to_owned()]).is_ok() && step != "zlib" {
        assert_eq!(unpack(&[&optional], packed, LIMIT).as_deref(), Ok(plain), "{optional}");
    }
}

/// Whatever the bytes are, a chain gives no more than it may, and what another reader has of them.
fn unpacks(names: &[String], value: &[u8], readers: &[Reader]) {
    let steps: Vec<&str> = names.iter().map(String::as_str).filter(|name| *name != "bytes").collect();
    if steps.len() > 4 || Chain::parse(&[names.to_vec(), vec!["bytes".to_owned()]].concat()).is_err() {
        return;
    }
    let unpacked = unpack(&steps, value, LIMIT);
    if let Err(error) = &unpacked {
        assert!(!error.reason.is_empty() && !error.detail.is_empty());
    }
    let &[step] = steps.as_slice() else { return };
    let Ok(plain) = unpacked else {
        return known_to_be_refused(step, value, &unpacked.unwrap_err(), readers);
    };
    if INFLATING.contains(&step) {
        assert!(plain.len() <= LIMIT, "{step} gave {} bytes", plain.len());
        assert_eq!(unpack(&[step], value, plain.len()).as_deref(), Ok(plain.as_slice()));
        if !plain.is_empty() {
            assert_eq!(reason(step, value, plain.len() - 1).as_deref(), Some("value_too_large"), "{step}");
        }
    }
    if ENDING.contains(&step) {
        assert!(reason(step, &value[..value.len() - 1], LIMIT).is_some(), "{step} cut short was accepted");
    }
    for reader in READERS.iter().chain(readers).filter(|reader| reader.step == step) {
        assert_eq!((reader.read)(value, LIMIT).as_ref(), Some(&plain), "{step}: another library has something else");
    }
}

/// What is refused as damaged is damaged to the others too.
fn known_to_be_refused(step: &str, value: &[u8], error: &DecodeError, readers: &[Reader]) {
    if error.reason != "decompress_failed" {
        return;
    }
    for reader in READERS.iter().chain(readers).filter(|reader| reader.step == step && reader.strict) {
        assert!((reader.read)(value, LIMIT).is_none(), "{error}, and another library reads it");
    }
}
