//! Files that say who has access: no text makes the reader panic, and what it accepts can be written and read again.
//!
//! ```text
//! cargo +nightly fuzz run --sanitizer none access_file fuzz/corpus/access_file src/declared/write -- \
//!     -max_len=16384 -max_total_time=600
//! ```
#![no_main]

use kubelend::declared;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let providers = ["dex".parse().unwrap()];
    match declared::read(text, &providers) {
        Ok(file) => {
            let written = declared::write(&file, &providers, &[]);
            let again = declared::read(&written, &providers).unwrap_or_else(|why| panic!("{why:?}\n{written}"));
            assert_eq!(declared::write(&again, &providers, &[]), written);
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            for mistake in mistakes {
                assert!(mistake.at.line > 0 && mistake.at.column > 0);
                assert!(!mistake.problem.is_empty() && !mistake.fix.is_empty());
            }
        }
    }
});
