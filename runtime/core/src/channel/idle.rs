//! Threads that run when nothing else wants to.

/// Makes this thread give way to every other from now on: one that wakes up does not wait
/// until this one has used up its time slice, as it would with a nice value. If that fails,
/// it runs like any other.
pub(super) fn give_way() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters are a valid structure that lives for the call, and 0
    // means the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
    if result != 0 {
        tracing::debug!("SCHED_IDLE: {}", std::io::Error::last_os_error());
    }
}
