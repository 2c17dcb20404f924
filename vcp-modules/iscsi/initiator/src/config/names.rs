//! The names of a login, and the form in which each is sent: as it was given, for that is
//! how the target wrote it or the operator knows it, and if the target does not know
//! that, in its other form. Many targets compare bytes, though a name is the same name in
//! every form (RFC 7143 §4.2.7).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use vcp_iscsi_proto::IscsiName;
use vcp_iscsi_proto::login::LoginStatus;

/// Which of the two names are sent in their other form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Forms {
    target: bool,
    initiator: bool,
}

impl Forms {
    /// These forms with the given names switched to their other form.
    fn turned(self, target: bool, initiator: bool) -> Self {
        Self {
            target: self.target != target,
            initiator: self.initiator != initiator,
        }
    }
}

/// The target's name and our own.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// `None` in a discovery session.
    target: Option<IscsiName>,
    initiator: IscsiName,
    /// The forms in use on the wire.
    forms: Forms,
    /// The forms that the target has refused, of at most four.
    refused: Vec<Forms>,
    /// Whether a target has accepted the forms in use. After that no others are tried: if
    /// the target then refuses them it is not ready, and would perhaps not know the
    /// others.
    settled: bool,
}

impl Names {
    pub(crate) fn new(target: Option<IscsiName>, initiator: IscsiName) -> Self {
        Self {
            target,
            initiator,
            forms: Forms::default(),
            refused: Vec::new(),
            settled: false,
        }
    }

    /// The target's name as it was given; empty in a discovery session.
    pub(crate) fn target(&self) -> &str {
        self.target.as_ref().map_or("", IscsiName::given)
    }

    /// Our own name as it was given.
    pub(crate) fn initiator(&self) -> &str {
        self.initiator.given()
    }

    /// TargetName, in the form in use.
    pub(crate) fn target_on_wire(&self) -> Option<String> {
        let target = self.target.as_ref()?;
        Some(said(target, self.forms.target))
    }

    /// InitiatorName, in the form in use.
    pub(crate) fn initiator_on_wire(&self) -> String {
        said(&self.initiator, self.forms.initiator)
    }

    pub(crate) fn forms(&self) -> Forms {
        self.forms
    }

    /// Resumes with forms that a target has accepted; false if these forms do not exist.
    pub(crate) fn settle(&mut self, forms: Forms) -> bool {
        self.forms = forms;
        self.settled = true;
        self.there_is(forms)
    }

    /// Handles a refused login. If the names may be the reason, and another form was not
    /// refused yet, that form is used from here on; returns a message about it.
    pub(crate) fn turn(&mut self, status: LoginStatus) -> Option<String> {
        // The names that a status may be about. "Service unavailable" can concern only
        // the target's: under another name of ours it would not know whose session a
        // login takes over.
        let (target, initiator) = match status {
            // The latter comes from a target that requires a name in its normal form.
            LoginStatus::NotFound | LoginStatus::InitiatorError => (true, true),
            LoginStatus::ServiceUnavailable => (true, false),
            LoginStatus::AuthorizationFailure => (false, true),
            _ => return None,
        };
        if self.settled {
            return None;
        }
        self.refused.push(self.forms);
        let next = [(true, false), (false, true), (true, true)]
            .into_iter()
            .filter(|(t, i)| (target || !t) && (initiator || !i))
            .map(|(t, i)| self.forms.turned(t, i))
            .find(|forms| self.there_is(*forms) && !self.refused.contains(forms))?;
        self.forms = next;
        Some(self.in_use())
    }

    /// Notes that the target has accepted the forms in use. Returns a message if a name
    /// is not as it was given and this was not known before.
    pub(crate) fn taken(&mut self) -> Option<String> {
        self.refused.clear();
        let known = core::mem::replace(&mut self.settled, true);
        (!known && self.forms != Forms::default()).then(|| self.in_use())
    }

    /// Starts again from the names as they were given, when no form is left. Returns a
    /// message with the refused forms, if there were several.
    pub(crate) fn give_up(&mut self) -> Option<String> {
        if self.settled {
            return None;
        }
        let refused = core::mem::take(&mut self.refused);
        self.forms = Forms::default();
        let both = |what: &str, name: &IscsiName, form: fn(&Forms) -> bool| {
            let tried = refused.iter().any(form) && !refused.iter().all(form);
            let other = name.other().filter(|_| tried)?;
            Some(format!(
                "{what} was tried as {} and as {other}",
                name.given()
            ))
        };
        let target = self.target.as_ref();
        let lines = [
            target.and_then(|name| both("its name", name, |forms| forms.target)),
            both("ours", &self.initiator, |forms| forms.initiator),
        ];
        let lines: Vec<String> = lines.into_iter().flatten().collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    }

    fn there_is(&self, forms: Forms) -> bool {
        let has = |name: Option<&IscsiName>| name.is_some_and(|name| name.other().is_some());
        (!forms.target || has(self.target.as_ref()))
            && (!forms.initiator || has(Some(&self.initiator)))
    }

    /// The names in the form in use, if they have another one.
    fn in_use(&self) -> String {
        let target = self.target.as_ref().filter(|name| name.other().is_some());
        let ours = self.initiator.other().map(|_| self.initiator_on_wire());
        let names = [
            target.map(|name| format!("its name as {}", said(name, self.forms.target))),
            ours.map(|name| format!("ours as {name}")),
        ];
        let names: Vec<String> = names.into_iter().flatten().collect();
        names.join(", ")
    }
}

/// A name as it is sent.
fn said(name: &IscsiName, other: bool) -> String {
    let other = if other { name.other() } else { None };
    other.unwrap_or_else(|| name.given().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    fn names(target: &str, initiator: &str) -> Names {
        let name = |name| IscsiName::new(name).unwrap();
        Names::new(Some(name(target)), name(initiator))
    }

    fn said_of(names: &Names) -> (String, String) {
        (names.target_on_wire().unwrap(), names.initiator_on_wire())
    }

    /// All names and messages while the target answers with this status.
    fn course(mut names: Names, status: LoginStatus) -> Vec<(String, String)> {
        let mut course = vec![said_of(&names)];
        while names.turn(status).is_some() {
            course.push(said_of(&names));
            assert!(course.len() <= 4, "{course:?}");
        }
        course
    }

    const T: (&str, &str) = ("iqn.2026-11.example:T", "iqn.2026-11.example:t");
    const I: (&str, &str) = ("iqn.2026-11.example:I", "iqn.2026-11.example:i");

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(t, i)| ((*t).into(), (*i).into())).collect()
    }

    #[test]
    fn a_status_turns_the_names_that_it_may_be_about() {
        let both = || names(T.0, I.0);
        for status in [LoginStatus::NotFound, LoginStatus::InitiatorError] {
            assert_eq!(
                course(both(), status),
                pairs(&[(T.0, I.0), (T.1, I.0), (T.1, I.1), (T.0, I.1)])
            );
        }
        assert_eq!(
            course(both(), LoginStatus::ServiceUnavailable),
            pairs(&[(T.0, I.0), (T.1, I.0)])
        );
        assert_eq!(
            course(both(), LoginStatus::AuthorizationFailure),
            pairs(&[(T.0, I.0), (T.0, I.1)])
        );
        for status in [
            LoginStatus::AuthenticationFailure,
            LoginStatus::TargetRemoved,
            LoginStatus::OutOfResources,
        ] {
            assert_eq!(course(both(), status), pairs(&[(T.0, I.0)]));
        }
        assert_eq!(
            course(names(T.1, I.1), LoginStatus::NotFound),
            pairs(&[(T.1, I.1)])
        );
    }

    #[test]
    fn forms_that_were_taken_stay() {
        let mut names = names(T.0, I.1);
        let line = names.turn(LoginStatus::NotFound).unwrap();
        assert_eq!(line, "its name as iqn.2026-11.example:t");
        assert_eq!(names.taken().unwrap(), line);
        assert_eq!(names.taken(), None);
        assert_eq!(names.turn(LoginStatus::NotFound), None);
        assert_eq!(names.give_up(), None);
        assert_eq!(said_of(&names), (T.1.into(), I.1.into()));
    }

    #[test]
    fn what_was_tried_is_told_and_then_begun_again() {
        let mut names = names(T.0, I.0);
        while names.turn(LoginStatus::NotFound).is_some() {}
        assert_eq!(
            names.give_up().unwrap(),
            "its name was tried as iqn.2026-11.example:T and as iqn.2026-11.example:t, \
             ours was tried as iqn.2026-11.example:I and as iqn.2026-11.example:i"
        );
        assert_eq!(said_of(&names), (T.0.into(), I.0.into()));
        assert_eq!(names.turn(LoginStatus::TargetRemoved), None);
        assert_eq!(names.give_up(), None);
    }
}
