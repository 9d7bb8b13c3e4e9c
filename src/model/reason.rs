//! The codes of the reasons for which a key is rejected: all that there are. They stay the same from version to version,
//! and docs/rejects.md explains each.

/// Every code, in the order of the alphabet. Some come with what was found in brackets: `redis_type (hash)`.
pub const REASONS: [&str; 72] = [
    "array_shape",
    "base64",
    "boolean",
    "changed_while_read",
    "check",
    "cidr",
    "cidr_host_bits",
    "date_has_time",
    "decompress_failed",
    "duplicate_key_after_conversion",
    "empty_value",
    "encoding_bytes_in_json",
    "encoding_unsupported",
    "enum",
    "exclusion",
    "exists",
    "field_missing",
    "foreign_key",
    "hex",
    "inet",
    "integer",
    "integer_from_exponent",
    "interval_format",
    "interval_range",
    "invalid_utf8",
    "jq",
    "jq_outputs",
    "json_depth",
    "json_duplicate_key",
    "json_nonfinite",
    "json_not_array",
    "json_not_object",
    "json_nul",
    "json_number_range",
    "json_surrogate",
    "json_syntax",
    "key_collision",
    "key_empty_id",
    "key_not_utf8",
    "key_null",
    "key_pattern",
    "macaddr",
    "macaddr8",
    "missing_parent",
    "msgpack_key",
    "msgpack_syntax",
    "not_null",
    "not_stored",
    "number",
    "number_range",
    "out_of_range",
    "php_syntax",
    "prefix_missing",
    "redis_type",
    "refused",
    "row_security",
    "text_nul",
    "time_format",
    "time_range",
    "timestamp_ambiguous",
    "timestamp_empty",
    "timestamp_format",
    "timestamp_implausible",
    "timestamp_no_zone",
    "timestamp_range",
    "too_long",
    "too_precise",
    "type_input",
    "type_mismatch",
    "unique",
    "uuid",
    "value_too_large",
];

/// Whether a reason is one of [`REASONS`], with or without brackets.
pub fn is_reason(reason: &str) -> bool {
    let code = reason.split_once(" (").filter(|_| reason.ends_with(')')).map_or(reason, |(code, _)| code);
    REASONS.binary_search(&code).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{REASONS, is_reason};

    #[test]
    fn every_reason_is_found_and_nothing_else() {
        assert!(REASONS.is_sorted());
        assert!(REASONS.iter().all(|reason| is_reason(reason)));
        assert!(is_reason("redis_type (hash)") && is_reason("encoding_unsupported (utf-16)"));
        assert!(!is_reason("redis_type (hash") && !is_reason("json") && !is_reason(""));
    }
}
