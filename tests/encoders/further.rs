//! The types that few columns have.

use crate::round_trip::{Kind, round_trip};
use proptest::prelude::*;
use redis2pg::model::{ColumnType, NumericLimit};

fn date() -> impl Strategy<Value = String> {
    (1..=9999_u32, 1..=12_u32, 1..=28_u32).prop_map(|(year, month, day)| format!("{year:04}-{month:02}-{day:02}"))
}

fn time(digits: &'static str) -> impl Strategy<Value = String> {
    let fraction = prop_oneof![Just(String::new()), digits];
    (0..24_u32, 0..60_u32, 0..60_u32, fraction)
        .prop_map(|(hour, minute, second, fraction)| format!("{hour:02}:{minute:02}:{second:02}{fraction}"))
}

#[test]
fn numerics_round_trip_to_the_last_digit() {
    let number = "[-+]?[0-9]{1,60}(\\.[0-9]{1,60})?([eE][-+]?[0-9]{1,2})?";
    round_trip(ColumnType::Numeric(None), "numeric", Kind::Text, number);
    let edges = prop_oneof![
        Just("0".to_owned()),
        Just("-0.000".to_owned()),
        Just("0e5".to_owned()),
        Just("1e131071".to_owned()),
        Just("1e-16383".to_owned()),
        "[1-9]0{3,9}(\\.0{3,9}[0-9])?",
    ];
    round_trip(ColumnType::Numeric(None), "numeric", Kind::Number, edges);
    let limit = |precision, scale| ColumnType::Numeric(Some(NumericLimit { precision, scale }));
    round_trip(limit(10, 3), "numeric(10,3)", Kind::Number, "-?[0-9]{1,7}(\\.[0-9]{1,3}0{0,4})?");
    round_trip(limit(3, -2), "numeric(3,-2)", Kind::Text, "-?[0-9]{1,3}00");
    round_trip(limit(2, 4), "numeric(2,4)", Kind::Text, "-?0\\.00[0-9]{2}");
}

#[test]
fn dates_and_times_round_trip() {
    round_trip(ColumnType::Date, "date", Kind::Text, date());
    round_trip(
        ColumnType::Time(6),
        "time",
        Kind::Text,
        prop_oneof![time("\\.[0-9]{1,6}"), Just("24:00:00".to_owned())],
    );
    round_trip(ColumnType::Time(2), "time(2)", Kind::Text, time("\\.[0-9]{1,2}"));
    let zone = prop_oneof!["[+-](0[0-9]|1[0-4]):[0-5][0-9]", Just("Z".to_owned())];
    let timetz = (time("\\.[0-9]{1,6}"), zone).prop_map(|(time, zone)| format!("{time}{zone}"));
    round_trip(ColumnType::Timetz(6), "timetz", Kind::Text, timetz);
}

#[test]
fn timestamps_round_trip_in_any_session_time_zone() {
    let at = |digits| (date(), time(digits)).prop_map(|(date, time)| format!("{date}T{time}"));
    round_trip(ColumnType::Timestamp(6), "timestamp", Kind::Text, at("\\.[0-9]{1,6}"));
    round_trip(ColumnType::Timestamp(3), "timestamp(3)", Kind::Text, at("\\.[0-9]{1,3}0{0,3}"));
    let zoned = at("\\.[0-9]").prop_map(|at| format!("{at}+05:30"));
    round_trip(ColumnType::TimestamptzDigits(1), "timestamptz(1)", Kind::Text, zoned);
}

#[test]
fn intervals_round_trip() {
    let iso = prop_oneof![
        "P-?[0-9]{1,3}Y-?[0-9]{1,3}M-?[0-9]{1,4}DT-?[0-9]{1,4}H-?[0-9]{1,3}M-?[0-9]{1,3}\\.[0-9]{1,6}S",
        "P[0-9]{1,3}W",
        "PT[0-9]{1,6}S",
        "PT[0-9]{1,3}\\.5H",
    ];
    round_trip(ColumnType::Interval(-1), "interval", Kind::Text, iso);
    let plain = prop_oneof![
        "-?[0-9]{1,3} years? -?[0-9]{1,2} mons? -?[0-9]{1,3} days? -?[0-9]{1,3}:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?",
        "[0-9]{1,3} (hours|minutes|seconds|weeks|months) ago",
        "[0-9]{1,3}:[0-5][0-9]:[0-5][0-9]",
        "@ [0-9]{1,3} hours [0-9]{1,2} mins",
    ];
    round_trip(ColumnType::Interval(-1), "interval", Kind::Text, plain);
}

#[test]
fn addresses_round_trip() {
    let v4 = any::<[u8; 4]>().prop_map(|bytes| std::net::Ipv4Addr::from(bytes).to_string());
    let v6 = any::<[u8; 16]>().prop_map(|bytes| std::net::Ipv6Addr::from(bytes).to_string());
    let inet = prop_oneof![
        (v4, prop::option::of(0..=32_u8)).prop_map(|(address, bits)| (address, bits)),
        (v6, prop::option::of(0..=128_u8)).prop_map(|(address, bits)| (address, bits)),
    ]
    .prop_map(|(address, bits)| bits.map_or(address.clone(), |bits| format!("{address}/{bits}")));
    round_trip(ColumnType::Inet, "inet", Kind::Text, inet);
    let v4 = (any::<u32>(), 0..=32_u32).prop_map(|(address, bits)| {
        let kept = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        format!("{}/{bits}", std::net::Ipv4Addr::from(address & kept))
    });
    let v6 = (any::<u128>(), 0..=128_u32).prop_map(|(address, bits)| {
        let kept = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
        format!("{}/{bits}", std::net::Ipv6Addr::from(address & kept))
    });
    round_trip(ColumnType::Cidr, "cidr", Kind::Text, prop_oneof![v4, v6]);
    let mac = prop_oneof![
        "([0-9a-f]{2}:){5}[0-9a-f]{2}",
        "([0-9A-F]{2}-){5}[0-9A-F]{2}",
        "[0-9a-f]{12}",
        "[0-9a-f]{4}\\.[0-9a-f]{4}\\.[0-9a-f]{4}"
    ];
    round_trip(ColumnType::Macaddr, "macaddr", Kind::Text, mac.clone());
    round_trip(ColumnType::Macaddr8, "macaddr8", Kind::Text, prop_oneof![mac, "([0-9a-f]{2}:){7}[0-9a-f]{2}"]);
}

#[test]
fn padded_and_short_texts_round_trip() {
    round_trip(ColumnType::Bpchar(9), "char(9)", Kind::Text, "[^\u{0}]{0,9}");
    round_trip(ColumnType::Name, "name", Kind::Text, "[a-zü]{0,31}");
}
