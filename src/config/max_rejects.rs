//! How many rejects are too many: a number, or a share of the keys. Pure.

use super::secret::scrub;
use super::value::{Raw, SettingValue};
use serde_json::Value;
use std::fmt;

/// More rejects than this stop a run. Read from `100`, or from `5%` and `0.5%`: no finer than a hundredth of a percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaxRejects {
    /// Any number is let pass. Written `0`.
    #[default]
    Unlimited,
    /// So many.
    Count(u64),
    /// So many of 10,000 keys.
    Share(u64),
}

impl MaxRejects {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let Some(percent) = text.strip_suffix('%') else {
            let count = text.replace('_', "").parse().ok()?;
            return Some(if count == 0 { Self::Unlimited } else { Self::Count(count) });
        };
        let (whole, part) = percent.trim().split_once('.').unwrap_or((percent.trim(), "0"));
        if part.len() > 2 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let hundredths: u64 = format!("{part:0<2}").parse().ok()?;
        let share = whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(hundredths)?;
        (1..=10_000).contains(&share).then_some(Self::Share(share))
    }
}

impl fmt::Display for MaxRejects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("0"),
            Self::Count(count) => count.fmt(f),
            Self::Share(share) if share % 100 == 0 => write!(f, "{}%", share / 100),
            Self::Share(share) => write!(f, "{}.{:02}%", share / 100, share % 100),
        }
    }
}

impl SettingValue for MaxRejects {
    const KIND: &'static str = "N|P%";

    fn read(raw: &Raw) -> Result<Self, String> {
        let text = match raw {
            Raw::Int(number) => number.to_string(),
            Raw::Text(text) => text.clone(),
            other => return Err(format!("is {}, and must be a number or a share such as \"5%\"", other.form())),
        };
        Self::parse(&text).ok_or_else(|| {
            let text = scrub(&text);
            format!("\"{text}\" is neither a whole number from 0 on nor a share from 0.01% to 100%")
        })
    }

    fn show(&self) -> Value {
        match self {
            Self::Unlimited => 0.into(),
            Self::Count(count) => (*count).into(),
            Self::Share(_) => self.to_string().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MaxRejects;
    use crate::config::Raw;
    use crate::config::value::SettingValue;

    #[test]
    fn a_limit_is_a_number_or_a_share() {
        let read = |text: &str| MaxRejects::read(&Raw::Text(text.to_owned()));
        for (text, limit) in [
            ("0", MaxRejects::Unlimited),
            ("1_000", MaxRejects::Count(1000)),
            ("5%", MaxRejects::Share(500)),
            ("0.5 %", MaxRejects::Share(50)),
            ("12.25%", MaxRejects::Share(1225)),
            ("100%", MaxRejects::Share(10_000)),
        ] {
            assert_eq!(read(text), Ok(limit), "{text}");
            assert_eq!(read(&limit.to_string()), Ok(limit), "{text}");
        }
        for text in ["", "-1", "0%", "101%", "0.001%", "5 percent", "%", "1.%5"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(MaxRejects::read(&Raw::Int(3)), Ok(MaxRejects::Count(3)));
        assert!(MaxRejects::read(&Raw::Int(-3)).is_err());
    }
}
