//! Operational negotiation: valid answers, and defaults without an answer.

use std::format;

use super::*;

#[test]
fn answers_in_any_order_and_over_several_rounds() {
    let mut play = play(&[("header-digest", "prefer")]).operational();
    assert_eq!(play.value("HeaderDigest"), Some("CRC32C,None"));
    play.tell(false, "InitialR2T=No\0MaxBurstLength=65536\0");
    assert_eq!(play.text, "");
    play.tell(false, "");
    let params = play.done(
        "FirstBurstLength=32768\0HeaderDigest=CRC32C\0DataDigest=None\0ErrorRecoveryLevel=0\0\
         MaxRecvDataSegmentLength=16384\0MaxConnections=1\0DefaultTime2Wait=3\0\
         DataPDUInOrder=Yes\0ImmediateData=No\0MaxOutstandingR2T=4\0",
    );
    assert_eq!(
        params,
        Params {
            header_digest: true,
            data_digest: false,
            max_send_segment: 16384,
            max_burst: 65536,
            first_burst: 32768,
            initial_r2t: false,
            immediate_data: false,
            max_outstanding_r2t: 4,
            time2wait: 3,
        }
    );
}

#[test]
fn keys_without_answer_keep_their_defaults() {
    let params = play(&[]).operational().done("");
    assert_eq!(params, Params::default());
}

#[test]
fn reject_and_not_understood_leave_the_default() {
    let mut play = play(&[("header-digest", "prefer")]).operational();
    let params =
        play.done("HeaderDigest=Reject\0MaxOutstandingR2T=NotUnderstood\0MaxBurstLength=Reject\0");
    assert_eq!(params.max_outstanding_r2t, 1);
    assert_eq!(params.max_burst, 262_144);
    assert!(!params.header_digest);
}

#[test]
fn irrelevant_only_where_it_can_be() {
    let mut good = play(&[("initial-r2t", "yes"), ("immediate-data", "no")]).operational();
    good.done("FirstBurstLength=Irrelevant\0ImmediateData=No\0InitialR2T=Yes\0");
    let mut bad = play(&[]).operational();
    violation(bad.hear(true, "MaxBurstLength=Irrelevant\0"));
}

#[test]
fn answers_beyond_the_offer_are_refused() {
    for (extra, answer) in [
        (("max-burst-length", "65536"), "MaxBurstLength=65537"),
        (("max-burst-length", "65536"), "MaxBurstLength=511"),
        (("max-burst-length", "65536"), "MaxBurstLength=lots"),
        (("first-burst-length", "65536"), "FirstBurstLength=131072"),
        (("max-outstanding-r2t", "4"), "MaxOutstandingR2T=5"),
        (("max-outstanding-r2t", "4"), "MaxOutstandingR2T=0"),
        (("initial-r2t", "yes"), "InitialR2T=No"),
        (("immediate-data", "no"), "ImmediateData=Yes"),
        (("immediate-data", "yes"), "ImmediateData=yes"),
        (("header-digest", "none"), "HeaderDigest=CRC32C"),
        (("header-digest", "prefer"), "HeaderDigest=MD5"),
        (("data-digest", "crc32c"), "DataDigest=None"),
        (("lun", "1"), "ErrorRecoveryLevel=1"),
        (("lun", "1"), "MaxConnections=2"),
        (("lun", "1"), "DataPDUInOrder=No"),
        (("lun", "1"), "DataSequenceInOrder=No"),
        (("lun", "1"), "DefaultTime2Retain=20"),
        (("lun", "1"), "DefaultTime2Wait=3601"),
        (("lun", "1"), "MaxRecvDataSegmentLength=0"),
        (("lun", "1"), "AuthMethod=None"),
    ] {
        let mut play = play(&[extra]).operational();
        violation(play.hear(true, &format!("{answer}\0")));
    }
}

#[test]
fn keys_are_negotiated_once() {
    let mut play = play(&[]).operational();
    violation(play.hear(false, "MaxBurstLength=65536\0MaxBurstLength=65536\0"));
    let mut again = super::tests::play(&[]).operational();
    again.tell(false, "MaxRecvDataSegmentLength=8192\0");
    violation(again.hear(false, "MaxRecvDataSegmentLength=16384\0"));
    let mut group = super::play(&[]).operational();
    assert_eq!(group.login.portal_group(), Some(1));
    group.tell(false, "TargetPortalGroupTag=1\0");
    violation(group.hear(false, "TargetPortalGroupTag=2\0"));
}

#[test]
fn required_digests_are_insisted_on() {
    let mut play = play(&[("header-digest", "crc32c")]).operational();
    violation(play.hear(true, ""));
    let mut play = super::tests::play(&[("data-digest", "crc32c")]).operational();
    violation(play.hear(true, "DataDigest=Reject\0"));
    let mut play = super::tests::play(&[("data-digest", "crc32c")]).operational();
    assert!(play.done("DataDigest=CRC32C\0").data_digest);
}

#[test]
fn digests_are_taken_of_a_target_that_insists() {
    let mut play = play(&[]).operational();
    assert_eq!(play.value("HeaderDigest"), Some("None,CRC32C"));
    assert_eq!(play.value("DataDigest"), Some("None,CRC32C"));
    let params = play.done("HeaderDigest=CRC32C\0DataDigest=None\0");
    assert_eq!((params.header_digest, params.data_digest), (true, false));
    // Only offered values are accepted; without an answer there is no digest.
    let mut play = super::tests::play(&[("data-digest", "accept")]).operational();
    violation(play.hear(true, "DataDigest=MD5\0"));
    let mut play = super::tests::play(&[]).operational();
    assert!(!play.done("DataDigest=Reject\0").data_digest);
    // A digest is refused by name if the operator wants none.
    let mut play = super::tests::play(&[("header-digest", "none")]).operational();
    assert_eq!(play.value("HeaderDigest"), Some("None"));
    violation(play.hear(true, "HeaderDigest=CRC32C\0"));
}

#[test]
fn first_burst_is_at_most_max_burst() {
    let mut play = play(&[]).operational();
    violation(play.hear(true, "FirstBurstLength=65536\0MaxBurstLength=4096\0"));
    let mut play = super::tests::play(&[]).operational();
    assert_eq!(play.done("MaxBurstLength=4096\0").first_burst, 4096);
}
