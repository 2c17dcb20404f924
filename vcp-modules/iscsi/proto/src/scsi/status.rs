//! SCSI status codes (SAM-5).

use crate::field::codes;

codes! {
    /// How a command ended.
    pub enum Status {
        /// Well.
        Good = 0x00 => "GOOD",
        /// There is sense data that says how.
        CheckCondition = 0x02 => "CHECK CONDITION",
        /// The condition asked about is met.
        ConditionMet = 0x04 => "CONDITION MET",
        /// The logical unit is busy; try again later.
        Busy = 0x08 => "BUSY",
        /// Another initiator holds a reservation.
        ReservationConflict = 0x18 => "RESERVATION CONFLICT",
        /// The task set is full; try again when a task has ended.
        TaskSetFull = 0x28 => "TASK SET FULL",
        /// An auto contingent allegiance exists.
        AcaActive = 0x30 => "ACA ACTIVE",
        /// Another initiator aborted the task.
        TaskAborted = 0x40 => "TASK ABORTED",
    }
}
