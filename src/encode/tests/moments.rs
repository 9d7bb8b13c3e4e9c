//! Dates, times and timestamps beyond ISO 8601 with zone.

use super::super::{Format, Policy, Value, parse_zone};
use super::{EpochUnit, MOMENT, err, full, moment};
use crate::model::ColumnType;

/// Microseconds since 1970 in a column of timestamps without zone; `None` is NULL.
fn clock(digits: u8, value: Value<'_>, policy: Policy) -> Result<Option<i64>, String> {
    let column_type = ColumnType::Timestamp(digits);
    let (bytes, _) = full(column_type, policy, value).map_err(|error| error.reason.into_owned())?;
    Ok(bytes.try_into().ok().map(|bytes| i64::from_be_bytes(bytes) + 946_684_800_000_000))
}

/// Days since 1970.
fn days(value: Value<'_>, policy: Policy) -> Result<i32, String> {
    let (bytes, _) = full(ColumnType::Date, policy, value).map_err(|error| error.reason.into_owned())?;
    Ok(i32::from_be_bytes(bytes.try_into().unwrap()) + 10_957)
}

fn formats(names: &[&str]) -> Policy {
    let formats = names.iter().map(|name| Format::parse(name).unwrap()).collect();
    Policy { formats, ..Policy::default() }
}

fn assume(zone: &str) -> Policy {
    Policy { assume_zone: parse_zone(zone), ..Policy::default() }
}

#[test]
fn t01_a_named_zone_knows_summer_and_refuses_what_its_clocks_leave_open() {
    let text = |text| moment(Value::Text(text), assume("Europe/Paris"));
    assert_eq!(text("2024-01-02T04:04:05"), Ok(MOMENT));
    assert_eq!(text("2024-07-02T05:04:05"), Ok(MOMENT + 182 * 86_400_000_000));
    assert_eq!(text("2024-01-02T03:04:05Z"), Ok(MOMENT), "a zone in the value wins");
    assert_eq!(text("2024-03-31T02:30:00"), err("timestamp_range"));
    assert_eq!(text("2024-10-27T02:30:00"), err("timestamp_ambiguous"));
}

#[test]
fn t02_an_offset_is_converted_for_a_column_without_zone() {
    let text = Value::Text("2024-01-02T08:34:05+05:30");
    assert_eq!(clock(6, text, Policy::default()), Ok(Some(MOMENT)));
    let paris = Policy { store_zone: parse_zone("Europe/Paris"), ..Policy::default() };
    assert_eq!(clock(6, text, paris.clone()), Ok(Some(MOMENT + 3_600_000_000)));
    assert_eq!(clock(6, Value::Text("2024-01-02T03:04:05"), paris), Ok(Some(MOMENT)), "a clock is stored as it shows");
    let both = Policy { store_zone: parse_zone("+01:00"), ..assume("America/New_York") };
    assert_eq!(clock(6, Value::Text("2024-01-01T22:04:05"), both), Ok(Some(MOMENT + 3_600_000_000)));
    assert_eq!(clock(6, Value::Millis(MOMENT / 1000), Policy::default()), Ok(Some(MOMENT)));
}

#[test]
fn digits_that_the_column_does_not_hold_are_refused_or_rounded() {
    let text = Value::Text("2024-01-02T03:04:05.5006");
    assert_eq!(clock(3, text, Policy::default()), err("too_precise"));
    assert_eq!(clock(4, text, Policy::default()), Ok(Some(MOMENT + 500_600)));
    let round = Policy { round: true, ..Policy::default() };
    assert_eq!(clock(3, text, round.clone()), Ok(Some(MOMENT + 501_000)));
    assert_eq!(clock(0, text, round.clone()), Ok(Some(MOMENT + 1_000_000)));
    assert_eq!(full(ColumnType::Timestamp(0), round.clone(), text).unwrap().1, Some("round"));
    assert_eq!(days(text, Policy::default()), err("date_has_time"));
    assert_eq!(days(text, round), Ok(19_724));
}

#[test]
fn dates_are_days_in_the_zone_of_the_column() {
    assert_eq!(days(Value::Text("2024-01-02"), Policy::default()), Ok(19_724));
    assert_eq!(days(Value::Text("2024-01-02T00:00:00Z"), Policy::default()), Ok(19_724));
    assert_eq!(days(Value::Text("2024-01-02T00:00:00+05:30"), Policy::default()), err("date_has_time"));
    let india = Policy { store_zone: parse_zone("Asia/Kolkata"), ..Policy::default() };
    assert_eq!(days(Value::Text("2024-01-02T00:00:00+05:30"), india), Ok(19_724));
    let epoch = Policy { epoch_unit: Some(EpochUnit::S), ..Policy::default() };
    assert_eq!(days(Value::Number("1704153600"), epoch), Ok(19_724));
    assert_eq!(days(Value::Text("20240102"), Policy::default()), err("timestamp_format"));
    assert_eq!(days(Value::Text("20240102"), formats(&["%Y%m%d"])), Ok(19_724));
    assert_eq!(days(Value::Text("02.01.2024"), Policy::default()), err("timestamp_ambiguous"));
}

#[test]
fn t12_and_t13_a_format_that_is_named_is_read() {
    let utc = |names: &[&str]| Policy { assume_offset: Some(0), ..formats(names) };
    let day = 1_704_153_600_000_000;
    assert_eq!(moment(Value::Text("02/01/2024"), utc(&["%d/%m/%Y"])), Ok(day));
    assert_eq!(moment(Value::Text("31/02/2024"), utc(&["%d/%m/%Y"])), err("timestamp_range"));
    assert_eq!(moment(Value::Text("02/01/2024"), formats(&["%d/%m/%Y"])), err("timestamp_no_zone"));
    assert_eq!(moment(Value::Text("2024-01-02T03:04:05Z"), formats(&["%d/%m/%Y"])), Ok(MOMENT));
    assert_eq!(
        moment(Value::Text("2024-01-02 3:4:5 +0100"), formats(&["%Y-%m-%d %H:%M:%S %z"])),
        Ok(MOMENT - 3_600_000_000)
    );
    assert_eq!(moment(Value::Json("[2024,1,2,3,4,5,123000000]"), utc(&["jackson_array"])), Ok(MOMENT + 123_000));
    assert_eq!(moment(Value::Json("[2024,1,2]"), utc(&["jackson_array"])), Ok(day));
    assert_eq!(moment(Value::Json("[2024,13,2]"), utc(&["jackson_array"])), err("timestamp_range"));
    assert_eq!(moment(Value::Json("[2024,1,2,3,4,5,0]"), utc(&["jackson_array"])), Ok(MOMENT));
    assert_eq!(moment(Value::Json("[2024,1,2,3,4,5,1000]"), utc(&["jackson_array"])), Ok(MOMENT + 1));
    assert_eq!(moment(Value::Json("[2024,1,2,3,4,5,123]"), utc(&["jackson_array"])), err("timestamp_ambiguous"));
    for text in ["/Date(1704164645123+0100)/", "/Date(1704164645123)/"] {
        assert_eq!(moment(Value::Text(text), formats(&["dotnet_date"])), Ok(MOMENT + 123_000));
    }
    assert_eq!(moment(Value::Number("638397614451234567"), formats(&["dotnet_ticks"])), Ok(MOMENT + 123_456));
    for json in [
        r#"{"$date":"2024-01-02T03:04:05Z"}"#,
        r#"{"$date":{"$numberLong":"1704164645000"}}"#,
        r#"{"$date":1704164645000}"#,
    ] {
        assert_eq!(moment(Value::Json(json), formats(&["mongo_extjson"])), Ok(MOMENT), "{json}");
    }
    assert_eq!(moment(Value::Text("Tue, 02 Jan 2024 03:04:05 GMT"), formats(&["rfc2822"])), Ok(MOMENT));
    assert_eq!(moment(Value::Number("1704164645.123456789"), formats(&["unix"])), Ok(MOMENT + 123_456));
    assert_eq!(moment(Value::Text("1704164645123"), formats(&["unix"])), err("timestamp_implausible"));
    assert_eq!(moment(Value::Text("1704164645123"), formats(&["unix", "unix_ms"])), Ok(MOMENT + 123_000));
}

#[test]
fn a_format_takes_nothing_that_a_clock_does_not_show() {
    for (name, text) in [
        ("%Y-%m-%d %H:%M:%S", "2024-01-02 03:04:60"),
        ("%Y-%m-%d %T", "2024-01-02 03:04:60"),
        ("%Y-%m-%dT%H:%M:%S%.f", "2024-12-31T23:59:60.5"),
        ("%Y%m%d%H%M%S", "20240102030460"),
        ("%S/%M/%H %d.%m.%Y", "60/04/03 02.01.2024"),
        ("rfc2822", "Tue, 02 Jan 2024 03:04:60 +0000"),
        ("rfc2822", "Tue, 02 Jan 2024 03:04:05 +2000"),
        ("%Y-%m-%d %H:%M %z", "2024-01-02 03:04 +2000"),
    ] {
        assert_eq!(clock(6, Value::Text(text), formats(&[name])), err("timestamp_range"), "{name}: {text}");
    }
    let last = MOMENT + 54_000_000;
    assert_eq!(clock(6, Value::Text("2024-01-02 03:04:59"), formats(&["%F %T"])), Ok(Some(last)));
    assert_eq!(clock(6, Value::Text("Tue, 02 Jan 2024 03:04:59 GMT (CET)"), formats(&["rfc2822"])), Ok(Some(last)));
    assert_eq!(
        clock(6, Value::Text("Tue, 02 Jan 2024 03:04:05 IST"), formats(&["rfc2822"])),
        err("timestamp_ambiguous")
    );
}

#[test]
fn a_format_takes_no_fewer_digits_than_make_it_clear() {
    for (name, text) in [
        ("%d/%m/%Y", "02/01/24"),
        ("%d/%m/%Y", "02/01/024"),
        ("%d%m%Y", "2012024"),
        ("%Y%m%d", "2024112"),
        ("%d/%m/%y", "02/01/4"),
        ("%G-W%V-%u", "24-W01-2"),
        ("%D", "01/02/4"),
        ("%Y-%m-%d %H%M%S", "2024-01-02 10405"),
    ] {
        assert_eq!(clock(6, Value::Text(text), formats(&[name])), err("timestamp_format"), "{name}: {text}");
    }
    for (name, text) in
        [("%d/%m/%Y", "2/1/2024"), ("%d/%m/%y", "2/1/24"), ("%d%m%Y", "02012024"), ("%G-W%V-%u", "2024-W1-2")]
    {
        assert_eq!(clock(6, Value::Text(text), formats(&[name])), Ok(Some(1_704_153_600_000_000)), "{name}: {text}");
    }
    assert_eq!(days(Value::Text("01/01/0012"), formats(&["%d/%m/%Y"])), Ok(-715_145));
    assert_eq!(clock(6, Value::Text("2024-01-02 1"), formats(&["%Y-%m-%d %H"])), Ok(Some(1_704_157_200_000_000)));
}

#[test]
fn seconds_since_1970_are_whole_and_plausible() {
    let seconds = |text| clock(6, Value::Text(text), formats(&["%s"]));
    assert_eq!(seconds("1704164645"), Ok(Some(MOMENT)));
    assert_eq!(clock(6, Value::Text("1704164645 +0500"), formats(&["%s %z"])), Ok(Some(MOMENT)), "as git writes it");
    for text in ["5", "-1", "9904164645"] {
        assert_eq!(seconds(text), err("timestamp_implausible"), "{text}");
    }
    assert_eq!(seconds("1704164645.999"), err("timestamp_format"));
}

#[test]
fn a_pattern_that_leaves_a_part_of_a_value_unread_is_no_format() {
    for text in [
        "%s%.f",
        "%s %Y",
        "%C%y-%m-%d",
        "%Y %y-%m-%d",
        "%I:%M",
        "%H:%M %p",
        "%Y-%m-%d %j",
        "%d %d/%m/%Y",
        "%Y-%m %j",
        "%Y %U %W %a",
        "%Y %U %V %u",
        "%Y-%m-%dT%z%H:%M",
        "%Y-%m-%dT%H %z:%M",
        "%F %T%:z0",
    ] {
        assert!(Format::parse(text).is_err(), "{text}");
    }
    for text in ["%I:%M %p", "%a, %d %b %Y %T %z", "%Y-%j", "100%% %Y-%m-%d", "%-d.%-m.%Y", "%s"] {
        assert!(Format::parse(text).is_ok(), "{text}: {:?}", Format::parse(text));
    }
    assert!(Format::parse("%H:%M %:z").unwrap().has_offset() && !Format::parse("%H:%M").unwrap().has_offset());
    assert!(!Format::parse("%Y-%m-%d %S").unwrap().has_date(), "seconds of no minute");
}

#[test]
fn a_format_that_cannot_be_read_is_no_format() {
    for text in ["iso", "%d/%m/%", "%!", "%Y-%m-%d %Q", "%Y %Z", ""] {
        assert!(Format::parse(text).is_err(), "{text}");
    }
    assert!(Format::parse("%H:%M").unwrap().is_time() && !Format::parse("%H:%M").unwrap().has_date());
}

#[test]
fn t08_the_least_value_of_dotnet_is_null_where_configured() {
    let policy = Policy { min_value_as_null: true, ..formats(&["dotnet_date"]) };
    for text in ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00", "0001-01-01", "/Date(-62135596800000)/"] {
        assert_eq!(clock(6, Value::Text(text), policy.clone()), Ok(None), "{text}");
        let (stored, note) = full(ColumnType::Timestamptz, policy.clone(), Value::Text(text)).unwrap();
        assert_eq!((stored, note), (Vec::new(), Some("min_value_as_null")), "{text}");
    }
    assert_eq!(moment(Value::Text("2024-01-02T03:04:05Z"), policy), Ok(MOMENT));
}

#[test]
fn times_of_day() {
    let time = |column_type, text, policy| {
        full(column_type, policy, Value::Text(text)).map(|(bytes, _)| bytes).map_err(|error| error.reason.into_owned())
    };
    let micros = |seconds: i64| (seconds * 1_000_000).to_be_bytes().to_vec();
    assert_eq!(time(ColumnType::Time(6), "23:59:59", Policy::default()), Ok(micros(86_399)));
    assert_eq!(time(ColumnType::Time(0), "24:00:00", Policy::default()), Ok(micros(86_400)));
    assert_eq!(time(ColumnType::Time(6), "1:30 PM", formats(&["%I:%M %p"])), Ok(micros(48_600)));
    assert_eq!(time(ColumnType::Time(6), "25:00", Policy::default()), err("time_range"));
    assert_eq!(time(ColumnType::Time(6), "03:04:60", formats(&["%H:%M:%S"])), err("time_range"));
    assert_eq!(time(ColumnType::Time(6), "10405", formats(&["%H%M%S"])), err("time_format"));
    for text in ["12:00:00Z", "1:30", "noon", "", "24:00:01", "24:00:00.5", "12:30.5"] {
        let refused = time(ColumnType::Time(6), text, Policy::default()).unwrap_err();
        assert!(["time_format", "time_range"].contains(&refused.as_str()), "{text}: {refused}");
    }
    for (text, said) in [("03:04:05,123", "is no time"), ("01:04 PM", "is no time"), ("03:04:05 +05", "names a zone")] {
        let refused = full(ColumnType::Time(6), Policy::default(), Value::Text(text)).unwrap_err();
        assert_eq!((refused.reason.as_ref(), refused.detail.contains(said)), ("time_format", true), "{refused}");
    }
    assert_eq!(time(ColumnType::Time(0), "12:00:00.5", Policy::default()), err("too_precise"));
    let east = |seconds: i32| [micros(43_200), (-seconds).to_be_bytes().to_vec()].concat();
    assert_eq!(time(ColumnType::Timetz(6), "12:00:00+05:30", Policy::default()), Ok(east(19_800)));
    assert_eq!(time(ColumnType::Timetz(6), "12:00:00", Policy::default()), err("timestamp_no_zone"));
    let policy = Policy { assume_offset: Some(-3600), ..Policy::default() };
    assert_eq!(time(ColumnType::Timetz(6), "12:00:00", policy), Ok(east(-3600)));
}
