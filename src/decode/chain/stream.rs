//! Compressed streams that have a beginning and an end. None is taken in half, none is inflated beyond the limit.

use super::step::Trouble;
use flate2::bufread::GzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use std::io::Read;

type Inflated = Result<Vec<u8>, Trouble>;

const CUT: &str = "the stream is cut short";
/// What each member of a gzip stream begins with.
const GZIP_MAGIC: &[u8] = b"\x1f\x8b";
const TRAILING: &str = "something follows the stream";

/// One member or several, one after the other.
pub(super) fn gzip(bytes: &[u8], limit: usize) -> Inflated {
    let (mut rest, mut out) = (bytes, Vec::new());
    loop {
        let mut member = GzDecoder::new(rest);
        read(&mut member, &mut out, limit)?;
        rest = member.into_inner();
        if rest.is_empty() {
            return Ok(out);
        }
        if !rest.starts_with(GZIP_MAGIC) {
            return Err(Trouble::failed(TRAILING));
        }
    }
}

pub(super) fn zlib(bytes: &[u8], limit: usize) -> Inflated {
    inflate(Decompress::new(true), bytes, limit)
}

pub(super) fn deflate(bytes: &[u8], limit: usize) -> Inflated {
    inflate(Decompress::new(false), bytes, limit)
}

/// The reader over it takes a stream that is cut short for a whole one: here the end mark is asked for.
fn inflate(mut state: Decompress, bytes: &[u8], limit: usize) -> Inflated {
    let mut out = Vec::new();
    loop {
        // Four times the input to begin with, then twice as much each time; one byte more than the limit tells.
        let wanted = if out.is_empty() { bytes.len().saturating_mul(4).max(64) } else { out.len() };
        out.reserve_exact(wanted.min(limit + 1 - out.len()));
        let (read, written) = (state.total_in(), out.len());
        let rest = bytes.get(read as usize..).unwrap_or_default();
        let status = state.decompress_vec(rest, &mut out, FlushDecompress::None).map_err(Trouble::failed)?;
        if out.len() > limit {
            return Err(Trouble::TooLarge);
        }
        if status == Status::StreamEnd {
            break;
        }
        if state.total_in() == read && out.len() == written {
            return Err(Trouble::failed(CUT));
        }
    }
    if state.total_in() as usize == bytes.len() { Ok(out) } else { Err(Trouble::failed(TRAILING)) }
}

/// One frame or several; skippable frames are skipped. Checksums and sizes that a frame states are compared.
pub(super) fn zstd(bytes: &[u8], limit: usize) -> Inflated {
    let (mut rest, mut out) = (bytes, Vec::new());
    let mut decoder = FrameDecoder::new();
    loop {
        match StreamingDecoder::new_with_decoder(&mut rest, &mut decoder) {
            Ok(stream) => frame(stream, &mut out, limit)?,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                rest = rest.get(length as usize..).ok_or_else(|| Trouble::failed(CUT))?;
            }
            Err(FrameDecoderError::WindowSizeTooBig { .. }) => return Err(Trouble::TooLarge),
            Err(error) => return Err(Trouble::failed(error)),
        }
        if rest.is_empty() {
            return Ok(out);
        }
    }
}

fn frame(
    mut stream: StreamingDecoder<&mut &[u8], &mut FrameDecoder>,
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<(), Trouble> {
    let (stated, before) = (stream.decoder.content_size(), out.len());
    if stated > limit as u64 {
        return Err(Trouble::TooLarge);
    }
    read(&mut stream, out, limit)?;
    if stated != 0 && stated != (out.len() - before) as u64 {
        return Err(Trouble::failed("the frame holds another number of bytes than it states"));
    }
    match (stream.decoder.get_checksum_from_data(), stream.decoder.get_calculated_checksum()) {
        (Some(stated), Some(found)) if stated != found => Err(Trouble::failed("the checksum is wrong")),
        _ => Ok(()),
    }
}

/// One frame or several. The reader takes a frame that is cut short between two blocks for a whole one: it is caught by
/// asking for more than there is.
pub(super) fn lz4(bytes: &[u8], limit: usize) -> Inflated {
    let mut out = Vec::new();
    let mut decoder = lz4_flex::frame::FrameDecoder::new(Watched { rest: bytes, starved: false });
    loop {
        read(&mut decoder, &mut out, limit)?;
        let Watched { rest, starved } = decoder.get_ref();
        match (starved, rest) {
            (true, _) => return Err(Trouble::failed(CUT)),
            (false, []) => return Ok(out),
            (false, _) => {}
        }
    }
}

/// A slice that remembers whether it was asked for a byte that it did not have.
struct Watched<'a> {
    rest: &'a [u8],
    starved: bool,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.starved |= self.rest.is_empty() && !buffer.is_empty();
        self.rest.read(buffer)
    }
}

/// The format has no end mark: one that is cut between two chunks of 64 KiB is whole.
pub(super) fn snappy(bytes: &[u8], limit: usize) -> Inflated {
    let mut out = Vec::new();
    if bytes.is_empty() {
        return Err(Trouble::failed(CUT));
    }
    read(snap::read::FrameDecoder::new(bytes), &mut out, limit)?;
    Ok(out)
}

/// Reads to the end, or to one byte more than the limit.
fn read(from: impl Read, out: &mut Vec<u8>, limit: usize) -> Result<(), Trouble> {
    let room = limit.saturating_sub(out.len()) as u64;
    let read = from.take(room + 1).read_to_end(out).map_err(Trouble::failed)?;
    if read as u64 > room { Err(Trouble::TooLarge) } else { Ok(()) }
}
