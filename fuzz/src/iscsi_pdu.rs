//! The codecs of `vcp-iscsi-proto`: PDUs, additional headers, negotiation text, values,
//! CHAP, CDBs, sense data and the parameter data of SCSI commands.
//!
//! Promised: nothing panics; whatever is understood means the same after it was written
//! and read again; no parser yields more than its input can hold; digests don't depend
//! on how the bytes are cut.
//!
//! Input: one byte that says which codec, then what it reads.

use vcp_iscsi_proto::bhs::{BHS_LEN, BhsBytes};
use vcp_iscsi_proto::scsi::{
    self, BlockLimits, Capacity10, Capacity16, Command, Inquiry, LogicalBlockProvisioning,
    ModeForm, ModeParameters, Sense, Vpd,
};
use vcp_iscsi_proto::{
    Bhs, Crc32c, Error, InitiatorPdu, IscsiName, Lun, TargetPdu, chap, pdu, text,
};

use crate::script::pieces;

/// Runs one input.
pub fn run(data: &[u8]) {
    let Some((&codec, data)) = data.split_first() else {
        return;
    };
    match codec % 6 {
        0 => headers(data),
        1 => negotiation(data),
        2 => values(data),
        3 => commands(data),
        4 => parameters(data),
        _ => digests(data),
    }
}

/// A PDU as it comes from a connection: header, additional headers, data.
fn headers(data: &[u8]) {
    let Some((header, rest)) = data.split_first_chunk::<BHS_LEN>() else {
        return;
    };
    let bhs = Bhs::parse(header);
    for (header_digest, data_digest) in [(false, false), (true, true)] {
        let layout = bhs.layout(header_digest, data_digest);
        assert!(layout.header_len <= layout.data_start && layout.data_end() <= layout.total);
        assert_eq!(layout.data_len, bhs.data_len as usize);
    }
    match InitiatorPdu::parse(header) {
        Ok(pdu) => {
            let again = InitiatorPdu::parse(&emitted(|b| pdu.emit(b)));
            assert_eq!(again, Ok(pdu));
            assert_eq!(
                (pdu.opcode() as u8, pdu.data_len()),
                (bhs.opcode, bhs.data_len)
            );
            assert!(matches!(
                TargetPdu::parse(header),
                Err(Error::WrongDirection(_))
            ));
        }
        Err(Error::WrongDirection(_)) => assert!(bhs.opcode >= 0x20),
        Err(_) => {}
    }
    if let Ok(pdu) = TargetPdu::parse(header) {
        let again = TargetPdu::parse(&emitted(|b| pdu.emit(b)));
        assert_eq!(again, Ok(pdu));
        assert_eq!(again.map(|p| p.sn()), Ok(pdu.sn()));
    }
    let segment = &rest[bhs.ahs_len.min(rest.len())..];
    if let Ok((sense, behind)) = pdu::split_sense(segment) {
        assert!(sense.len() + behind.len() + 2 == segment.len() || segment.is_empty());
        let _ = Sense::parse(sense);
    }
}

fn emitted(emit: impl FnOnce(&mut BhsBytes)) -> BhsBytes {
    // Reserved bytes must be written too.
    let mut b = [0xff; BHS_LEN];
    emit(&mut b);
    b
}

/// Negotiation text in several PDUs, with a bound.
fn negotiation(data: &[u8]) {
    const LIMIT: usize = 512;
    let mut text = text::Accumulator::new(LIMIT);
    let mut taken = 0;
    for piece in pieces(data, data.len() as u32) {
        match text.push(piece) {
            Ok(()) => taken += piece.len(),
            Err(_) => assert!(taken + piece.len() > LIMIT),
        }
    }
    assert!(taken <= LIMIT);
    assert_eq!(text.take().len(), taken);

    let mut writer = text::Writer::new();
    let mut understood = Vec::new();
    for pair in text::pairs(data).map_while(Result::ok) {
        assert!((1..=text::MAX_KEY_LEN).contains(&pair.key.len()));
        writer.put(pair.key, pair.value);
        understood.push(pair);
        if let Some(key) = text::Key::from_name(pair.key) {
            answer(key, pair.value);
        }
    }
    assert!(writer.len() <= data.len());
    assert!(
        text::pairs(writer.as_bytes())
            .map(Result::unwrap)
            .eq(understood)
    );
}

/// Checks a value as an answer to an offer, and that what is accepted was possible.
fn answer(key: text::Key, value: &str) {
    let spec = key.spec();
    match spec.kind {
        text::KeyKind::Number {
            min,
            max,
            default,
            function,
        } => {
            if let Ok(number) = spec.answered_number(default, value) {
                assert!((min..=max).contains(&number) && function.admits(default, number));
            }
        }
        text::KeyKind::DeclaredNumber { min, max, .. } => {
            assert!(
                spec.number(value).is_ok_and(|n| (min..=max).contains(&n))
                    || spec.number(value).is_err()
            );
        }
        text::KeyKind::Boolean { default, function } => {
            if let Ok(answer) = spec.answered_boolean(default, value) {
                assert!(function.admits(default, answer));
            }
        }
        _ => {
            if let Ok(picked) = spec.answered_list("CRC32C,None", value) {
                assert!(["CRC32C", "None"].contains(&picked));
            }
        }
    }
}

/// Values of keys, names and CHAP.
fn values(data: &[u8]) {
    let Ok(value) = std::str::from_utf8(data) else {
        return;
    };
    let _ = (text::value::boolean(value), text::value::number(value));
    if let Ok((low, high)) = text::value::range(value) {
        assert!(low <= high);
    }
    if let Ok(list) = text::value::list(value) {
        assert!(list.clone().all(|v| !v.is_empty()) && list.count() <= value.len());
    }
    for max in [16, 1024] {
        if let Ok(bytes) = text::value::binary(value, max) {
            assert!((1..=max).contains(&bytes.len()));
            let hex = text::value::hex(&bytes);
            assert_eq!(text::value::binary(&hex, max).as_ref(), Ok(&bytes));
            let base64 = text::value::base64(&bytes);
            assert_eq!(text::value::binary(&base64, max), Ok(bytes));
        }
    }
    if let Ok(name) = IscsiName::new(value) {
        assert_eq!(name.given(), value);
        let others = [Some(name.normal()), name.other()];
        for form in others.into_iter().flatten() {
            assert_eq!(IscsiName::new(&form).as_ref(), Ok(&name));
        }
    }
    let _ = (
        chap::parse_id(value),
        chap::Algorithm::choose(value, &chap::Algorithm::ALL),
    );
    for algorithm in chap::Algorithm::ALL {
        if let Ok(response) = algorithm.parse_response(value) {
            assert_eq!(response.as_bytes().len(), algorithm.response_len());
            let again = algorithm.parse_response(&response.to_text()).unwrap();
            assert!(again.matches(&response));
        }
        if let Ok(challenge) = chap::parse_challenge(value) {
            assert!((1..=chap::MAX_CHALLENGE_LEN).contains(&challenge.len()));
            let _ = algorithm.respond(challenge[0], value.as_bytes(), &challenge);
        }
    }
}

/// CDBs and LUNs.
fn commands(data: &[u8]) {
    if let Some(cdb) = data.first_chunk::<16>() {
        match Command::parse(cdb) {
            Ok(command) => assert_eq!(Command::parse(&command.emit()), Ok(command)),
            Err(error) => assert_eq!(Sense::from(error).key, scsi::SenseKey::IllegalRequest),
        }
    }
    if let Some(bytes) = data.first_chunk::<8>() {
        let lun = Lun::from_bytes(*bytes);
        assert_eq!(lun.to_bytes(), *bytes);
        if let Some(number) = lun.number() {
            assert_eq!(Lun::new(number).and_then(Lun::number), Some(number));
        }
        let _ = lun.to_string();
    }
}

/// Parameter data of commands.
fn parameters(data: &[u8]) {
    if let Ok(sense) = Sense::parse(data) {
        assert_eq!(Sense::parse(&sense.emit_descriptor()), Ok(sense));
        let fixed = Sense::parse(&sense.emit_fixed()).unwrap();
        assert_eq!((fixed.key, fixed.asc), (sense.key, sense.asc));
        let _ = sense.to_string();
    }
    if let Ok(inquiry) = Inquiry::parse(data) {
        assert_eq!(Inquiry::parse(&inquiry.emit()), Ok(inquiry));
    }
    if let Ok(capacity) = Capacity16::parse(data) {
        assert_eq!(Capacity16::parse(&capacity.emit()), Ok(capacity));
        assert!(
            capacity
                .byte_len()
                .is_none_or(|len| len >= u64::from(capacity.block_len))
        );
    }
    if let Ok(capacity) = Capacity10::parse(data) {
        assert_eq!(capacity.emit()[..], data[..8]);
    }
    for form in [ModeForm::Six, ModeForm::Ten] {
        if let Ok(mode) = ModeParameters::parse(form, data) {
            assert_eq!(ModeParameters::parse(form, &mode.emit(form, &[])), Ok(mode));
        }
    }
    vital(data);
    if let Ok((count, luns)) = scsi::parse_luns(data) {
        let luns: Vec<_> = luns.collect();
        assert!(luns.len() <= count.min(data.len() / 8));
        let again = scsi::emit_luns(&luns);
        assert!(scsi::parse_luns(&again).unwrap().1.eq(luns));
    }
    if let Ok(extents) = scsi::parse_unmap(data) {
        let extents: Vec<_> = extents.collect();
        assert!(extents.len() <= data.len() / 16);
        assert!(
            scsi::parse_unmap(&scsi::emit_unmap(&extents))
                .unwrap()
                .eq(extents)
        );
    }
    if let Ok(states) = scsi::parse_lba_status(data) {
        let states: Vec<_> = states.collect();
        assert!(states.len() <= data.len() / 16);
        assert!(
            scsi::parse_lba_status(&scsi::emit_lba_status(&states))
                .unwrap()
                .eq(states)
        );
    }
}

/// Pages of vital product data.
fn vital(data: &[u8]) {
    let Some(&page) = data.get(1) else {
        return;
    };
    let Ok(vpd) = Vpd::parse(data, page) else {
        return;
    };
    let mut again = Vec::new();
    vpd.emit(&mut again);
    assert_eq!(Vpd::parse(&again, page), Ok(vpd));
    let mut designators = Vec::new();
    vpd.designators()
        .for_each(|designator| designator.emit(&mut designators));
    assert!(designators.len() <= vpd.data.len());
    if let Ok(limits) = BlockLimits::parse(&vpd) {
        let data = limits.emit();
        assert_eq!(BlockLimits::parse(&Vpd { data: &data, ..vpd }), Ok(limits));
    }
    if let Ok(provisioning) = LogicalBlockProvisioning::parse(&vpd) {
        let data = provisioning.emit();
        let again = LogicalBlockProvisioning::parse(&Vpd { data: &data, ..vpd });
        assert_eq!(again, Ok(provisioning));
    }
}

fn digests(data: &[u8]) {
    let mut crc = Crc32c::new();
    pieces(data, data.len() as u32).for_each(|piece| crc.update(piece));
    assert_eq!(crc.finish(), Crc32c::of(data));
}
