//! Each step on what other programs and libraries wrote, whole, cut short, damaged, followed by more, and too large.

use super::Chain;
use crate::decode::DecodeError;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;
use std::io::Write;

const LIMIT: usize = 1 << 20;
const PLAIN: &[u8] = br#"{"id":"a","text":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#;

type Codec = (&'static str, fn(&[u8]) -> Vec<u8>);

/// Steps that compress, each with a way to write it.
const CODECS: [Codec; 9] = [
    ("gzip", gzip),
    ("zlib", zlib),
    ("deflate", deflate),
    ("zstd", zstd),
    ("lz4", lz4),
    ("snappy", snappy),
    ("lz4_block", lz4_flex::block::compress_prepend_size),
    ("snappy_block", snappy_block),
    ("lzf", lzf),
];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut writer = ZlibEncoder::new(Vec::new(), Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut writer = DeflateEncoder::new(Vec::new(), Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut writer = lz4_flex::frame::FrameEncoder::new(Vec::new());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn snappy(bytes: &[u8]) -> Vec<u8> {
    let mut writer = snap::write::FrameEncoder::new(Vec::new());
    writer.write_all(bytes).unwrap();
    writer.into_inner().unwrap()
}

fn snappy_block(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).unwrap()
}

/// The library refuses what does not shrink; literals are a valid block too.
fn lzf(bytes: &[u8]) -> Vec<u8> {
    lzf::compress(bytes).unwrap_or_else(|_| {
        bytes.chunks(32).flat_map(|run| std::iter::once(run.len() as u8 - 1).chain(run.iter().copied())).collect()
    })
}

fn chain(steps: &[&str]) -> Chain {
    let names: Vec<String> = steps.iter().chain(&["bytes"]).map(|name| (*name).to_owned()).collect();
    Chain::parse(&names).unwrap()
}

fn run(steps: &[&str], bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    chain(steps).unpack(bytes, LIMIT).map(std::borrow::Cow::into_owned)
}

fn reason(steps: &[&str], bytes: &[u8]) -> String {
    run(steps, bytes).expect_err("the bytes should be refused").reason.into_owned()
}

fn unhex(digits: &str) -> Vec<u8> {
    run(&["hex"], digits.as_bytes()).unwrap()
}

/// What the programs zstd 1.5, lz4 1.9, gzip 1.12 and Python's zlib wrote.
const WRITTEN: [(&str, &str); 7] = [
    ("zstd", "28b52ffd2440dd0000a87b226964223a2261222c2274657874223a2261227d010031411835c15e37"),
    ("zstd", "28b52ffd0458dd0000a87b226964223a2261222c2274657874223a2261227d010031411835c15e37"),
    ("lz4", "04224d186440a71d000000f0007b226964223a2261222c22746578740b000f01001550616161227d000000006e80cf26"),
    (
        "lz4",
        "04224d187c404000000000000000fe1d000000f0007b226964223a2261222c22746578740b000f01001550616161227de6f43d2a000000006e80cf26",
    ),
    ("gzip", "1f8b0808bd1f076b0003635f696e2e6a736f6e00ab56ca4c51b2524a54d2512a49ad28013149004ab500078ee2d040000000"),
    ("zlib", "789cab56ca4c51b2524a54d2512a49ad28013149004ab500af601648"),
    ("zlib", "7801ab56ca4c51b2524a54d2512a49ad28013149004ab500af601648"),
];

#[test]
fn what_other_programs_wrote_is_read() {
    for (step, digits) in WRITTEN {
        let bytes = unhex(digits);
        assert_eq!(run(&[step], &bytes).unwrap(), PLAIN, "{step}");
        let optional = format!("{step}?");
        assert_eq!(run(&[&optional], &bytes).unwrap(), PLAIN, "{step}");
        // The last byte is part of a checksum in all of them.
        let mut damaged = bytes.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(reason(&[step], &damaged), "decompress_failed", "{step}");
    }
}

#[test]
fn mixed_values_go_through_one_chain() {
    let all = ["zstd?", "zlib?", "gzip?", "lz4?", "snappy?"];
    for packed in [PLAIN.to_vec(), zstd(PLAIN), zlib(PLAIN), gzip(PLAIN), lz4(PLAIN), snappy(PLAIN)] {
        assert_eq!(run(&all, &packed).unwrap(), PLAIN);
    }
    assert_eq!(run(&["gzip?", "gzip?"], &gzip(&gzip(PLAIN))).unwrap(), PLAIN);
    let prefixed = [b"gz:".as_slice(), &zlib(PLAIN)].concat();
    assert_eq!(run(&["strip?:gz:", "zlib?"], &prefixed).unwrap(), PLAIN);
    assert_eq!(run(&["strip?:gz:", "zlib?"], PLAIN).unwrap(), PLAIN);
    assert_eq!(reason(&["strip:gz:", "zlib"], PLAIN), "prefix_missing");
    let framed = [format!("s:{}:\"", PLAIN.len()).as_bytes(), PLAIN, b"\";"].concat();
    assert_eq!(run(&["php_string"], &framed).unwrap(), PLAIN);
    assert_eq!(run(&["gzip", "php_string?", "php_string?"], &gzip(&framed)).unwrap(), PLAIN);
}

#[test]
fn a_stream_that_is_cut_short_or_followed_by_more_is_no_value() {
    // Long, and no run of one letter: its streams have blocks and chunks to be cut between.
    let long: Vec<u8> = (0..40_000_u32).flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 20).to_le_bytes()).collect();
    for (step, write) in CODECS {
        let optional = format!("{step}?");
        let names: &[&str] =
            if Chain::parse(&[optional.clone(), "bytes".into()]).is_ok() { &[step, &optional] } else { &[step] };
        for (plain, places) in [(PLAIN, 0..usize::MAX), (&long, 0..0)] {
            let packed = write(plain);
            assert_eq!(run(&[step], &packed).unwrap(), plain, "{step}");
            let cuts = (1..packed.len()).filter(|at| places.contains(at) || at % 4999 == 0 || at + 4 > packed.len());
            for cut in cuts.filter(|at| *at > 12) {
                for name in names {
                    let cut_short = run(&[name], &packed[..cut]);
                    let whole_chunks = (step == "snappy" || step == "lzf")
                        && cut_short.as_ref().is_ok_and(|out| plain.starts_with(out));
                    assert!(
                        whole_chunks || cut_short.is_err_and(|e| e.reason == "decompress_failed"),
                        "{name} cut at {cut}"
                    );
                }
            }
            for more in [&b"x"[..], b"more than a few bytes of garbage"] {
                if step != "lzf" {
                    assert_eq!(reason(&[step], &[packed.as_slice(), more].concat()), "decompress_failed", "{step}");
                }
                if step == "gzip" {
                    let error = run(&[step], &[packed.as_slice(), more].concat()).unwrap_err();
                    assert_eq!(error.detail, "gzip: something follows the stream");
                }
            }
        }
        assert_eq!(reason(&[step], b""), "empty_value", "{step}");
    }
}

#[test]
fn streams_one_after_the_other_are_one_value() {
    let (head, tail) = PLAIN.split_at(20);
    for (step, write) in CODECS.into_iter().filter(|(step, _)| ["gzip", "zstd", "lz4", "snappy"].contains(step)) {
        assert_eq!(run(&[step], &[write(head), write(tail)].concat()).unwrap(), PLAIN, "{step}");
    }
    let skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc";
    assert_eq!(run(&["zstd"], &[zstd(PLAIN).as_slice(), skippable].concat()).unwrap(), PLAIN);
}

#[test]
fn a_bomb_is_refused_before_it_is_inflated() {
    let bomb = vec![b' '; 8 * LIMIT];
    for (step, write) in CODECS {
        let error = run(&[step], &write(&bomb)).expect_err(step);
        assert_eq!(error.reason, "value_too_large", "{step}: {error}");
        assert!(error.detail.contains("max_inflated"), "{error}");
        assert_eq!(run(&[step], &write(&bomb[..LIMIT])).unwrap().len(), LIMIT, "{step}: the limit itself is allowed");
        assert_eq!(reason(&[step], &write(&bomb[..=LIMIT])), "value_too_large", "{step}");
    }
    // Sizes that are only claimed: no memory is made for them.
    assert_eq!(reason(&["lz4_block"], b"\xff\xff\xff\x7f\x10a"), "decompress_failed");
    assert_eq!(reason(&["snappy_block"], b"\xff\xff\xff\xff\x0f\x00a"), "value_too_large");
}

#[test]
fn v20_text_that_begins_like_zlib_is_text() {
    for text in ["x^2 + y^2 = z^2", "x^", "x^\n", "{\"x^\":1}", "x\u{69c} and so on"] {
        assert_eq!(run(&["zlib?"], text.as_bytes()).unwrap(), text.as_bytes(), "{text}");
        assert_eq!(reason(&["zlib"], text.as_bytes()), "decompress_failed");
    }
    let stream = zlib(PLAIN);
    assert_eq!(reason(&["zlib?"], &stream[..stream.len() / 2]), "decompress_failed");
}

#[test]
fn base64_and_hexadecimal_are_read_strictly() {
    for bytes in [&b""[..], b"a", b"ab\xff", PLAIN] {
        assert_eq!(run(&["base64"], STANDARD.encode(bytes).as_bytes()).unwrap_or_default(), bytes);
        assert_eq!(run(&["base64url"], URL_SAFE.encode(bytes).as_bytes()).unwrap_or_default(), bytes);
        assert_eq!(run(&["base64url"], URL_SAFE_NO_PAD.encode(bytes).as_bytes()).unwrap_or_default(), bytes);
    }
    assert_eq!(run(&["base64"], b"eyJp\r\nZCI6\nImEifQ==\n").unwrap(), br#"{"id":"a"}"#);
    for wrong in ["eyJpZCI6ImEifQ", "eyJpZCI6ImEifQ=", "eyJp!CI6", "eyJpZCI6ImEifR==", "ab-_"] {
        assert_eq!(reason(&["base64"], wrong.as_bytes()), "base64", "{wrong}");
    }
    assert_eq!(run(&["hex"], b"00fFA9").unwrap(), b"\x00\xff\xa9");
    for wrong in ["0", "0g", "0x00", "0 0 "] {
        assert_eq!(reason(&["hex"], wrong.as_bytes()), "hex", "{wrong}");
    }
    assert_eq!(run(&["base64", "gzip"], STANDARD.encode(gzip(PLAIN)).as_bytes()).unwrap(), PLAIN);
}

proptest! {
    #[test]
    fn whatever_was_packed_comes_out_equal(bytes in prop::collection::vec(any::<u8>(), 1..2000), times in 1_usize..20) {
        let plain = bytes.repeat(times);
        for (step, write) in CODECS {
            prop_assert_eq!(&run(&[step], &write(&plain)).unwrap(), &plain, "{}", step);
        }
    }

    #[test]
    fn damage_makes_no_step_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at: usize, flip in 1_u8..) {
        for (step, write) in CODECS {
            let _ = run(&[step], &bytes);
            let mut packed = write(&[PLAIN, &bytes].concat());
            let at = at % packed.len();
            packed[at] ^= flip;
            if let Err(error) = run(&[step], &packed) {
                prop_assert!(["decompress_failed", "value_too_large"].contains(&error.reason.as_ref()), "{}", error);
            }
        }
    }
}

#[test]
fn an_empty_value_is_empty_whatever_the_chain_unless_a_step_needs_bytes() {
    let steps: [&[&str]; 6] = [&[], &["base64"], &["base64url"], &["hex"], &["gzip?"], &["hex", "zlib?", "strip?:x:"]];
    for steps in steps {
        assert_eq!(run(steps, b"").unwrap(), b"", "{steps:?}");
    }
    let steps: [&[&str]; 4] = [&["gzip"], &["base64", "gzip"], &["strip:x:"], &["zlib?", "lzf"]];
    for steps in steps {
        assert_eq!(reason(steps, b""), "empty_value", "{steps:?}");
    }
}

#[test]
fn a_string_of_php_ends_where_it_says() {
    assert_eq!(run(&["php_string"], b"s:3:\"a\";\";").unwrap(), b"a\";");
    assert_eq!(run(&["php_string"], b"s:2:\"\xff\xd8\";").unwrap(), b"\xff\xd8");
    assert_eq!(run(&["php_string"], b"s:0:\"\";").unwrap(), b"");
    for broken in [
        &b"s:4:\"a\";"[..],
        b"s:1:\"a\";s",
        b"s:1:\"ab\";",
        b"s:18446744073709551615:\"\";",
        b"s::\"\";",
        b"a:0:{}",
        b"5",
    ] {
        assert_eq!(reason(&["php_string"], broken), "php_syntax", "{broken:?}");
    }
    assert_eq!(reason(&["php_string"], b""), "empty_value");
    assert_eq!(reason(&["php_string"], b"\x80\x04\x95"), "encoding_unsupported (pickle)");
    assert_eq!(run(&["php_string?"], b"a:0:{}").unwrap(), b"a:0:{}");
}
