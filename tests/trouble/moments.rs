//! Columns of UUIDs, times, addresses, bytes, arrays and documents.

use crate::columns::Column;
use crate::spellings as of;

const DIGITS: &[&str] = &["integer"];
const RANGE: &[&str] = &["number_range"];
const KIND: &[&str] = &["type_mismatch"];
const AMBIGUOUS: &[&str] = &["timestamp_ambiguous"];
const FORMAT: &[&str] = &["timestamp_format"];
const CALENDAR: &[&str] = &["timestamp_range"];
const IMPLAUSIBLE: &[&str] = &["timestamp_implausible"];

pub(crate) const COLUMNS: &[Column] = &[
    Column {
        name: "reference",
        sql: "uuid",
        settings: "",
        fit: of::uuid,
        bad: &[("\"x\"", &["uuid"]), ("\"\"", &["uuid"]), ("\"0123456g-89ab-4def-8012-3456789abcde\"", &["uuid"])],
    },
    Column {
        name: "at",
        sql: "timestamptz",
        settings: "",
        fit: of::moment,
        bad: &[
            ("\"2024-01-02T03:04:05.193378\"", &["timestamp_no_zone"]),
            ("\"2024-01-02T03:04:05+00:00Z\"", FORMAT),
            ("\"2024-01-02T03:04:05[Europe/Paris]\"", FORMAT),
            ("\"now\"", FORMAT),
            ("\"20240102\"", FORMAT),
            ("1704164645", FORMAT),
            ("[2024,1,2,3,4,5,123000000]", FORMAT),
            ("{\"$date\":\"2024-01-02T03:04:05Z\"}", FORMAT),
            ("\"\"", &["timestamp_empty"]),
            ("\"01/02/2024\"", AMBIGUOUS),
            ("\"13/02/2024\"", AMBIGUOUS),
            ("\"2024-01-02 03:04:05 IST\"", AMBIGUOUS),
            ("\"2024-002\"", AMBIGUOUS),
            ("\"0000-00-00 00:00:00\"", CALENDAR),
            ("\"-0001-01-01\"", CALENDAR),
            ("\"+010000-01-01T00:00:00Z\"", CALENDAR),
            ("\"2024-02-30T00:00:00Z\"", CALENDAR),
            ("\"2024-01-02T03:04:60Z\"", CALENDAR),
        ],
    },
    Column {
        name: "utc",
        sql: "timestamptz",
        settings: "assume_timezone = \"UTC\"",
        fit: of::local,
        bad: &[("\"soon\"", FORMAT)],
    },
    Column {
        name: "wall",
        sql: "timestamp",
        settings: "",
        fit: of::wall,
        bad: &[("\"2023-02-29T00:00:00\"", CALENDAR), ("\"\"", &["timestamp_empty"])],
    },
    Column {
        name: "day",
        sql: "date",
        settings: "",
        fit: of::day,
        bad: &[
            ("\"2024-01-02T03:00:00Z\"", &["date_has_time"]),
            ("\"01/02/2024\"", AMBIGUOUS),
            ("\"2024-04-31\"", CALENDAR),
        ],
    },
    Column {
        name: "hour",
        sql: "time",
        settings: "",
        fit: of::hour,
        bad: &[("\"25:00\"", &["time_range"]), ("\"noon\"", &["time_format"]), ("\"12:00:60\"", &["time_range"])],
    },
    Column {
        name: "lasts",
        sql: "interval",
        settings: "",
        fit: of::lasts,
        bad: &[
            ("\"soon\"", &["interval_format"]),
            ("5", &["interval_format"]),
            ("\"P999999999999Y\"", &["interval_range"]),
        ],
    },
    Column {
        name: "epoch",
        sql: "timestamptz",
        settings: "epoch_unit = \"auto\"",
        fit: of::epoch,
        bad: &[
            ("170416", IMPLAUSIBLE),
            ("\"170416\"", IMPLAUSIBLE),
            ("-1", IMPLAUSIBLE),
            ("0", IMPLAUSIBLE),
            ("1e400", IMPLAUSIBLE),
        ],
    },
    Column {
        name: "formatted",
        sql: "timestamptz",
        settings: "formats = [\"%d/%m/%Y %H:%M\", \"jackson_array\"], assume_timezone = \"Europe/Paris\", min_value_as_null = true",
        fit: of::formatted,
        bad: &[
            ("\"31/03/2024 02:30\"", CALENDAR),
            ("\"27/10/2024 02:30\"", AMBIGUOUS),
            ("\"31/02/2024 10:00\"", CALENDAR),
            ("\"02/01/24 03:04\"", FORMAT),
            ("[2024,1,2,3,4,5,123]", AMBIGUOUS),
        ],
    },
    Column {
        name: "address",
        sql: "inet",
        settings: "",
        fit: of::address,
        bad: &[("\"10.1\"", &["inet"]), ("\"256.1.1.1\"", &["inet"])],
    },
    Column {
        name: "network",
        sql: "cidr",
        settings: "",
        fit: of::network,
        bad: &[("\"10.0.0.1/8\"", &["cidr_host_bits"]), ("\"10.0.0.0/33\"", &["cidr"])],
    },
    Column {
        name: "hardware",
        sql: "macaddr",
        settings: "",
        fit: of::hardware,
        bad: &[("\"08:00:2b:01:02\"", &["macaddr"])],
    },
    Column {
        name: "longer",
        sql: "macaddr8",
        settings: "",
        fit: of::longer,
        bad: &[("\"08:00:2b:01:02:03:04\"", &["macaddr8"]), ("\"x\"", &["macaddr8"])],
    },
    Column {
        name: "blob",
        sql: "bytea",
        settings: "encoding = \"hex\"",
        fit: of::hexadecimal,
        bad: &[("\"0g\"", &["hex"]), ("\"abc\"", &["hex"])],
    },
    Column {
        name: "packed",
        sql: "bytea",
        settings: "encoding = \"base64\"",
        fit: of::base64,
        bad: &[("\"no!\"", &["base64"]), ("\"A\"", &["base64"])],
    },
    Column {
        name: "numbers",
        sql: "int[]",
        settings: "",
        fit: of::numbers,
        bad: &[
            ("[1,\"x\"]", DIGITS),
            ("[1,2147483648]", RANGE),
            ("[[1],[2,3]]", &["array_shape"]),
            ("[[1],2]", &["array_shape"]),
            ("{\"a\":1}", KIND),
        ],
    },
    Column {
        name: "tags",
        sql: "text[]",
        settings: "empty_object_as_array = true",
        fit: of::tags,
        bad: &[("{\"a\":1}", KIND)],
    },
    Column {
        name: "doc",
        sql: "jsonb",
        settings: "",
        fit: of::document,
        bad: &[("{\"a\":\"\\u0000\"}", &["json_nul"])],
    },
    Column {
        name: "empty",
        sql: "timestamptz",
        settings: "empty_as_null = true",
        fit: of::empty,
        bad: &[("\" x\"", FORMAT)],
    },
    Column {
        name: "tokens",
        sql: "bigint",
        settings: "null_tokens = [\"None\", \"null\"]",
        fit: of::tokens,
        bad: &[("\"none\"", DIGITS), ("\"undefined\"", DIGITS), ("\"\"", DIGITS)],
    },
    Column {
        name: "rounded",
        sql: "numeric(6,1)",
        settings: "round = true",
        fit: of::rounded,
        bad: &[("99999.95", RANGE), ("\"x\"", &["number"])],
    },
    Column {
        name: "finite",
        sql: "double precision",
        settings: "nonfinite = \"null\"",
        fit: of::finite,
        bad: &[("\"nan?\"", &["number"])],
    },
    Column {
        name: "must",
        sql: "text NOT NULL",
        settings: "",
        fit: of::given,
        bad: &[("null", &["not_null"]), ("", &["field_missing"])],
    },
    Column {
        name: "seven",
        sql: "int NOT NULL DEFAULT 7",
        settings: "",
        fit: of::small,
        bad: &[("null", &["not_null"]), ("\"\"", DIGITS)],
    },
];
