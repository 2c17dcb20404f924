//! Parsing and applying the words of `vcp set`.

use proptest::prelude::*;
use vcp_config::{Change, Limit, Module, Slack, Vcp};

fn read(words: &[&str]) -> Result<Vec<Change>, String> {
    Change::read(words).map_err(|error| error.to_string())
}

#[track_caller]
fn wrong(word: &str, message: &str) {
    assert_eq!(read(&[word]), Err(message.to_owned()), "{word}");
}

#[test]
fn every_key_has_a_typed_value() {
    let words = [
        "cpu.share=33.33%",
        "cpu.period=5ms",
        "cpu.slack=250",
        "memory=128MiB",
        "queue-depth=64",
        "limit.iops=1000",
        "limit.bytes=100MiB",
        "limit.burst=2s",
    ];
    let changes = read(&words).unwrap();
    let keys: Vec<_> = changes.iter().map(Change::key).collect();
    assert_eq!(keys, Change::KEYS);
    let again: Vec<_> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(again, words);
    let limits = changes.iter().filter(|change| change.is_limit()).count();
    assert_eq!(limits, 3);
    assert_eq!(
        read(&["cpu.share=none", "limit.iops=none", "limit.bytes=none"]),
        Ok(vec![
            Change::Share(None),
            Change::LimitIops(None),
            Change::LimitBytes(None)
        ])
    );
    assert_eq!(read(&["cpu.slack=no"]), Ok(vec![Change::Slack(Slack::No)]));
}

#[test]
fn every_refusal_names_key_value_and_what_is_expected() {
    wrong(
        "cpu.share=150%",
        "cpu.share: expected a percentage above 0% and up to 100%, such as \"50%\", or \"none\", found \"150%\"",
    );
    wrong(
        "cpu.period=2s",
        "cpu.period: expected a time from 100us to 1s, found \"2s\"",
    );
    wrong(
        "cpu.slack=1001",
        "cpu.slack: expected true, false or a weight from 1 to 1000, found \"1001\"",
    );
    wrong(
        "memory=1",
        "memory: expected a multiple of 64KiB from 1MiB to 4GiB, or \"none\", found \"1\"",
    );
    wrong(
        "queue-depth=0",
        "queue-depth: expected a number from 1 to 4096, found \"0\"",
    );
    wrong(
        "limit.iops=+5",
        "limit.iops: expected a number from 1 to 10000000, or \"none\", found \"+5\"",
    );
    wrong(
        "limit.bytes=1",
        "limit.bytes: expected bytes a second from 4KiB to 1TiB, or \"none\", found \"1\"",
    );
    wrong(
        "limit.burst=none",
        "limit.burst: expected a time with its unit, such as \"50ms\" or \"5s\", found \"none\"",
    );
    wrong(
        "limit.burst=1ms",
        "limit.burst: expected a time from 10ms to 1min, found \"1ms\"",
    );
    let keys = "cpu.share, cpu.period, cpu.slack, memory, queue-depth, limit.iops, limit.bytes, limit.burst";
    wrong(
        "cpu.shares=1%",
        &format!(
            "\"cpu.shares\": unknown key (did you mean \"cpu.share\"?); expected one of: {keys}"
        ),
    );
    wrong("a\nb", "\"a\\nb\": expected KEY=VALUE");
    assert_eq!(
        read(&[]),
        Err(format!("KEY=VALUE: missing; expected one of: {keys}"))
    );
    assert_eq!(
        read(&["memory=1MiB", "memory=2MiB"]),
        Err("memory: given twice".into())
    );
}

#[test]
fn changes_hold_together_or_not_at_all() {
    let mut vcp = Vcp::new(Module::Builtin("ramdisk".into()));
    let before = vcp.clone();
    let alone = read(&["memory=1MiB", "cpu.slack=false"]).unwrap();
    assert_eq!(
        Change::apply(&alone, &mut vcp).unwrap_err().to_string(),
        "cpu.slack: false needs a share: without either the VCP never runs"
    );
    assert_eq!(vcp, before);
    let both = read(&["cpu.slack=false", "cpu.share=30%", "queue-depth=7"]).unwrap();
    Change::apply(&both, &mut vcp).unwrap();
    assert_eq!(vcp.cpu.weight(), 0);
    assert_eq!(vcp.queue_depth, 7);
    let share = read(&["cpu.share=none"]).unwrap();
    assert!(Change::apply(&share, &mut vcp).is_err());

    let mut limit = Limit::default();
    let changes = read(&["limit.iops=10", "limit.burst=10ms", "memory=1MiB"]).unwrap();
    Change::apply_to_limit(&changes, &mut limit);
    assert_eq!((limit.iops, limit.bytes), (Some(10), None));
    Change::apply_to_limit(&[Change::LimitIops(None)], &mut limit);
    assert!(limit.is_none());
}

proptest! {
    #[test]
    fn a_word_is_one_line_or_comes_back(key in 0usize..8, value in "[0-9a-z.%+KMGi]{0,6}|none|true", word: String) {
        for word in [format!("{}={value}", Change::KEYS[key]), word] {
            match word.parse::<Change>() {
                Ok(change) => prop_assert_eq!(change.to_string().parse(), Ok(change)),
                Err(error) => prop_assert_eq!(error.to_string().lines().count(), 1),
            }
        }
    }
}
