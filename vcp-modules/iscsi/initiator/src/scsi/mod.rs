//! A SCSI block device: how its properties are found out, which commands a request
//! becomes, and what answers mean. The bytes of CDBs and parameter data are in
//! `vcp_iscsi_proto::scsi`.

mod device;
mod ending;
mod identity;
mod plan;
mod survey;
mod verdict;

pub(crate) use device::{Device, Difference};
pub(crate) use ending::Ending;
pub(crate) use plan::{plan, start_unit};
pub(crate) use survey::{Found, Next, SURVEY_DEPTH, Survey};
pub(crate) use verdict::{Verdict, judge};
