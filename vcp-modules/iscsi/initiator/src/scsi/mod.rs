//! What a SCSI block device is to the initiator: how it is found out about, which
//! commands a request becomes, and what an answer means. CDBs and parameter data
//! as bytes are `vcp_iscsi_proto::scsi`.

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
