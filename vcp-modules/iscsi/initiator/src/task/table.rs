//! The slab of tasks, their tags, and the queue of waiting tasks.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::{Owner, State, Task};
use crate::block::Request;

/// The place of a task in the slab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskId(u16);

/// The first of the places for requests that are not tasks; see `control`. An initiator
/// task tag has the task's place in its low half and the number of earlier commands in
/// its high half, so that an answer to an old command is recognised.
pub(crate) const FIRST_CONTROL_PLACE: u16 = 0xff00;

/// The number of culprits that are remembered.
const CULPRITS: usize = 8;
/// The distance in bytes below which a request is similar to a culprit.
const NEAR: u64 = 1 << 20;

/// Whether a task is to be sent alone.
fn is_suspect(task: &Task, after: u8, culprits: &VecDeque<Request>) -> bool {
    let Some(request) = task.request() else {
        return false;
    };
    let like = |culprit: &Request| {
        culprit.operation == request.operation && culprit.offset.abs_diff(request.offset) < NEAR
    };
    task.lost >= after || culprits.iter().any(like)
}

/// All tasks.
#[derive(Debug)]
pub(crate) struct Tasks {
    tasks: Vec<Task>,
    free: Vec<u16>,
    queue: VecDeque<u16>,
    submitted: u64,
    commands: u16,
    active: u32,
    /// The deferred tasks, and until when.
    parked: Vec<(u64, u16)>,
    /// The number of sessions that may end with a task under way before it is sent alone.
    suspect: u8,
    /// The culprits that ended sessions: similar requests are sent alone at once.
    culprits: VecDeque<Request>,
    /// The task that is under way alone.
    alone: Option<u16>,
    /// Whether tasks that are sent alone go first in the next session.
    suspects_first: bool,
}

impl Tasks {
    pub(crate) fn new(depth: usize) -> Self {
        Self {
            tasks: Vec::with_capacity(depth),
            free: Vec::with_capacity(depth),
            queue: VecDeque::with_capacity(depth),
            submitted: 0,
            commands: 0,
            active: 0,
            parked: Vec::with_capacity(depth),
            suspect: u8::MAX,
            culprits: VecDeque::with_capacity(CULPRITS),
            alone: None,
            suspects_first: false,
        }
    }

    /// Adds a task at the end of the queue; `None` when all tags are in use.
    pub(crate) fn add(&mut self, owner: Owner) -> Option<TaskId> {
        let place = self.place(owner)?;
        self.queue.push_back(place);
        Some(TaskId(place))
    }

    /// Adds a task at the front of the queue.
    pub(crate) fn add_front(&mut self, owner: Owner) {
        if let Some(place) = self.place(owner) {
            self.queue.push_front(place);
        }
    }

    fn place(&mut self, owner: Owner) -> Option<u16> {
        let task = Task::new(owner, self.submitted);
        let place = match self.free.pop() {
            Some(place) => {
                self.tasks[usize::from(place)] = task;
                place
            }
            None if self.tasks.len() < usize::from(FIRST_CONTROL_PLACE) => {
                self.tasks.push(task);
                (self.tasks.len() - 1) as u16
            }
            None => return None,
        };
        self.submitted += 1;
        Some(place)
    }

    /// Removes a task that is not in the queue.
    pub(crate) fn remove(&mut self, id: TaskId) {
        let task = &mut self.tasks[usize::from(id.0)];
        debug_assert!(task.is_under_way());
        task.owner = Owner::Free;
        self.left(id.0);
        self.free.push(id.0);
    }

    pub(crate) fn get(&self, id: TaskId) -> &Task {
        &self.tasks[usize::from(id.0)]
    }

    pub(crate) fn get_mut(&mut self, id: TaskId) -> &mut Task {
        &mut self.tasks[usize::from(id.0)]
    }

    /// The task whose current command has this tag.
    pub(crate) fn find(&self, itt: u32) -> Option<TaskId> {
        let place = itt as u16;
        let task = self.tasks.get(usize::from(place))?;
        (task.is_under_way() && task.itt == itt).then_some(TaskId(place))
    }

    /// The tasks that wait to be sent, in order.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.queue.iter().copied().map(TaskId)
    }

    /// Removes a task from the queue, as its command is being sent, and gives it a tag.
    pub(crate) fn activate(&mut self, id: TaskId) {
        let TaskId(place) = id;
        // It is nearly always the first.
        if let Some(at) = self.queue.iter().position(|&other| other == place) {
            self.queue.remove(at);
        }
        let tag = self.next_tag(place);
        let alone = self.is_suspect(id);
        let task = &mut self.tasks[usize::from(place)];
        task.state = State::Active;
        task.itt = tag;
        self.active += 1;
        if alone {
            self.alone = Some(place);
        }
    }

    /// Notes that a command is no longer under way.
    fn left(&mut self, place: u16) {
        self.active -= 1;
        if self.alone == Some(place) {
            self.alone = None;
        }
    }

    /// Parks an active task until a time.
    pub(crate) fn park(&mut self, id: TaskId, until: u64) {
        let task = &mut self.tasks[usize::from(id.0)];
        debug_assert!(task.is_under_way());
        task.state = State::Parked;
        self.left(id.0);
        self.parked.push((until, id.0));
    }

    /// Puts parked tasks whose time has come at the front of the queue, the oldest first.
    pub(crate) fn unpark(&mut self, now: u64) {
        let Self {
            tasks,
            queue,
            parked,
            ..
        } = self;
        parked.sort_unstable_by_key(|&(_, place)| Reverse(tasks[usize::from(place)].order));
        parked.retain(|&(until, place)| {
            let due = until <= now;
            if due {
                tasks[usize::from(place)].state = State::Queued;
                queue.push_front(place);
            }
            !due
        });
    }

    /// The time at which the next parked task is due.
    pub(crate) fn next_parked(&self) -> Option<u64> {
        self.parked.iter().map(|&(until, _)| until).min()
    }

    /// Whether a request is deferred by the target, or was and is not answered yet.
    pub(crate) fn any_put_off(&self) -> bool {
        self.tasks
            .iter()
            .any(|task| task.request().is_some() && task.waiting_since.is_some())
    }

    /// The task that is under way alone.
    pub(crate) fn alone(&self) -> Option<TaskId> {
        self.alone.map(TaskId)
    }

    /// Whether a task is to be sent alone because of the sessions that ended with it.
    pub(crate) fn is_suspect(&self, id: TaskId) -> bool {
        is_suspect(self.get(id), self.suspect, &self.culprits)
    }

    /// Remembers a culprit that ended sessions.
    pub(crate) fn remember(&mut self, culprit: Request) {
        if self.culprits.len() == CULPRITS {
            self.culprits.pop_front();
        }
        self.culprits.push_back(culprit);
    }

    pub(crate) fn forget_culprits(&mut self) {
        self.culprits.clear();
    }

    /// Sets the number of sessions from which on tasks are sent alone.
    pub(crate) fn suspect_after(&mut self, sessions: u8) {
        self.suspect = sessions;
    }

    /// Notes the end of a session for the tasks under way.
    pub(crate) fn count_loss(&mut self, now: u64) {
        let alone = self.alone.is_some();
        // The tasks that had to wait this time go first next time.
        self.suspects_first = !alone;
        for task in &mut self.tasks {
            if task.is_under_way() {
                task.lose(now, alone);
            }
        }
    }

    /// Notes the end of a session over a command that is no longer under way, and whose
    /// request still waits; the others are not to blame.
    pub(crate) fn count_loss_of(&mut self, now: u64, itt: u32) {
        let place = usize::from(itt as u16);
        if let Some(task) = self.tasks.get_mut(place)
            && task.request().is_some()
            && task.itt == itt
        {
            task.lose(now, false);
        }
    }

    /// Whether at least this many sessions have ended with some command under way.
    pub(crate) fn any_lost(&self, sessions: u8) -> bool {
        self.tasks
            .iter()
            .any(|task| task.request().is_some() && task.lost >= sessions)
    }

    /// Removes the waiting request with this tag; `false` when there is none.
    pub(crate) fn take_queued(&mut self, tag: u64) -> bool {
        let is_it = |place: &u16| {
            let task = &self.tasks[usize::from(*place)];
            task.request().is_some_and(|request| request.tag == tag)
        };
        let Some(at) = self.queue.iter().position(is_it) else {
            return false;
        };
        if let Some(place) = self.queue.remove(at) {
            self.tasks[usize::from(place)].owner = Owner::Free;
            self.free.push(place);
        }
        true
    }

    /// A tag for a place, not used for the last 65535 commands.
    pub(crate) fn next_tag(&mut self, place: u16) -> u32 {
        self.commands = self.commands.wrapping_add(1);
        u32::from(self.commands) << 16 | u32::from(place)
    }

    /// The number of tags given out, with which another table can continue.
    pub(crate) fn tags(&self) -> u16 {
        self.commands
    }

    pub(crate) fn set_tags(&mut self, tags: u16) {
        self.commands = tags;
    }

    /// Puts an active task back at the front of the queue.
    pub(crate) fn requeue(&mut self, id: TaskId) {
        let task = &mut self.tasks[usize::from(id.0)];
        debug_assert!(task.is_under_way());
        task.state = State::Queued;
        self.left(id.0);
        self.queue.push_front(id.0);
    }

    /// Handles the loss of the connection: all unanswered tasks wait again, in the order
    /// of their submission. Those to be sent alone go before or after the rest, ordered
    /// by how many sessions ended with them. The initiator's own commands are dropped.
    pub(crate) fn rewind(&mut self) {
        self.queue.clear();
        self.parked.clear();
        self.alone = None;
        for (place, task) in self.tasks.iter_mut().enumerate() {
            match task.owner {
                Owner::Free => {}
                Owner::Survey(_) | Owner::Start => {
                    task.owner = Owner::Free;
                    self.free.push(place as u16);
                }
                Owner::Request(_) => {
                    task.rewind();
                    self.queue.push_back(place as u16);
                }
            }
        }
        self.active = 0;
        let (tasks, suspect, culprits) = (&self.tasks, self.suspect, &self.culprits);
        let first = self.suspects_first;
        self.queue.make_contiguous().sort_unstable_by_key(|&place| {
            let task = &tasks[usize::from(place)];
            match is_suspect(task, suspect, culprits) {
                true => (!first, task.lost, task.order),
                false => (first, 0, task.order),
            }
        });
    }

    /// Removes all tasks, in the order of their submission.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Task> + '_ {
        self.rewind();
        let queue = core::mem::take(&mut self.queue);
        queue.into_iter().map(|place| {
            let task = self.tasks[usize::from(place)];
            self.tasks[usize::from(place)].owner = Owner::Free;
            self.free.push(place);
            task
        })
    }

    /// The number of commands that were sent and not answered.
    pub(crate) fn active(&self) -> u32 {
        self.active
    }

    /// Whether there are no tasks at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.active == 0 && self.queue.is_empty() && self.parked.is_empty()
    }

    /// Whether a request submitted before `order` is still unanswered.
    pub(crate) fn any_before(&self, order: u64) -> bool {
        self.tasks
            .iter()
            .any(|task| matches!(task.owner, Owner::Request(_)) && task.order < order)
    }

    /// Tasks whose commands are under way.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = (TaskId, &Task)> {
        self.tasks
            .iter()
            .enumerate()
            .filter(|(_, task)| task.is_under_way())
            .map(|(place, task)| (TaskId(place as u16), task))
    }
}
