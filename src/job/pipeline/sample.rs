//! A part of the keys that is the same every time.

use crate::config::Percent;
use crate::model::{Digest, RedisKey};

/// Which keys are taken: a share of them, by their hash.
#[derive(Clone, Copy, Debug)]
pub(in crate::job) struct Sample(u16);

impl Sample {
    /// All of them.
    pub(in crate::job) const ALL: Self = Self(10_000);

    /// A share.
    pub(in crate::job) fn of(share: Percent) -> Self {
        Self(share.of_ten_thousand())
    }

    /// Whether a key is among them. By a hash that no version changes, so that two validations look at the same keys.
    pub(in crate::job) fn takes(self, key: &RedisKey) -> bool {
        if self.0 == Self::ALL.0 {
            return true;
        }
        let hex = Digest::of(key.as_bytes()).hex();
        let start = hex
            .iter()
            .take(12)
            .fold(0_u64, |number, digit| number << 4 | u64::from((*digit as char).to_digit(16).unwrap_or(0)));
        start % 10_000 < u64::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Sample;
    use crate::config::{Percent, Raw, SettingValue};
    use crate::model::RedisKey;

    #[test]
    fn a_share_is_even_and_a_larger_one_holds_the_smaller() {
        let sample = |text: &str| Sample::of(Percent::read(&Raw::Text(text.into())).unwrap());
        let keys: Vec<RedisKey> = (0..10_000).map(|number| RedisKey::new(format!("document:{number}"))).collect();
        let taken = |sample: Sample| keys.iter().filter(|key| sample.takes(key)).count();
        assert!((400..600).contains(&taken(sample("5%"))), "{}", taken(sample("5%")));
        assert_eq!(taken(sample("100%")), 10_000);
        assert!(keys.iter().all(|key| !sample("5%").takes(key) || sample("20%").takes(key)));
    }
}
