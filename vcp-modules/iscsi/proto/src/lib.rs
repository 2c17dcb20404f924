//! iSCSI and SCSI on the wire: PDUs, text keys, CHAP, CDBs and sense data.
