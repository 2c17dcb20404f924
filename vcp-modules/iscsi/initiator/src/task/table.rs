//! The slab of tasks, their tags, and the queue of those that wait.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::{Owner, State, Task};
use crate::block::Request;

/// The place of a task in the slab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskId(u16);

/// Initiator task tags say in their low half where the task is, and in their high
/// half how many commands went before, so that an answer to an old one is
/// recognised. The last places are for what is no task: see `control`.
pub(crate) const FIRST_CONTROL_PLACE: u16 = 0xff00;

/// Requests found to end sessions that are remembered.
const CULPRITS: usize = 8;
/// What is less far from one of them is like it, in bytes.
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
    /// Tasks that were put off, and until when.
    parked: Vec<(u64, u16)>,
    /// Sessions that may end with a task under way before it is sent alone.
    suspect: u8,
    /// Requests that were found to end sessions: what is like them is sent alone at once.
    culprits: VecDeque<Request>,
    /// The task that is under way alone.
    alone: Option<u16>,
    /// Whether those that are sent alone go before the others in the next session.
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

    /// Adds a task at the end of the queue; `None` when there are as many as tags
    /// can name.
    pub(crate) fn add(&mut self, owner: Owner) -> Option<TaskId> {
        let place = self.place(owner)?;
        self.queue.push_back(place);
        Some(TaskId(place))
    }

    /// Adds a task that goes before all that wait.
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

    /// The task whose command under way has this tag.
    pub(crate) fn find(&self, itt: u32) -> Option<TaskId> {
        let place = itt as u16;
        let task = self.tasks.get(usize::from(place))?;
        (task.is_under_way() && task.itt == itt).then_some(TaskId(place))
    }

    /// What waits to be sent, in order.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.queue.iter().copied().map(TaskId)
    }

    /// Takes a task out of the queue: its command is being sent. Gives it a tag.
    pub(crate) fn activate(&mut self, id: TaskId) {
        let TaskId(place) = id;
        // Nearly always the first.
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

    /// A command is not under way any more.
    fn left(&mut self, place: u16) {
        self.active -= 1;
        if self.alone == Some(place) {
            self.alone = None;
        }
    }

    /// Takes an active task aside until a time.
    pub(crate) fn park(&mut self, id: TaskId, until: u64) {
        let task = &mut self.tasks[usize::from(id.0)];
        debug_assert!(task.is_under_way());
        task.state = State::Parked;
        self.left(id.0);
        self.parked.push((until, id.0));
    }

    /// Puts those whose time has come in front of what waits, the oldest first.
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

    /// When the next one's time comes.
    pub(crate) fn next_parked(&self) -> Option<u64> {
        self.parked.iter().map(|&(until, _)| until).min()
    }

    /// Whether a request is put off by the target, or was and is not answered yet.
    pub(crate) fn any_put_off(&self) -> bool {
        self.tasks
            .iter()
            .any(|task| task.request().is_some() && task.waiting_since.is_some())
    }

    /// The task that is under way alone.
    pub(crate) fn alone(&self) -> Option<TaskId> {
        self.alone.map(TaskId)
    }

    /// Whether a task is to be sent alone, for the sessions that ended with it.
    pub(crate) fn is_suspect(&self, id: TaskId) -> bool {
        is_suspect(self.get(id), self.suspect, &self.culprits)
    }

    /// This one was found to end sessions.
    pub(crate) fn remember(&mut self, culprit: Request) {
        if self.culprits.len() == CULPRITS {
            self.culprits.pop_front();
        }
        self.culprits.push_back(culprit);
    }

    pub(crate) fn forget_culprits(&mut self) {
        self.culprits.clear();
    }

    /// From so many sessions on.
    pub(crate) fn suspect_after(&mut self, sessions: u8) {
        self.suspect = sessions;
    }

    /// The session ends with these under way.
    pub(crate) fn count_loss(&mut self, now: u64) {
        let alone = self.alone.is_some();
        // Next time those go first that this one kept waiting.
        self.suspects_first = !alone;
        for task in &mut self.tasks {
            if task.is_under_way() {
                task.lose(now, alone);
            }
        }
    }

    /// The session ends over a command that is not under way any more, and whose
    /// request still waits; the others have no part in it.
    pub(crate) fn count_loss_of(&mut self, now: u64, itt: u32) {
        let place = usize::from(itt as u16);
        if let Some(task) = self.tasks.get_mut(place)
            && task.request().is_some()
            && task.itt == itt
        {
            task.lose(now, false);
        }
    }

    /// Whether so many sessions or more have ended with some command under way.
    pub(crate) fn any_lost(&self, sessions: u8) -> bool {
        self.tasks
            .iter()
            .any(|task| task.request().is_some() && task.lost >= sessions)
    }

    /// Removes the request with this tag, which waits; `false` when there is none.
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

    /// How many tags were given out, to go on from there in another table.
    pub(crate) fn tags(&self) -> u16 {
        self.commands
    }

    pub(crate) fn set_tags(&mut self, tags: u16) {
        self.commands = tags;
    }

    /// Puts an active task back in the queue, in front of what waits.
    pub(crate) fn requeue(&mut self, id: TaskId) {
        let task = &mut self.tasks[usize::from(id.0)];
        debug_assert!(task.is_under_way());
        task.state = State::Queued;
        self.left(id.0);
        self.queue.push_front(id.0);
    }

    /// The connection is gone: everything not answered waits again, in the order
    /// in which it was submitted, what is to be sent alone before or behind the rest, and
    /// among itself by how many sessions ended with it. The initiator's own commands are
    /// dropped.
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

    /// Takes all tasks out, in the order in which they were submitted.
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

    /// Commands sent and not answered.
    pub(crate) fn active(&self) -> u32 {
        self.active
    }

    /// Whether there is nothing at all.
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
