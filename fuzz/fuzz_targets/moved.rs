//! See [`vcp_fuzz::moved`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vcp_fuzz::moved::run(data));
