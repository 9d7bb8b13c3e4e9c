#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| redis2pg_fuzz::transcode(data));
