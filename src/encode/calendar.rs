//! Days and dates of the Gregorian calendar, and moments as text.

/// Microseconds of a day.
pub(super) const DAY: i64 = 86_400_000_000;
/// Microseconds from 1970 to 2000.
pub(super) const EPOCH_2000: i64 = 946_684_800_000_000;
/// Microseconds from 1970 to 0001-01-01T00:00:00, the least value of .NET's DateTime.
pub(super) const YEAR_ONE: i64 = -62_135_596_800_000_000;

pub(super) fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar, counted in eras of 400 years that begin in March.
pub(super) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a number of days since 1970-01-01: the inverse of [`days_from_civil`].
pub(super) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// Appends a moment as `2024-01-02T03:04:05.678Z`.
pub fn push_rfc3339(out: &mut String, millis: i64) {
    let (year, month, day) = civil_from_days(millis.div_euclid(86_400_000));
    let rest = millis.rem_euclid(86_400_000) as u32;
    // A time to live can end far beyond the calendar: such a year is written in full.
    let skip = if (0..10_000).contains(&year) {
        0
    } else {
        out.push_str(&year.to_string());
        4
    };
    let (year, seconds) = (year as u32, rest / 1000);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    for (place, value) in [
        (0, year / 100),
        (2, year % 100),
        (5, month as u32),
        (8, day as u32),
        (11, seconds / 3600),
        (14, seconds / 60 % 60),
        (17, seconds % 60),
        (21, rest % 100),
    ] {
        text[place] = b'0' + (value / 10 % 10) as u8;
        text[place + 1] = b'0' + (value % 10) as u8;
    }
    text[20] = b'0' + (rest / 100 % 10) as u8;
    out.push_str(std::str::from_utf8(&text).unwrap_or_default().get(skip..).unwrap_or_default());
}
