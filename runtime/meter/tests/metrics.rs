//! The text for Prometheus is read by the letter of the format: every line, every escape,
//! the order of families, and the rules of a histogram.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::snapshot;
use vcp_meter::{Histogram, Snapshot, Vcp, prometheus};

type Labels = BTreeMap<String, String>;

/// One line with a value.
#[derive(Debug)]
struct Sample {
    name: String,
    labels: Labels,
    value: f64,
}

/// The samples under one `# TYPE`.
#[derive(Debug)]
struct Family {
    name: String,
    kind: String,
    samples: Vec<Sample>,
}

/// A name at the start of `text`, and what follows it.
fn name(text: &str) -> (&str, &str) {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let end = text.find(|c| !letter(c)).unwrap_or(text.len());
    assert!(
        end > 0 && !text.starts_with(|c: char| c.is_ascii_digit()),
        "{text}"
    );
    text.split_at(end)
}

/// `{label="value",…}`, and what follows it.
fn labels(text: &str) -> (Labels, &str) {
    let mut labels = Labels::new();
    let Some(mut rest) = text.strip_prefix('{') else {
        return (labels, text);
    };
    loop {
        let (label, after) = name(rest);
        let mut chars = after.strip_prefix("=\"").expect("a quote").chars();
        let mut value = String::new();
        loop {
            match chars.next().expect("the value ends") {
                '"' => break,
                '\\' => match chars.next() {
                    Some('n') => value.push('\n'),
                    Some(c @ ('\\' | '"')) => value.push(c),
                    other => panic!("escaped {other:?} in {text}"),
                },
                c => value.push(c),
            }
        }
        let again = labels.insert(label.to_owned(), value);
        assert_eq!(again, None, "{label} twice in {text}");
        rest = chars.as_str();
        if let Some(after) = rest.strip_prefix('}') {
            return (labels, after);
        }
        rest = rest.strip_prefix(',').expect("a comma or the end");
    }
}

fn parse(text: &str) -> Vec<Family> {
    assert!(text.ends_with('\n'));
    let mut families: Vec<Family> = Vec::new();
    let mut help = None;
    for line in text.lines() {
        if let Some(line) = line.strip_prefix("# HELP ") {
            let (name, text) = name(line);
            assert!(text.len() > 10 && !text.contains('\\'), "{line}");
            assert_eq!(help.replace(name.to_owned()), None);
        } else if let Some(line) = line.strip_prefix("# TYPE ") {
            let (name, kind) = name(line);
            assert_eq!(help.take().as_deref(), Some(name), "HELP comes before TYPE");
            let seen = families.iter().any(|family| family.name == name);
            assert!(!seen, "{name} in two places");
            families.push(Family {
                name: name.to_owned(),
                kind: kind.trim_start().to_owned(),
                samples: Vec::new(),
            });
        } else {
            let (name, rest) = name(line);
            let (labels, value) = labels(rest);
            let value = value.strip_prefix(' ').expect("a space before the value");
            let family = families.last_mut().expect("a family before its samples");
            let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
            family.samples.push(Sample {
                name: name.to_owned(),
                labels,
                value,
            });
        }
    }
    families
}

/// Checks the rules that hold for all families.
fn check(families: &[Family]) {
    let mut series = BTreeSet::new();
    for family in families {
        assert!(family.name.starts_with("vcp_"), "{}", family.name);
        let counter = family.kind == "counter";
        assert_eq!(family.name.ends_with("_total"), counter, "{}", family.name);
        for sample in &family.samples {
            let id = (sample.name.clone(), sample.labels.clone());
            assert!(series.insert(id), "{sample:?} twice");
            assert!(sample.value >= 0.0, "{sample:?}");
            match family.kind.as_str() {
                "counter" | "gauge" => assert_eq!(sample.name, family.name),
                "histogram" => {
                    let suffix = sample.name.strip_prefix(&family.name).unwrap();
                    let bucket = sample.labels.contains_key("le");
                    assert_eq!(suffix == "_bucket", bucket, "{sample:?}");
                    assert!(["_bucket", "_sum", "_count"].contains(&suffix));
                }
                other => panic!("{other}"),
            }
        }
    }
}

fn value(families: &[Family], name: &str, wanted: &[(&str, &str)]) -> f64 {
    let wanted: Labels = wanted
        .iter()
        .map(|(label, value)| ((*label).to_owned(), (*value).to_owned()))
        .collect();
    let mut samples = families.iter().flat_map(|family| &family.samples);
    let sample = samples.find(|sample| sample.name == name && sample.labels == wanted);
    sample
        .unwrap_or_else(|| panic!("no {name} {wanted:?}"))
        .value
}

#[test]
fn every_figure_is_there_in_base_units() {
    let text = prometheus(&snapshot(10));
    let families = parse(&text);
    check(&families);
    let disk = [("vcp", "disk0")];
    for (name, expected) in [
        ("vcp_cpu_seconds_total", 2.98),
        ("vcp_cpu_reserved_seconds_total", 2.9),
        ("vcp_cpu_slack_seconds_total", 0.08),
        ("vcp_cpu_share_ratio", 0.3333),
        ("vcp_cpu_period_seconds", 0.01),
        ("vcp_cpu_slack_weight", 33.0),
        ("vcp_fuel_total", 5e10),
        ("vcp_calls_total", 4000.0),
        ("vcp_entries_total", 10_000.0),
        ("vcp_requests_completed_total", 9500.0),
        ("vcp_frames_received_total", 110.0),
        ("vcp_frames_sent_total", 120.0),
        ("vcp_frames_dropped_total", 10.0),
        ("vcp_read_bytes_total", 25e6),
        ("vcp_written_bytes_total", 10e6),
        ("vcp_faults_total", 5.0),
        ("vcp_restarts_total", 3.0),
        ("vcp_low_space_total", 2.0),
        ("vcp_generation", 4.0),
        ("vcp_clients", 2.0),
        ("vcp_requests_unanswered", 31.0),
        ("vcp_queue_held", 27.0),
        ("vcp_queue_limit", 128.0),
        ("vcp_memory_bytes", 50_331_648.0),
        ("vcp_memory_limit_bytes", 67_108_864.0),
        ("vcp_processor_vcps", 2.0),
        ("vcp_batch_size_sum", 25.0),
        ("vcp_batch_size_count", 10.0),
        ("vcp_queue_depth_sum", 5.0),
        ("vcp_queue_depth_count", 8.0),
    ] {
        assert_eq!(value(&families, name, &disk), expected, "{name}");
    }
    let export = [("export", "disk0-ro"), ("vcp", "disk0")];
    for (name, expected) in [
        ("vcp_export_clients", 3.0),
        ("vcp_export_requests_total", 9000.0),
        ("vcp_export_bytes_total", 10_485_760.0),
        ("vcp_export_limited_seconds_total", 1.23456789),
        ("vcp_export_limit_requests_per_second", 1000.0),
    ] {
        assert_eq!(value(&families, name, &export), expected, "{name}");
    }
    assert_eq!(
        value(&families, "vcp_build_info", &[("version", "1.2.3")]),
        1.0
    );
    assert_eq!(value(&families, "vcp_process_cpu_seconds_total", &[]), 4.52);
    let absent = families
        .iter()
        .find(|f| f.name == "vcp_export_limit_bytes_per_second");
    assert!(absent.unwrap().samples.is_empty(), "no limit is no sample");
    // The text itself is compared, as floating point would hide a difference.
    assert!(text.contains("\nvcp_cpu_seconds_total{vcp=\"disk0\"} 2.98\n"));
    assert!(
        text.contains(
            "\nvcp_stall_seconds_total{vcp=\"disk0\",cause=\"queue-full\"} 0.000000002\n"
        )
    );
}

#[test]
fn states_and_stalls_are_told_apart() {
    let families = parse(&prometheus(&snapshot(10)));
    let strange = "back\\slash \"quoted\"\nline";
    for (vcp, state, expected) in [
        ("disk0", "ready", 1.0),
        ("disk0", "held", 0.0),
        (strange, "held", 1.0),
        (strange, "ready", 0.0),
    ] {
        let labels = [("vcp", vcp), ("state", state)];
        assert_eq!(value(&families, "vcp_state", &labels), expected);
    }
    for (cause, expected) in [("throttled", 4.2), ("waiting", 0.17), ("no-instance", 1.5)] {
        let labels = [("vcp", "disk0"), ("cause", cause)];
        assert_eq!(
            value(&families, "vcp_stall_seconds_total", &labels),
            expected
        );
    }
    let mut unheard = Snapshot::default();
    unheard.vcps.push(Vcp {
        state: "dreaming".into(),
        ..Vcp::default()
    });
    let families = parse(&prometheus(&unheard));
    let labels = [("vcp", ""), ("state", "dreaming")];
    assert_eq!(value(&families, "vcp_state", &labels), 1.0);
}

#[test]
fn histograms_are_cumulative_and_end_in_infinity() {
    let families = parse(&prometheus(&snapshot(1)));
    let batch = families
        .iter()
        .find(|f| f.name == "vcp_batch_size")
        .unwrap();
    let buckets: Vec<_> = batch
        .samples
        .iter()
        .filter(|sample| sample.labels["vcp"] == "disk0")
        .filter_map(|sample| Some((sample.labels.get("le")?.as_str(), sample.value)))
        .collect();
    let expected = [
        ("0", 0.0),
        ("1", 4.0),
        ("3", 7.0),
        ("7", 9.0),
        ("+Inf", 10.0),
    ];
    assert_eq!(buckets, expected);
}

#[test]
fn nothing_at_all_is_metrics_too() {
    check(&parse(&prometheus(&Snapshot::default())));
    let mut empty = Snapshot::default();
    empty.vcps.push(Vcp::default());
    empty.vcps[0].depths = Histogram::new(vec![u64::MAX; 100], u64::MAX);
    let families = parse(&prometheus(&empty));
    check(&families);
    let labels = [("vcp", ""), ("le", "+Inf")];
    assert_eq!(value(&families, "vcp_batch_size_bucket", &labels), 0.0);
}

#[test]
fn a_snapshot_comes_through_json_also_in_part() {
    let whole = snapshot(9);
    let json = serde_json::to_string(&whole).unwrap();
    assert!(json.contains("\"queue-full-ns\":2"), "{json}");
    assert_eq!(serde_json::from_str::<Snapshot>(&json).unwrap(), whole);
    let part = r#"{"pid":1,"new":[],"vcps":[{"name":"a","also-new":1}]}"#;
    let part: Snapshot = serde_json::from_str(part).unwrap();
    assert_eq!((part.pid, part.vcps[0].name.as_str()), (1, "a"));
}
