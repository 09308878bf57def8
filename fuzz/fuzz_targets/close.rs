#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| microraiden_fuzz::close(bytes));
