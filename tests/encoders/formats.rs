//! Patterns of a column under texts that are nearly right: what one takes is what stands there, digit by digit.

use crate::oracle::{Judged, near};
use redis2pg::encode::{Format, Policy};
use redis2pg::model::ColumnType;

fn formats(pattern: &str) -> Policy {
    Policy { formats: vec![Format::parse(pattern).unwrap()], ..Policy::default() }
}

#[test]
fn dates_with_times() {
    let seeds =
        &["02/01/2024 03:04:05", "2/1/2024 3:4:5", "31/12/1999 23:59:59", "29/02/2024 00:00:60", "02/01/24 03:04:05"];
    let verdict = "(SELECT make_timestamp(m[3]::int, m[2]::int, m[1]::int, m[4]::int, m[5]::int, m[6]::float8) \
                   FROM regexp_match(x, '^\\s*(\\d{1,2})/\\s*(\\d{1,2})/[+]?\\s*(\\d{4})\\s*(\\d{1,2}):\\s*(\\d{1,2}):\\s*(\\d{1,2})\\s*$') m)";
    let judged = Judged::new(ColumnType::Timestamp(6), "timestamp").by(verdict);
    judged.with(formats("%d/%m/%Y %H:%M:%S")).agrees(near(seeds, "0123456789/: +-"));
}

#[test]
fn digits_side_by_side() {
    let seeds = &["20240102", "19991231", "20240229", "2024112", "00010101"];
    let verdict = "(SELECT make_date(m[1]::int, m[2]::int, m[3]::int) \
                   FROM regexp_match(x, '^\\s*[+]?\\s*(\\d{4})\\s*(\\d{2})\\s*(\\d{2})\\s*$') m)";
    Judged::new(ColumnType::Date, "date").by(verdict).with(formats("%Y%m%d")).agrees(near(seeds, "0123456789 +-"));
}

#[test]
fn hours_to_twelve() {
    let seeds = &["1:30 PM", "12:00 am", "12:59 pm", "03:04 AM", "13:04 PM", "1:60 PM"];
    let verdict = "COALESCE((SELECT make_time(m[1]::int % 12 + CASE WHEN lower(m[3]) = 'pm' THEN 12 ELSE 0 END, m[2]::int, 0) \
                   FROM regexp_match(x, '^\\s*(\\d{1,2}):\\s*(\\d{1,2})\\s*([AaPp][Mm])\\s*$') m), btrim(x)::time)";
    Judged::new(ColumnType::Time(6), "time")
        .by(verdict)
        .with(formats("%I:%M %p"))
        .agrees(near(seeds, "0123456789: APMapm"));
}
