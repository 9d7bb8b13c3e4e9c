//! A small reader of the fields of binary COPY, by the descriptions of PostgreSQL's own `…_send` functions.

/// Takes a field off: its bytes (`None` for NULL), and what follows it.
pub(crate) fn field(bytes: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let (length, rest) = bytes.split_first_chunk::<4>().unwrap();
    match i32::from_be_bytes(*length) {
        -1 => (None, rest),
        length => {
            let (field, rest) = rest.split_at(usize::try_from(length).unwrap());
            (Some(field), rest)
        }
    }
}

pub(crate) fn int16(bytes: &[u8]) -> i16 {
    i16::from_be_bytes(bytes.try_into().unwrap())
}

pub(crate) fn int32(bytes: &[u8]) -> i32 {
    i32::from_be_bytes(bytes.try_into().unwrap())
}

/// A numeric: its digits without zeros at either end, with the sign, and the power of ten that they are times.
#[derive(Debug, PartialEq)]
pub(crate) struct Exact {
    pub(crate) negative: bool,
    pub(crate) digits: String,
    pub(crate) power: i64,
}

impl Exact {
    fn new(negative: bool, digits: &str, power: i64) -> Self {
        let significant = digits.trim_start_matches('0').trim_end_matches('0');
        if significant.is_empty() {
            return Self { negative: false, digits: String::new(), power: 0 };
        }
        let dropped = digits.len() - digits.trim_end_matches('0').len();
        Self { negative, digits: significant.to_owned(), power: power + dropped as i64 }
    }

    /// The number that a decimal text is; `None` where it is none, or its exponent is beyond 64 bits.
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain && digits.bytes().all(|byte| byte == b'0') {
            return Some(Self::new(false, "", 0));
        }
        let exponent: i64 = exponent.parse().ok().filter(|_| plain)?;
        Some(Self::new(text.starts_with('-'), &digits, exponent - fraction.len() as i64))
    }

    /// The number that a binary numeric is; `None` for what is not finite.
    pub(crate) fn of_numeric(bytes: &[u8]) -> Option<Self> {
        let (head, groups) = bytes.split_at(8);
        let part = |at: usize| int16(&head[at..at + 2]);
        let (count, weight, sign, scale) = (part(0), part(2), part(4), part(6));
        assert_eq!(usize::try_from(count), Ok(groups.len() / 2));
        assert!(scale >= 0 && i64::from(scale) <= 16_383, "{scale}");
        if sign != 0 && sign != 0x4000 {
            return None;
        }
        let group = |group: &[u8]| {
            assert!((0..10_000).contains(&int16(group)));
            format!("{:04}", int16(group))
        };
        let digits: String = groups.chunks(2).map(group).collect();
        assert!(!digits.starts_with("0000") && !digits.ends_with("0000"), "no group of zeros at either end");
        let exact = Self::new(sign != 0, &digits, (i64::from(weight) - i64::from(count) + 1) * 4);
        assert!(exact.power >= -i64::from(scale), "no digit below those that are shown");
        assert!(sign == 0 || exact.negative, "no negative zero");
        Some(exact)
    }

    /// As a whole number, where it is one of at most 38 digits.
    pub(crate) fn whole(&self) -> Option<i128> {
        let zeros = usize::try_from(self.power).ok().filter(|zeros| zeros + self.digits.len() <= 38)?;
        let number: i128 = format!("0{}{}", self.digits, "0".repeat(zeros)).parse().ok()?;
        Some(if self.negative { -number } else { number })
    }
}

/// An array: its dimensions, the type of its elements, and these.
pub(crate) fn array(bytes: &[u8]) -> (Vec<i32>, u32, Vec<Option<&[u8]>>) {
    let (dimensions, nulls) = (int32(&bytes[..4]), int32(&bytes[4..8]));
    let oid = int32(&bytes[8..12]) as u32;
    assert!((0..=6).contains(&dimensions) && (0..=1).contains(&nulls));
    let mut rest = &bytes[12..];
    let mut lengths = Vec::new();
    for _ in 0..dimensions {
        lengths.push(int32(&rest[..4]));
        assert_eq!(int32(&rest[4..8]), 1, "arrays begin at 1");
        rest = &rest[8..];
    }
    let mut elements = Vec::new();
    while !rest.is_empty() {
        let (element, behind) = field(rest);
        elements.push(element);
        rest = behind;
    }
    let count = if lengths.is_empty() { 0 } else { lengths.iter().map(|length| *length as usize).product() };
    assert_eq!(elements.len(), count);
    assert_eq!(nulls == 1, elements.iter().any(Option::is_none));
    (lengths, oid, elements)
}

/// An address: its text without the mask, and the bits of the mask.
pub(crate) fn address(bytes: &[u8], cidr: bool) -> (std::net::IpAddr, u8) {
    assert_eq!(bytes[2], u8::from(cidr));
    assert_eq!(usize::from(bytes[3]), bytes.len() - 4);
    let address = match (bytes[0], &bytes[4..]) {
        (2, four) => <[u8; 4]>::try_from(four).unwrap().into(),
        (3, sixteen) => <[u8; 16]>::try_from(sixteen).unwrap().into(),
        (family, _) => panic!("family {family}"),
    };
    (address, bytes[1])
}
