//! The C libraries that applications pack their values with. They are not needed to replay a corpus, so that the product's
//! tests are built without them.

use crate::properties::chain::{Packer, Reader};
use std::io::{Read, Write};

pub(crate) const PACKERS: [Packer; 6] = [
    ("gzip", |plain| deflated(plain, |to, from, out| to.gzip_compress(from, out))),
    ("zlib", |plain| deflated(plain, |to, from, out| to.zlib_compress(from, out))),
    ("deflate", |plain| deflated(plain, |to, from, out| to.deflate_compress(from, out))),
    ("zstd", zstd),
    ("lz4", lz4),
    ("lz4_block", |plain| lz4::block::compress(plain, None, true).unwrap()),
];

pub(crate) const READERS: [Reader; 5] = [
    // Of one member, and without a look at what follows it.
    Reader {
        step: "gzip",
        read: |packed, limit| inflated(limit, |of, out| of.gzip_decompress(packed, out)),
        strict: false,
    },
    Reader {
        step: "zlib",
        read: |packed, limit| inflated(limit, |of, out| of.zlib_decompress(packed, out)),
        strict: false,
    },
    Reader {
        step: "deflate",
        read: |packed, limit| inflated(limit, |of, out| of.deflate_decompress(packed, out)),
        strict: false,
    },
    Reader {
        step: "zstd",
        read: |packed, limit| read(zstd::stream::read::Decoder::new(packed).ok()?, limit),
        strict: true,
    },
    Reader { step: "lz4", read: lz4_frames, strict: true },
];

type Inflate<'f> =
    &'f dyn Fn(&mut libdeflater::Decompressor, &mut [u8]) -> Result<usize, libdeflater::DecompressionError>;

fn deflated(
    plain: &[u8],
    with: fn(&mut libdeflater::Compressor, &[u8], &mut [u8]) -> Result<usize, libdeflater::CompressionError>,
) -> Vec<u8> {
    let level = i32::from(plain.first().copied().unwrap_or_default()) % 13;
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(level).unwrap());
    let mut out = vec![0; compressor.gzip_compress_bound(plain.len())];
    let length = with(&mut compressor, plain, &mut out).unwrap();
    out.truncate(length);
    out
}

fn inflated(
    limit: usize,
    with: impl Fn(&mut libdeflater::Decompressor, &mut [u8]) -> Result<usize, libdeflater::DecompressionError>,
) -> Option<Vec<u8>> {
    let with: Inflate<'_> = &with;
    let mut out = vec![0; limit];
    let length = with(&mut libdeflater::Decompressor::new(), &mut out).ok()?;
    out.truncate(length);
    Some(out)
}

/// A frame with what the first byte asks for.
fn zstd(plain: &[u8]) -> Vec<u8> {
    let choice = plain.first().copied().unwrap_or_default();
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), i32::from(choice & 15)).unwrap();
    encoder.include_checksum(choice & 32 != 0).unwrap();
    encoder.include_contentsize(choice & 64 != 0).unwrap();
    if choice & 128 != 0 {
        encoder.set_pledged_src_size(Some(plain.len() as u64)).unwrap();
    }
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn lz4(plain: &[u8]) -> Vec<u8> {
    let choice = plain.first().copied().unwrap_or_default();
    let mut builder = lz4::EncoderBuilder::new();
    builder
        .level(u32::from(choice & 7))
        .block_mode(if choice & 8 == 0 { lz4::BlockMode::Linked } else { lz4::BlockMode::Independent })
        .checksum(if choice & 16 == 0 {
            lz4::ContentChecksum::NoChecksum
        } else {
            lz4::ContentChecksum::ChecksumEnabled
        })
        .content_size(if choice & 32 == 0 { 0 } else { plain.len() as u64 });
    let mut encoder = builder.build(Vec::new()).unwrap();
    encoder.write_all(plain).unwrap();
    let (out, done) = encoder.finish();
    done.unwrap();
    out
}

fn read(from: impl Read, limit: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    from.take(limit as u64 + 1).read_to_end(&mut out).ok().filter(|length| *length <= limit)?;
    Some(out)
}

/// The library's reader stops at the end of a frame.
fn lz4_frames(mut packed: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    while !packed.is_empty() {
        let mut decoder = lz4::Decoder::new(packed).ok()?;
        (&mut decoder).take(limit as u64 + 1).read_to_end(&mut out).ok()?;
        let (rest, done) = decoder.finish();
        done.ok().filter(|()| out.len() <= limit && rest.len() < packed.len())?;
        packed = rest;
    }
    Some(out)
}
