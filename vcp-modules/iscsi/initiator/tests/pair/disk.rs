//! The disk behind the scripted target: bytes, and as much of SCSI as the initiator uses,
//! each part of which a test can switch off.

use std::collections::BTreeMap;

use vcp_iscsi_proto::Lun;
use vcp_iscsi_proto::scsi::*;

pub enum Reply {
    Data(Vec<u8>),
    Good,
    Sense(SenseKey, Asc),
    Status(Status),
}

const ILLEGAL: fn(Asc) -> Reply = |asc| Reply::Sense(SenseKey::IllegalRequest, asc);

/// A test's answer to a command in place of carrying it out.
pub type Say = Box<dyn FnMut(&Command) -> Option<Reply>>;

pub struct Disk {
    pub lun: u16,
    /// The only LUN that it answers to, and the list that it reports.
    pub exact: Option<(Lun, Vec<Lun>)>,
    /// The test's answers to commands.
    pub say: Option<Say>,
    /// The most blocks of a read or write; longer ones are refused.
    pub longest: Option<u32>,
    pub luns: Vec<u16>,
    pub block: u32,
    pub blocks: u64,
    /// Blocks that were written; all others are zeroes.
    pub written: BTreeMap<u64, Vec<u8>>,
    pub serial: String,
    pub naa: Option<[u8; 8]>,
    pub write_protected: bool,
    pub write_cache: bool,
    pub fua: bool,
    pub device_type: u8,
    pub limits: BlockLimits,
    pub provisioning: Option<LogicalBlockProvisioning>,
    /// Operation codes that it does not know.
    pub unknown: Vec<u8>,
    /// The sense for the next commands but INQUIRY and REPORT LUNS.
    pub attention: Vec<(SenseKey, Asc)>,
    /// Statuses for the next reads and writes.
    pub statuses: Vec<Status>,
    /// Operation codes in the order in which they were carried out.
    pub done: Vec<u8>,
}

impl Disk {
    pub fn new(block: u32, blocks: u64) -> Self {
        Self {
            lun: 1,
            exact: None,
            say: None,
            longest: None,
            luns: vec![0, 1],
            block,
            blocks,
            written: BTreeMap::new(),
            serial: "serial-1".into(),
            naa: Some([0x50, 1, 2, 3, 4, 5, 6, 7]),
            write_protected: false,
            write_cache: true,
            fua: true,
            device_type: 0,
            limits: BlockLimits {
                max_unmap_blocks: 0x10_0000,
                max_unmap_descriptors: 1,
                max_write_same: 0x10_0000,
                ..BlockLimits::default()
            },
            provisioning: Some(LogicalBlockProvisioning {
                unmap: true,
                write_same_16: true,
                reads_zeros: true,
                ..LogicalBlockProvisioning::default()
            }),
            unknown: Vec::new(),
            attention: Vec::new(),
            statuses: Vec::new(),
            done: Vec::new(),
        }
    }

    pub fn read(&self, lba: u64, blocks: u32) -> Vec<u8> {
        let zero = vec![0; self.block as usize];
        (lba..lba + u64::from(blocks))
            .flat_map(|lba| self.written.get(&lba).unwrap_or(&zero).clone())
            .collect()
    }

    pub fn write(&mut self, lba: u64, data: &[u8]) {
        for (n, block) in data.chunks(self.block as usize).enumerate() {
            self.written.insert(lba + n as u64, block.to_vec());
        }
    }

    pub fn execute(&mut self, lun: Lun, cdb: &[u8; 16], data: &[u8]) -> Reply {
        let opcode = cdb[0];
        self.done.push(opcode);
        let command = match Command::parse(cdb) {
            Ok(command) if !self.unknown.contains(&opcode) => command,
            Ok(_) => return ILLEGAL(Asc::INVALID_OPCODE),
            Err(error) => panic!("{error}"),
        };
        if let (Command::ReportLuns { .. }, Some((_, luns))) = (&command, &self.exact) {
            return Reply::Data(emit_luns(luns));
        }
        if let Command::ReportLuns { .. } = command {
            let luns: Vec<_> = self.luns.iter().map(|&n| Lun::new(n).unwrap()).collect();
            return Reply::Data(emit_luns(&luns));
        }
        let here = match self.exact {
            Some((exact, _)) => lun == exact,
            None => lun.number() == Some(self.lun),
        };
        if let (true, Some(say)) = (here, &mut self.say)
            && let Some(reply) = say(&command)
        {
            return reply;
        }
        if let Command::Inquiry { vpd, .. } = command {
            return self.inquiry(here, vpd);
        }
        if !here {
            return ILLEGAL(Asc::LUN_NOT_SUPPORTED);
        }
        if !self.attention.is_empty() {
            let (key, asc) = self.attention.remove(0);
            return Reply::Sense(key, asc);
        }
        self.medium(command, data)
    }

    fn medium(&mut self, command: Command, data: &[u8]) -> Reply {
        match command {
            Command::TestUnitReady
            | Command::StartStopUnit { .. }
            | Command::SynchronizeCache { .. } => Reply::Good,
            Command::ReadCapacity10 => Reply::Data(
                Capacity10 {
                    last_lba: u32::try_from(self.blocks - 1).unwrap_or(u32::MAX),
                    block_len: self.block,
                }
                .emit()
                .to_vec(),
            ),
            Command::ReadCapacity16 { .. } => Reply::Data(
                Capacity16 {
                    last_lba: self.blocks - 1,
                    block_len: self.block,
                    protection: false,
                    physical_exponent: if self.block == 512 { 3 } else { 0 },
                    provisioning: self.provisioning.is_some(),
                    reads_zeros: true,
                    lowest_aligned: 0,
                }
                .emit()
                .to_vec(),
            ),
            Command::ModeSense { form, .. } => Reply::Data(
                ModeParameters {
                    write_protected: self.write_protected,
                    fua: self.fua,
                    caching: Some(CachingPage {
                        write_cache: self.write_cache,
                        no_read_cache: false,
                    }),
                }
                .emit(form, &[]),
            ),
            Command::Read { lba, blocks, .. } => match self.refuses(lba, u64::from(blocks)) {
                Some(reply) => reply,
                None => Reply::Data(self.read(lba, blocks)),
            },
            Command::Write {
                lba, blocks, fua, ..
            } => {
                if let Some(reply) = self.refuses(lba, u64::from(blocks)) {
                    return reply;
                }
                if fua && !self.fua {
                    return ILLEGAL(Asc::INVALID_FIELD_IN_CDB);
                }
                if self.write_protected {
                    return Reply::Sense(SenseKey::DataProtect, Asc::WRITE_PROTECTED);
                }
                assert_eq!(data.len() as u32, blocks * self.block);
                self.write(lba, data);
                Reply::Good
            }
            Command::Unmap { .. } => {
                for extent in parse_unmap(data).unwrap() {
                    self.written.retain(|lba, _| {
                        !(extent.lba..extent.lba + u64::from(extent.blocks)).contains(lba)
                    });
                }
                Reply::Good
            }
            Command::WriteSame { lba, blocks, .. } => {
                assert_eq!(data.len() as u32, self.block);
                assert!(data.iter().all(|&b| b == 0));
                self.written
                    .retain(|at, _| !(lba..lba + u64::from(blocks)).contains(at));
                Reply::Good
            }
            other => panic!("{other:?} is not expected"),
        }
    }

    fn refuses(&mut self, lba: u64, blocks: u64) -> Option<Reply> {
        if !self.statuses.is_empty() {
            return Some(Reply::Status(self.statuses.remove(0)));
        }
        if self
            .longest
            .is_some_and(|longest| blocks > u64::from(longest))
        {
            return Some(ILLEGAL(Asc::INVALID_FIELD_IN_CDB));
        }
        (lba + blocks > self.blocks).then(|| ILLEGAL(Asc::LBA_OUT_OF_RANGE))
    }

    fn inquiry(&self, here: bool, vpd: Option<u8>) -> Reply {
        let Some(code) = vpd else {
            let inquiry = Inquiry {
                qualifier: if here {
                    PeripheralQualifier::Connected
                } else {
                    PeripheralQualifier::NotSupported
                },
                device_type: self.device_type,
                removable: false,
                version: 6,
                command_queue: true,
                vendor: Inquiry::ascii("VCP"),
                product: Inquiry::ascii("Scripted"),
                revision: Inquiry::ascii("1"),
            };
            return Reply::Data(inquiry.emit().to_vec());
        };
        let mut pages = vec![
            page::SUPPORTED_PAGES,
            page::SERIAL_NUMBER,
            page::BLOCK_LIMITS,
        ];
        pages.extend(self.naa.map(|_| page::DEVICE_IDENTIFICATION));
        pages.extend(self.provisioning.map(|_| page::LOGICAL_BLOCK_PROVISIONING));
        let data = match code {
            _ if !pages.contains(&code) => return ILLEGAL(Asc::INVALID_FIELD_IN_CDB),
            page::SUPPORTED_PAGES => pages,
            page::SERIAL_NUMBER => self.serial.clone().into_bytes(),
            page::DEVICE_IDENTIFICATION => {
                let mut data = Vec::new();
                let id = &self.naa.unwrap();
                Designator {
                    code_set: 1,
                    association: 0,
                    kind: 3,
                    id,
                }
                .emit(&mut data);
                data
            }
            page::BLOCK_LIMITS => self.limits.emit().to_vec(),
            _ => self.provisioning.unwrap().emit().to_vec(),
        };
        let mut out = Vec::new();
        Vpd {
            peripheral: 0,
            page: code,
            data: &data,
        }
        .emit(&mut out);
        Reply::Data(out)
    }
}
