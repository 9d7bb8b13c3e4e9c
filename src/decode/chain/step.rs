//! One step of a chain: its name, the bytes that it begins with, and what it does.

use super::super::DecodeError;
use super::{armor, block, stream};
use std::borrow::Cow;

/// A step as it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) kind: Kind,
    /// Whether bytes that do not begin with its magic are passed on.
    pub(super) optional: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gzip,
    Zlib,
    Deflate,
    Zstd,
    Lz4,
    Snappy,
    Lz4Block,
    SnappyBlock,
    Lzf,
    Base64,
    Base64Url,
    Hex,
    PhpString,
    Strip(Box<[u8]>),
}

/// Why bytes could not be inflated.
#[derive(Debug)]
pub(super) enum Trouble {
    /// There is more than the limit.
    TooLarge,
    /// They are cut short, damaged, or something follows them.
    Failed(String),
}

impl Trouble {
    pub(super) fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Kind {
    pub(super) fn named(name: &str) -> Option<Self> {
        let named = |kind: &Self| kind.name() == name;
        use Kind::{
            Base64, Base64Url, Deflate, Gzip, Hex, Lz4, Lz4Block, Lzf, PhpString, Snappy, SnappyBlock, Zlib, Zstd,
        };
        [Gzip, Zlib, Deflate, Zstd, Lz4, Snappy, Lz4Block, SnappyBlock, Lzf, Base64, Base64Url, Hex, PhpString]
            .into_iter()
            .find(named)
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Snappy => "snappy",
            Self::Lz4Block => "lz4_block",
            Self::SnappyBlock => "snappy_block",
            Self::Lzf => "lzf",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
            Self::Hex => "hex",
            Self::PhpString => "php_string",
            Self::Strip(_) => "strip",
        }
    }

    /// Whether the bytes themselves tell that the step applies.
    pub(super) fn has_magic(&self) -> bool {
        matches!(
            self,
            Self::Gzip | Self::Zlib | Self::Zstd | Self::Lz4 | Self::Snappy | Self::PhpString | Self::Strip(_)
        )
    }

    /// Whether the bytes begin as this step's do; so do all where nothing tells.
    fn begins(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Gzip => bytes.starts_with(b"\x1f\x8b\x08"),
            // A window of 32 KiB, no dictionary, and a check on both bytes: the four headers that writers use.
            Self::Zlib => matches!(bytes, [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..]),
            Self::Zstd => bytes.starts_with(b"\x28\xb5\x2f\xfd"),
            Self::Lz4 => bytes.starts_with(b"\x04\x22\x4d\x18"),
            Self::Snappy => bytes.starts_with(b"\xff\x06\x00\x00sNaPpY"),
            Self::PhpString => armor::is_php_string(bytes),
            Self::Strip(prefix) => bytes.starts_with(prefix),
            _ => true,
        }
    }
}

impl Step {
    pub(super) fn inflates(&self) -> bool {
        !matches!(self.kind, Kind::Base64 | Kind::Base64Url | Kind::Hex | Kind::PhpString | Kind::Strip(_))
    }

    /// Whether no bytes at all are nothing that it could unpack.
    pub(super) fn needs_bytes(&self) -> bool {
        !self.optional && !matches!(self.kind, Kind::Base64 | Kind::Base64Url | Kind::Hex)
    }

    /// Runs the step on what the one before it gave.
    pub(super) fn run<'a>(&self, bytes: Cow<'a, [u8]>, limit: usize) -> Result<Cow<'a, [u8]>, DecodeError> {
        if self.optional && !self.kind.begins(&bytes) {
            return Ok(bytes);
        }
        let unpacked = match &self.kind {
            Kind::Strip(prefix) => return armor::strip(bytes, prefix),
            Kind::PhpString => return armor::php_string(bytes),
            Kind::Base64 => return armor::base64(&bytes).map(Cow::Owned),
            Kind::Base64Url => return armor::base64url(&bytes).map(Cow::Owned),
            Kind::Hex => return armor::hex(&bytes).map(Cow::Owned),
            Kind::Gzip => stream::gzip(&bytes, limit),
            Kind::Zlib => stream::zlib(&bytes, limit),
            Kind::Deflate => stream::deflate(&bytes, limit),
            Kind::Zstd => stream::zstd(&bytes, limit),
            Kind::Lz4 => stream::lz4(&bytes, limit),
            Kind::Snappy => stream::snappy(&bytes, limit),
            Kind::Lz4Block => block::lz4(&bytes, limit),
            Kind::SnappyBlock => block::snappy(&bytes, limit),
            Kind::Lzf => block::lzf(&bytes, limit),
        };
        match unpacked {
            Ok(unpacked) => Ok(Cow::Owned(unpacked)),
            Err(Trouble::Failed(_)) if self.optional && is_text(&bytes) => Ok(bytes),
            Err(trouble) => Err(self.refused(trouble, limit)),
        }
    }

    #[cold]
    fn refused(&self, trouble: Trouble, limit: usize) -> DecodeError {
        let name = self.kind.name();
        match trouble {
            Trouble::TooLarge => {
                let detail = format!("{name}: it inflates to more than {limit} bytes, the mapping's `max_inflated`");
                DecodeError::new("value_too_large", detail)
            }
            Trouble::Failed(why) => DecodeError::new("decompress_failed", format!("{name}: {why}")),
        }
    }
}

/// Whether the bytes are text: UTF-8 without control characters but white space. Text that begins with `x^` has a
/// valid zlib header by chance; what was compressed is never text, a few bytes of it aside.
pub(in super::super) fn is_text(bytes: &[u8]) -> bool {
    let control = |byte: &u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    !bytes.iter().any(control) && std::str::from_utf8(bytes).is_ok()
}
