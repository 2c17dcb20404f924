//! The state that all connections of a target share: nodes, sessions, the fault script,
//! and the list of initiators' violations.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vcp_iscsi_proto::Isid;

use crate::config::{Redirect, TargetConfig, TargetNode};
use crate::control::{Control, Order};
use crate::script::{Fault, Script};

/// The portal group tag of every portal; there is one group.
pub const PORTAL_GROUP: u16 = 1;

/// The most violations kept; later ones are only counted.
const MAX_VIOLATIONS: usize = 256;

/// A rule of RFC 7143 that an initiator broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The InitiatorName, or what is known of the peer before it sent its name.
    pub initiator: String,
    /// The violation, and the section of the rule.
    pub text: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.initiator, self.text)
    }
}

/// A session as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// The target session identifying handle.
    pub tsih: u16,
    /// The InitiatorName.
    pub initiator: String,
    /// The initiator's part of the session identifier.
    pub isid: Isid,
    /// The node, or `None` for a discovery session.
    pub node: Option<String>,
}

struct Session {
    info: SessionInfo,
    control: Arc<Control>,
}

/// A target. Make it once, and share it with every [`Connection`](crate::Connection).
pub struct Target {
    config: TargetConfig,
    nodes: Mutex<Vec<Arc<TargetNode>>>,
    sessions: Mutex<Sessions>,
    violations: Mutex<Vec<Violation>>,
    pub(crate) script: Script,
}

#[derive(Default)]
struct Sessions {
    by_handle: HashMap<u16, Session>,
    /// Every live connection, logged in or not.
    connections: Vec<std::sync::Weak<Control>>,
    last: u16,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every critical section leaves its list consistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Target {
    /// Makes a target, ready to be served.
    #[must_use]
    pub fn new(mut config: TargetConfig) -> Arc<Self> {
        let nodes = config.nodes.drain(..).map(Arc::new).collect();
        let script = Script::new(std::mem::take(&mut config.faults));
        Arc::new(Self {
            config,
            nodes: Mutex::new(nodes),
            sessions: Mutex::default(),
            violations: Mutex::default(),
            script,
        })
    }

    /// Its configuration, without nodes and faults.
    #[must_use]
    pub fn config(&self) -> &TargetConfig {
        &self.config
    }

    /// The node of that name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<Arc<TargetNode>> {
        lock(&self.nodes)
            .iter()
            .find(|node| node.name.eq_ignore_ascii_case(name))
            .cloned()
    }

    /// All nodes.
    #[must_use]
    pub fn nodes(&self) -> Vec<Arc<TargetNode>> {
        lock(&self.nodes).clone()
    }

    /// Moves a node elsewhere, or back, for logins from now on.
    pub fn redirect(&self, name: &str, to: Option<Redirect>) {
        for node in lock(&self.nodes)
            .iter_mut()
            .filter(|node| node.name == name)
        {
            *node = Arc::new(TargetNode {
                redirect: to.clone(),
                ..(**node).clone()
            });
        }
    }

    /// Sets the faults and restarts the counts of PDUs.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.script.replace(faults);
    }

    /// The violations of initiators so far.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        lock(&self.violations).clone()
    }

    /// The sessions in full feature phase.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionInfo> {
        let mut all: Vec<_> = lock(&self.sessions)
            .by_handle
            .values()
            .map(|s| s.info.clone())
            .collect();
        all.sort_by_key(|info| info.tsih);
        all
    }

    /// Pings every session with a NOP-In that requests an answer.
    pub fn ping(&self) {
        self.tell_sessions(Order::Ping);
    }

    /// Asks every session to log out within this many seconds; a connection that does not
    /// is dropped.
    pub fn request_logout(&self, within: u16) {
        self.tell_sessions(Order::RequestLogout { within });
    }

    /// Announces to every session that it is dropped, and drops it.
    pub fn drop_sessions(&self) {
        self.tell_sessions(Order::DropSession);
    }

    /// Drops every connection without a message.
    pub fn drop_connections(&self) {
        let connections = lock(&self.sessions).connections.clone();
        connections
            .iter()
            .filter_map(std::sync::Weak::upgrade)
            .for_each(|c| c.tell(Order::Drop));
    }

    fn tell_sessions(&self, order: Order) {
        self.tell_others(None, |_| true, &order);
    }

    pub(crate) fn violate(&self, initiator: &str, text: String) {
        let mut violations = lock(&self.violations);
        if violations.len() < MAX_VIOLATIONS {
            violations.push(Violation {
                initiator: initiator.to_owned(),
                text,
            });
        }
    }

    pub(crate) fn add_connection(&self, control: &Arc<Control>) {
        let mut sessions = lock(&self.sessions);
        sessions
            .connections
            .retain(|control| control.strong_count() > 0);
        sessions.connections.push(Arc::downgrade(control));
    }

    /// Opens a session and closes the one that it reinstates (RFC 7143 §6.3.5). Returns
    /// its handle, or `None` when all 65535 are taken.
    pub(crate) fn open_session(
        &self,
        initiator: &str,
        isid: Isid,
        node: Option<&Arc<TargetNode>>,
        control: &Arc<Control>,
    ) -> Option<u16> {
        let mut sessions = lock(&self.sessions);
        let name = node.map(|node| node.name.clone());
        let same = |s: &Session| {
            let reinstated =
                s.info.initiator == initiator && s.info.isid == isid && s.info.node == name;
            reinstated && self.config.policy.reinstate
        };
        for (tsih, old) in sessions.by_handle.extract_if(|_, session| same(session)) {
            // This takes effect at once, whatever the old connection's thread is doing:
            // the old session's delayed writes are no longer made.
            if let Some(node) = node {
                let units = node.units.units();
                units.for_each(|(_, unit)| unit.detach(tsih.into()));
            }
            old.control.tell(Order::Reinstated);
        }
        let from = sessions.last;
        let mut handles = (1..=u16::MAX)
            .map(|step| from.wrapping_add(step))
            .filter(|&h| h != 0);
        let tsih = handles.find(|handle| !sessions.by_handle.contains_key(handle))?;
        let info = SessionInfo {
            tsih,
            initiator: initiator.to_owned(),
            isid,
            node: name,
        };
        sessions.by_handle.insert(
            tsih,
            Session {
                info,
                control: Arc::clone(control),
            },
        );
        sessions.last = tsih;
        Some(tsih)
    }

    /// Whether a session of that handle and initiator is in full feature phase.
    pub(crate) fn has_session(&self, tsih: u16, initiator: &str, isid: Isid) -> bool {
        let sessions = lock(&self.sessions);
        let session = sessions.by_handle.get(&tsih);
        session.is_some_and(|s| s.info.initiator == initiator && s.info.isid == isid)
    }

    /// Closes a session, unless another has reinstated it already.
    pub(crate) fn close_session(&self, tsih: u16, control: &Arc<Control>) {
        let mut sessions = lock(&self.sessions);
        let mine = |s: &Session| Arc::ptr_eq(&s.control, control);
        if sessions.by_handle.get(&tsih).is_some_and(mine) {
            sessions.by_handle.remove(&tsih);
        }
    }

    /// Sends an order to the sessions of some nodes, except the one with `except`.
    pub(crate) fn tell_others(
        &self,
        except: Option<u16>,
        of: impl Fn(Option<&str>) -> bool,
        order: &Order,
    ) {
        let sessions = lock(&self.sessions);
        let told = |s: &&Session| Some(s.info.tsih) != except && of(s.info.node.as_deref());
        for session in sessions.by_handle.values().filter(told) {
            session.control.tell(order.clone());
        }
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target")
            .field("nodes", &self.nodes())
            .finish_non_exhaustive()
    }
}
