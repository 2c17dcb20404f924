//! Answers to requests: the only place in which one is given.
//!
//! A read or write is answered with `Ok` only when every one of its bytes was moved.
//! Every answer comes with the number of moved bytes, and a request that lacks some is
//! answered with an error whatever else is reported. So the parts of a read's buffer that
//! the target did not send never reach a client as data.

use alloc::format;

use super::Initiator;
use crate::action::{Action, Level};
use crate::block::{Operation, Request, Status};
use crate::task::TaskId;

/// The number of bytes moved, all from the start of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moved(pub(super) u32);

impl Moved {
    pub(super) const NONE: Self = Self(0);

    fn is_all_of(self, request: &Request) -> bool {
        match request.operation {
            Operation::Read | Operation::Write => self.0 == request.length,
            // These have no data that is counted.
            Operation::Flush | Operation::Discard | Operation::WriteZeroes => true,
        }
    }
}

impl Initiator {
    /// Answers a request that never became a task.
    pub(super) fn refuse(&mut self, request: &Request, status: Status) {
        self.complete(request, Moved::NONE, status);
    }

    /// Ends a task whose command is no longer under way, and answers its request.
    pub(super) fn finish(&mut self, id: TaskId, request: &Request, status: Status) {
        let moved = Moved(self.tasks.get(id).done);
        self.tasks.remove(id);
        self.answered = true;
        self.complete(request, moved, status);
    }

    /// Answers a request.
    pub(super) fn complete(&mut self, request: &Request, moved: Moved, status: Status) {
        let status = match status {
            Status::Ok if !moved.is_all_of(request) => {
                let line = format!(
                    "{}: {:?} of {} bytes with {} bytes moved is no success",
                    self.place(),
                    request.operation,
                    request.length,
                    moved.0
                );
                self.log(Level::Error, line);
                Status::IoError
            }
            status => status,
        };
        let tag = request.tag;
        self.actions.push_back(Action::Complete { tag, status });
    }
}
