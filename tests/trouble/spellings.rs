//! What fits a column of each type, in the spellings that are found in the field, and what it is then.

use crate::json::quoted;
use crate::random::Random;

/// A value that fits: its JSON, what PostgreSQL reads the field from, and the repair that is counted.
pub(crate) type Fit = (String, Option<String>, Option<&'static str>);

fn as_is(text: impl ToString, shown: impl ToString) -> Fit {
    (text.to_string(), Some(shown.to_string()), None)
}

fn string(text: &str, shown: impl ToString) -> Fit {
    as_is(quoted(text), shown)
}

fn one_of(random: &mut Random, of: &[(&str, &str)]) -> Fit {
    let (json, shown) = random.pick(of);
    as_is(json, shown)
}

pub(crate) fn integer(random: &mut Random) -> Fit {
    let number = random.between(-(1 << 50), 1 << 50);
    match random.below(7) {
        0 => string(&number.to_string(), number),
        1 => string(&format!(" {number} "), number),
        2 => as_is(format!("{number}.0"), number),
        3 => string(&format!("{number}.00"), number),
        4 => (format!("{}e3", number % 1000), Some((number % 1000 * 1000).to_string()), Some("integer_from_exponent")),
        5 => string(&format!("+00{}", number.abs()), number.abs()),
        _ => as_is(number, number),
    }
}

pub(crate) fn small(random: &mut Random) -> Fit {
    let number = random.pick(&[-32768, -1, 0, 7, 32767]);
    as_is(number, number)
}

pub(crate) fn numeric(random: &mut Random) -> Fit {
    let (whole, cents) = (random.between(-9_999_999, 9_999_999), random.below(100));
    let text = format!("{whole}.{cents:02}");
    if random.once_in(2) { string(&text, &text) } else { as_is(&text, &text) }
}

pub(crate) fn double(random: &mut Random) -> Fit {
    one_of(random, &[("0.1", "0.1"), ("\"-2.5\"", "-2.5"), ("1e300", "1e300"), ("5", "5"), ("5e-324", "5e-324")])
}

pub(crate) fn single(random: &mut Random) -> Fit {
    one_of(random, &[("0.5", "0.5"), ("\"16777216\"", "16777216"), ("1e30", "1e30"), ("-3", "-3")])
}

pub(crate) fn boolean(random: &mut Random) -> Fit {
    let of =
        [("true", "t"), ("\"True\"", "t"), ("1", "t"), ("\"YES\"", "t"), ("\"on\"", "t"), ("\"0\"", "f"), ("0", "f")];
    if random.once_in(4) {
        one_of(random, &[("\"off\"", "f"), ("\"F\"", "f"), ("false", "f"), ("\"n\"", "f")])
    } else {
        one_of(random, &of)
    }
}

pub(crate) fn title(random: &mut Random) -> Fit {
    let length = random.below(6);
    let text = if random.once_in(4) {
        format!("{:<5}", random.text(2)).chars().take(5).collect()
    } else {
        random.text(length)
    };
    string(&text, &text)
}

pub(crate) fn code(random: &mut Random) -> Fit {
    let length = 1 + random.below(4);
    let text = random.text(length);
    string(&text, &text)
}

pub(crate) fn cut(random: &mut Random) -> Fit {
    let length = random.below(7);
    let text = random.text(length);
    let kept: String = text.chars().take(3).collect();
    (quoted(&text), Some(kept), (length > 3).then_some("too_long"))
}

pub(crate) fn uuid(random: &mut Random) -> Fit {
    let uuid = random.uuid();
    match random.below(4) {
        0 => string(&uuid.to_uppercase(), &uuid),
        1 => string(&uuid.replace('-', ""), &uuid),
        2 => string(&format!("{{{uuid}}}"), &uuid),
        _ => string(&uuid, &uuid),
    }
}

pub(crate) fn moment(random: &mut Random) -> Fit {
    let at = random.moment();
    let zone = random.pick(&["Z", "z", "+00:00", "-00:00", "+05:30", "-08:00", "+05", "+0530", " UTC"]);
    let more = if at.fraction.is_empty() { String::new() } else { "789".repeat(random.below(3)) };
    string(&format!("{}{more}{zone}", at.iso()), format!("{}{}", at.shown(), zone.trim()))
}

pub(crate) fn local(random: &mut Random) -> Fit {
    let at = random.moment();
    let text = if random.once_in(2) { at.iso() } else { at.iso().replace('T', " ") };
    string(&text, at.shown())
}

/// With an offset, which is converted.
pub(crate) fn wall(random: &mut Random) -> Fit {
    let at = random.moment();
    if random.once_in(2) {
        return string(&at.iso(), at.shown());
    }
    let day = random.pick(&["2024-03-10", "2000-02-29"]);
    let hour = random.below(20);
    string(&format!("{day}T{hour:02}:15:00-03:00"), format!("{day} {:02}:15:00", hour + 3))
}

pub(crate) fn day(random: &mut Random) -> Fit {
    let day = random.moment().day;
    match random.below(3) {
        0 => string(&format!("{day}T00:00:00"), &day),
        1 => string(&format!("{day}T00:00:00Z"), &day),
        _ => string(&day, &day),
    }
}

pub(crate) fn hour(random: &mut Random) -> Fit {
    let at = random.moment();
    string(&format!("{}{}", at.clock, at.fraction), format!("{}{}", at.clock, at.fraction))
}

pub(crate) fn lasts(random: &mut Random) -> Fit {
    let of = [
        ("\"P1DT2H3.5S\"", "1 day 02:00:03.5"),
        ("\"1 day 02:00:03.5\"", "1 day 02:00:03.5"),
        ("\"2 hours ago\"", "-02:00:00"),
        ("\"P1Y2M\"", "1 year 2 mons"),
    ];
    one_of(random, &of)
}

pub(crate) fn epoch(random: &mut Random) -> Fit {
    let (seconds, micros) = (random.between(700_000_000, 4_000_000_000), random.below(1_000_000));
    let (text, micros) = match random.below(4) {
        0 => (format!("{seconds}.{micros:06}999"), micros),
        1 => (format!("{seconds}{:03}", micros / 1000), micros / 1000 * 1000),
        2 => (format!("{seconds}{micros:06}"), micros),
        _ => (seconds.to_string(), 0),
    };
    let shown = jiff::Timestamp::from_microsecond(seconds * 1_000_000 + i64::try_from(micros).unwrap()).unwrap();
    if random.once_in(2) { string(&text, shown) } else { as_is(text, shown) }
}

pub(crate) fn formatted(random: &mut Random) -> Fit {
    let of = [
        ("\"02/01/2024 03:04\"", "2024-01-02 02:04:00+00"),
        ("\"1/7/2024 23:59\"", "2024-07-01 21:59:00+00"),
        ("[2024,1,2,3,4,5,123000000]", "2024-01-02 02:04:05.123+00"),
        ("[2024,7,2,3,4]", "2024-07-02 01:04:00+00"),
        ("\"2024-01-02T03:04:05Z\"", "2024-01-02 03:04:05+00"),
        ("\"2024-01-02T03:04:05\"", "2024-01-02 02:04:05+00"),
    ];
    if random.once_in(8) {
        return ("\"0001-01-01T00:00:00\"".to_owned(), None, Some("min_value_as_null"));
    }
    one_of(random, &of)
}

pub(crate) fn address(random: &mut Random) -> Fit {
    one_of(random, &[("\"10.1.2.3\"", "10.1.2.3"), ("\"10.1.2.3/8\"", "10.1.2.3/8"), ("\"::ffff:1:2\"", "::ffff:1:2")])
}

pub(crate) fn network(random: &mut Random) -> Fit {
    one_of(random, &[("\"10.0.0.0/8\"", "10.0.0.0/8"), ("\"2001:db8::/32\"", "2001:db8::/32")])
}

pub(crate) fn hardware(random: &mut Random) -> Fit {
    one_of(random, &[("\"08:00:2b:01:02:03\"", "08:00:2b:01:02:03"), ("\"08-00-2B-01-02-03\"", "08:00:2b:01:02:03")])
}

pub(crate) fn longer(random: &mut Random) -> Fit {
    one_of(random, &[("\"08:00:2b:01:02:03:04:05\"", "08:00:2b:01:02:03:04:05")])
}

pub(crate) fn hexadecimal(random: &mut Random) -> Fit {
    one_of(random, &[("\"00ff10\"", "\\x00ff10"), ("\"\"", "\\x"), ("\"ABCDEF\"", "\\xabcdef")])
}

pub(crate) fn base64(random: &mut Random) -> Fit {
    one_of(random, &[("\"AP8Q\"", "\\x00ff10"), ("\"\"", "\\x"), ("\"-_8\"", "\\xfbff"), ("\"AP\\n8Q\"", "\\x00ff10")])
}

pub(crate) fn numbers(random: &mut Random) -> Fit {
    one_of(
        random,
        &[("[1,\"2\",null]", "{1,2,NULL}"), ("[]", "{}"), ("[[1,2],[3,4]]", "{{1,2},{3,4}}"), ("\"[5]\"", "{5}")],
    )
}

pub(crate) fn tags(random: &mut Random) -> Fit {
    if random.once_in(4) {
        return ("{}".to_owned(), Some("{}".to_owned()), Some("empty_object_as_array"));
    }
    one_of(
        random,
        &[("[\"a\",\"b,\\\"c\"]", "{a,\"b,\\\"c\"}"), ("[\"NULL\",null]", "{\"NULL\",NULL}"), ("[\"é\"]", "{é}")],
    )
}

pub(crate) fn document(random: &mut Random) -> Fit {
    let text = crate::json::Hole::new(random, crate::json::At::Value, false).text("[]");
    as_is(&text, &text)
}

pub(crate) fn empty(random: &mut Random) -> Fit {
    if random.once_in(2) { ("\"\"".to_owned(), None, None) } else { moment(random) }
}

pub(crate) fn tokens(random: &mut Random) -> Fit {
    if random.once_in(2) { (random.pick(&["\"None\"", "\"null\""]).to_string(), None, None) } else { small(random) }
}

pub(crate) fn rounded(random: &mut Random) -> Fit {
    let (text, shown, repair) = random.pick(&[
        ("1.25", "1.3", Some("round")),
        ("-1.25", "-1.3", Some("round")),
        ("1.2", "1.2", None),
        ("\"0.04\"", "0.0", Some("round")),
    ]);
    (text.to_owned(), Some(shown.to_owned()), repair)
}

pub(crate) fn finite(random: &mut Random) -> Fit {
    if random.once_in(3) {
        return (random.pick(&["\"NaN\"", "\"-Infinity\""]).to_string(), None, Some("nonfinite"));
    }
    double(random)
}

pub(crate) fn mood(random: &mut Random) -> Fit {
    one_of(random, &[("\"ok\"", "ok"), ("\"so, so\"", "so, so"), ("\"Ünwohl\"", "Ünwohl")])
}

pub(crate) fn percent(random: &mut Random) -> Fit {
    one_of(random, &[("0", "0.00"), ("100", "100.00"), ("\"12.34\"", "12.34")])
}

pub(crate) fn given(random: &mut Random) -> Fit {
    let text = random.word();
    string(&text, &text)
}
