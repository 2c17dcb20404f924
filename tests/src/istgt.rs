//! The target of another family: `istgt`, in a lab's target namespace. It is told what
//! to offer by a configuration that it reads when it starts.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use crate::lab::{Lab, Side};
use crate::offer::{Offer, UNIT};
use crate::process::{Running, poll};

/// The last number of a unit that it can have.
pub const LAST: u32 = 15;

/// A running target.
#[derive(Debug)]
pub struct Istgt {
    _process: Running,
}

impl Istgt {
    /// Starts it with one target, on every address of the namespace. Units that a
    /// target in this lab has had before keep what is in them.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(lab: &Lab, offer: &Offer) -> Self {
        let directory = lab.dir().join("istgt");
        fs::create_dir_all(&directory).expect("making a directory for istgt");
        let file = |name: &str| directory.join(name);
        for unit in &offer.units {
            let path = file(&unit.serial());
            if !path.exists() {
                let made = File::create(&path).and_then(|made| made.set_len(UNIT));
                made.expect("making a sparse file");
            }
        }
        fs::write(file("istgt.conf"), configuration(offer, &directory)).expect("writing it");
        fs::write(file("auth.conf"), accounts(offer)).expect("writing it");
        let mut command = lab.command(Side::Target, "istgt");
        // In the foreground, and with one thread a connection: by default two send answers,
        // and now and then StatSN is out of order, which ends the session.
        command
            .args(["-m", "0", "-D"])
            .arg("-c")
            .arg(file("istgt.conf"));
        let mut process = Running::start(command, lab.dir(), "istgt");
        let up = poll(Duration::from_secs(10), || {
            let ended = process.ended();
            assert!(ended.is_none(), "istgt ended: {}", process.stdout());
            let connect = || TcpStream::connect("127.0.0.1:3260").ok();
            lab.inside(Side::Target, connect)
        });
        assert!(up.is_some(), "istgt does not come up: {}", process.stdout());
        Self { _process: process }
    }
}

/// In the program's own words; what is not told here is its default.
fn configuration(offer: &Offer, directory: &Path) -> String {
    let directory = directory.display();
    // What it tells of a unit follows from the target's name as it is written here, while
    // initiators may write it in any case: in capitals it has other units.
    let name = match offer.units.iter().any(|unit| unit.other) {
        true => format!("{}{}", &offer.name[..4], offer.name[4..].to_uppercase()),
        false => offer.name.clone(),
    };
    let (auth, group) = match offer.account {
        Some(_) => ("CHAP", "AuthGroup1"),
        None => ("None", "None"),
    };
    let mut text = format!(
        "[Global]\n\
         PidFile {directory}/pid\n\
         AuthFile {directory}/auth.conf\n\
         {FIXED}\
         [LogicalUnit1]\n\
         TargetName \"{name}\"\n\
         Mapping PortalGroup1 InitiatorGroup1\n\
         AuthMethod {auth}\n\
         AuthGroup {group}\n\
         UseDigest Auto\n\
         UnitType Disk\n\
         QueueDepth 0\n"
    );
    for unit in &offer.units {
        let (number, serial) = (unit.number, unit.serial());
        let _ = write!(
            text,
            "LUN{number} Storage {directory}/{serial} Auto\n\
             LUN{number} Option Serial \"{serial}\"\n"
        );
    }
    text
}

/// What is the same whatever is offered. There is no queue (above): when a session takes
/// the place of another, commands in it may be taken for the other's, and are then never
/// answered.
const FIXED: &str = "\
NodeBase \"iqn.2026-11.test\"
Timeout 30
NopInInterval 20
DiscoveryAuthMethod None
MaxSessions 32
MaxConnections 4
FirstBurstLength 262144
MaxBurstLength 1048576
MaxRecvDataSegmentLength 262144
[UnitControl]
AuthMethod None
Portal UC1 127.0.0.1:3261
Netmask 127.0.0.1
[PortalGroup1]
Portal DA1 0.0.0.0:3260
[InitiatorGroup1]
InitiatorName \"ALL\"
Netmask ALL
";

fn accounts(offer: &Offer) -> String {
    offer.account.map_or_else(String::new, |(user, secret)| {
        format!("[AuthGroup1]\nAuth \"{user}\" \"{secret}\"\n")
    })
}
