//! A share of a whole, as people write it: `5%`. Pure.

use super::secret::scrub;
use super::value::{Raw, SettingValue};
use serde_json::Value;
use std::fmt;

/// A share, in hundredths of a percent: from `0.01%` to `100%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(u16);

impl Percent {
    const WHOLE: u16 = 10_000;

    /// Reads one. From 1 on it needs no sign; without one, less could be meant as a part of 1.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let percent = match text.strip_suffix('%') {
            Some(percent) => percent.trim_end(),
            None if text.starts_with('0') => return None,
            None => text,
        };
        let (whole, part) = percent.split_once('.').unwrap_or((percent, "0"));
        if whole.len() > 3 || part.len() > 2 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let hundredths: u32 = format!("{part:0<2}").parse().ok()?;
        let share = u16::try_from(whole.parse::<u32>().ok()? * 100 + hundredths).ok()?;
        (1..=Self::WHOLE).contains(&share).then_some(Self(share))
    }

    /// So many of 10,000.
    pub fn of_ten_thousand(self) -> u16 {
        self.0
    }

    /// Whether it is all of the whole.
    pub fn is_all(self) -> bool {
        self.0 == Self::WHOLE
    }
}

impl Default for Percent {
    fn default() -> Self {
        Self(Self::WHOLE)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}%"),
            (whole, part) => write!(f, "{whole}.{part:02}%"),
        }
    }
}

impl SettingValue for Percent {
    const KIND: &'static str = "P%";

    fn read(raw: &Raw) -> Result<Self, String> {
        let Raw::Text(text) = raw else {
            return Err(format!("is {}, and must be a share such as \"5%\"", raw.form()));
        };
        Self::parse(text)
            .ok_or_else(|| format!("\"{}\" is no share from 0.01% to 100%, such as \"5%\" or \"0.5%\"", scrub(text)))
    }

    fn show(&self) -> Value {
        self.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::Percent;

    #[test]
    fn shares_are_read_and_printed_so_that_they_read_back() {
        for (text, share) in
            [("5%", 500), ("0.5%", 50), ("0.01%", 1), ("100%", 10_000), (" 12.34 %", 1234), ("5", 500), ("12.5", 1250)]
        {
            let percent = Percent::parse(text);
            assert_eq!(percent, Some(Percent(share)), "{text}");
            assert_eq!(Percent::parse(&Percent(share).to_string()), percent);
        }
        for text in ["", "%", "0", "0.05", "05", "0%", "101", "100.01%", "101%", "-1%", "1.234%", "1e1%", "5 %%"] {
            assert_eq!(Percent::parse(text), None, "{text}");
        }
    }
}
