//! Random numbers and texts, the same for the same seed. Of its own, so that nothing of the program makes its data.

/// SplitMix64.
pub(crate) struct Random(u64);

/// Characters of one to four bytes, among them what JSON escapes, and marks that join the one before.
const CHARACTERS: [&str; 24] = [
    "a", "b", "z", "0", "9", " ", "-", "/", "\\", "\"", "'", "|", "%", "é", "ü", "ß", "İ", "日", "本", "語", "\u{301}",
    "\u{200d}", "😀", "👩",
];

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// A number from `first` to `last`.
    pub(crate) fn between(&mut self, first: i64, last: i64) -> i64 {
        let span = u64::try_from(last - first).unwrap() + 1;
        first + i64::try_from(self.next() % span).unwrap()
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub(crate) fn shuffle<T>(&mut self, of: &mut [T]) {
        for last in (1..of.len()).rev() {
            of.swap(last, self.below(last + 1));
        }
    }

    /// Letters.
    pub(crate) fn word(&mut self) -> String {
        let length = 3 + self.below(7);
        (0..length).map(|_| char::from(b'a' + u8::try_from(self.below(26)).unwrap())).collect()
    }

    /// So many characters of any kind.
    pub(crate) fn text(&mut self, characters: usize) -> String {
        (0..characters).map(|_| self.pick(&CHARACTERS)).collect()
    }

    /// A UUID in lower case.
    pub(crate) fn uuid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        let hex = format!("{high:016x}{low:016x}");
        format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }

    /// A moment from 1991 to 2024, to the microsecond or the second.
    pub(crate) fn moment(&mut self) -> Moment {
        let micros = if self.once_in(2) { 0 } else { self.between(1, 999_999) };
        Moment {
            day: format!("{}-{:02}-{:02}", self.between(1991, 2024), self.between(1, 12), self.between(1, 28)),
            clock: format!("{:02}:{:02}:{:02}", self.below(24), self.below(60), self.below(60)),
            fraction: if micros == 0 { String::new() } else { format!(".{micros:06}") },
        }
    }
}

/// A day and a time of day.
pub(crate) struct Moment {
    pub(crate) day: String,
    pub(crate) clock: String,
    /// Nothing, or a point and six digits.
    pub(crate) fraction: String,
}

impl Moment {
    /// As ISO 8601 writes it, without a zone.
    pub(crate) fn iso(&self) -> String {
        format!("{}T{}{}", self.day, self.clock, self.fraction)
    }

    /// As PostgreSQL shows it: without zeros at the end.
    pub(crate) fn shown(&self) -> String {
        format!("{} {}{}", self.day, self.clock, self.fraction.trim_end_matches('0'))
    }
}
