//! The slab of tasks, their tags, and the queue of those that wait.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::{Owner, State, Task};

/// The place of a task in the slab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskId(u16);

/// Initiator task tags say in their low half where the task is, and in their high
/// half how many commands went before, so that an answer to an old one is
/// recognised. The last places are for what is no task: see `control`.
pub(crate) const FIRST_CONTROL_PLACE: u16 = 0xff00;

/// All tasks.
#[derive(Debug)]
pub(crate) struct Tasks {
    tasks: Vec<Task>,
    free: Vec<u16>,
    queue: VecDeque<u16>,
    submitted: u64,
    commands: u16,
    active: u32,
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
        debug_assert!(task.state != State::Queued);
        task.owner = Owner::Free;
        self.active -= 1;
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
        let answers =
            !matches!(task.owner, Owner::Free) && task.state != State::Queued && task.itt == itt;
        answers.then_some(TaskId(place))
    }

    /// The task at the head of the queue.
    pub(crate) fn head(&self) -> Option<TaskId> {
        self.queue.front().copied().map(TaskId)
    }

    /// Takes the head of the queue: its command is being sent. Gives it a tag.
    pub(crate) fn activate_head(&mut self) -> Option<TaskId> {
        let place = self.queue.pop_front()?;
        let tag = self.next_tag(place);
        let task = &mut self.tasks[usize::from(place)];
        task.state = State::Active;
        task.itt = tag;
        self.active += 1;
        Some(TaskId(place))
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
        debug_assert!(task.state != State::Queued);
        task.state = State::Queued;
        self.active -= 1;
        self.queue.push_front(id.0);
    }

    /// The connection is gone: everything not answered waits again, in the order
    /// in which it was submitted. The initiator's own questions are dropped.
    pub(crate) fn rewind(&mut self) {
        self.queue.clear();
        for (place, task) in self.tasks.iter_mut().enumerate() {
            match task.owner {
                Owner::Free => {}
                Owner::Survey(_) => {
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
        let tasks = &self.tasks;
        self.queue
            .make_contiguous()
            .sort_unstable_by_key(|&place| tasks[usize::from(place)].order);
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
        self.active == 0 && self.queue.is_empty()
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
            .filter(|(_, t)| !matches!(t.owner, Owner::Free) && t.state != State::Queued)
            .map(|(place, task)| (TaskId(place as u16), task))
    }
}
