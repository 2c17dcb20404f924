//! Checks of single values, and of the parts of a configuration together, whichever way
//! it was written.

use std::ops::RangeInclusive;

use crate::address::{IscsiUri, NbdAddress};
use crate::error::{Invalid, did_you_mean, quote};
use crate::model::{Export, HostConfig, Module, Name, Vcp};
use crate::settings::{ISCSI, LUN, PASSWORD, PORTAL, Setting, TARGET, USER};
use crate::socket::SocketGroup;
use crate::value::{ByteSize, Interval, Timeout};

/// The most requests that a VCP may hold.
pub(crate) const DEEPEST_QUEUE: u32 = 4096;

/// The size of a Wasm page in bytes.
const PAGE: u64 = 64 << 10;

/// The longest list of addresses or directories; nobody needs more, and each is compared
/// with all others.
const LONGEST_LIST: usize = 64;

/// Adds to a list that an operator wrote.
pub(crate) fn push<T>(list: &mut Vec<T>, item: T) -> Result<(), String> {
    if list.len() == LONGEST_LIST {
        return Err(format!("more than {LONGEST_LIST} of them"));
    }
    list.push(item);
    Ok(())
}

/// A problem with a key of a `[vcp.NAME]` or `[export.NAME]` table.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) key: &'static str,
    pub(crate) message: String,
}

/// Parses a number in decimal digits.
pub(crate) fn number(value: &str, range: RangeInclusive<u32>) -> Result<u32, Invalid> {
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    value
        .parse()
        .ok()
        .filter(|number| digits && range.contains(number))
        .ok_or_else(|| {
            let expected = format!("a number from {} to {}", range.start(), range.end());
            Invalid::new(expected, value)
        })
}

pub(crate) fn memory(size: ByteSize) -> Result<ByteSize, Invalid> {
    let whole = size.bytes().is_multiple_of(PAGE);
    if whole && (ByteSize::mib(1)..=ByteSize::mib(4096)).contains(&size) {
        return Ok(size);
    }
    let expected = "a multiple of 64KiB from 1MiB to 4GiB";
    Err(Invalid::new(expected, &size.to_string()))
}

pub(crate) fn period(period: Interval) -> Result<Interval, Invalid> {
    let micros = period.duration().as_micros();
    if (100..=1_000_000).contains(&micros) {
        return Ok(period);
    }
    Err(Invalid::new("a time from 100us to 1s", &period.to_string()))
}

/// How long a VCP may spin before it sleeps; `never` is 0.
pub(crate) fn poll(text: &str) -> Result<Interval, Invalid> {
    wait(text, Interval::millis(10), "10ms")
}

/// How long a VCP may let requests gather before it looks again; `never` is 0.
pub(crate) fn coalesce(text: &str) -> Result<Interval, Invalid> {
    wait(text, Interval::millis(1), "1ms")
}

/// Parses a time of at most `most`, which `written` spells.
fn wait(text: &str, most: Interval, written: &str) -> Result<Interval, Invalid> {
    let time = match text {
        "never" | "0" => Some(Interval::millis(0)),
        time => time.parse().ok(),
    };
    time.filter(|time| *time <= most).ok_or_else(|| {
        let expected = format!("a time of at most {written}, such as \"50us\", or \"never\"");
        Invalid::new(expected, text)
    })
}

/// The requests a second to which an export can be limited.
pub(crate) const IOPS: RangeInclusive<u32> = 1..=10_000_000;

/// The bytes a second to which an export can be limited.
pub(crate) fn bytes_a_second(rate: ByteSize) -> Result<ByteSize, Invalid> {
    if (ByteSize(4 << 10)..=ByteSize::mib(1 << 20)).contains(&rate) {
        return Ok(rate);
    }
    let expected = "bytes a second from 4KiB to 1TiB";
    Err(Invalid::new(expected, &rate.to_string()))
}

/// The time in which a burst is saved up.
pub(crate) fn burst(time: Interval) -> Result<Interval, Invalid> {
    between(time, Interval::millis(10), Interval::millis(60_000))
}

/// Checks that a time is in a range, both ends included.
pub(crate) fn between(
    time: Interval,
    least: Interval,
    most: Interval,
) -> Result<Interval, Invalid> {
    if (least..=most).contains(&time) {
        return Ok(time);
    }
    let expected = format!("a time from {least} to {most}");
    Err(Invalid::new(expected, &time.to_string()))
}

/// The longest `replacement-timeout` but `"never"` is a year: a time that is added to a
/// clock in nanoseconds needs a bound.
pub(crate) fn replacement_timeout(timeout: Timeout) -> Result<Timeout, Invalid> {
    let longest = Interval::hours(365 * 24);
    match timeout {
        Timeout::After(time) if time > longest => {
            let expected = format!("a time of at most {longest}, or \"never\"");
            Err(Invalid::new(expected, &time.to_string()))
        }
        _ => Ok(timeout),
    }
}

/// The least memory for requests with which every client can be served: one of the
/// longest reads or writes, 32 MiB, and some small ones beside it.
pub(crate) const LEAST_NBD_MEMORY: ByteSize = ByteSize::mib(33);

/// Checks `memory` of an export.
pub(crate) fn export_memory(size: ByteSize) -> Result<ByteSize, Invalid> {
    size_between(size, LEAST_NBD_MEMORY, ByteSize::mib(64 << 10))
}

/// Checks that a size is in a range, both ends included.
pub(crate) fn size_between(
    size: ByteSize,
    least: ByteSize,
    most: ByteSize,
) -> Result<ByteSize, Invalid> {
    if (least..=most).contains(&size) {
        return Ok(size);
    }
    let expected = format!("a size from {least} to {most}");
    Err(Invalid::new(expected, &size.to_string()))
}

/// Checks that an export with a mode or group for its sockets has unix sockets.
pub(crate) fn socket(export: &Export) -> Result<(), Fault> {
    let key = match (&export.socket_mode, &export.socket_group) {
        (Some(_), _) => "socket-mode",
        (None, Some(_)) => "socket-group",
        (None, None) => return Ok(()),
    };
    let unix = |address: &NbdAddress| matches!(address, NbdAddress::Unix(_));
    if export.nbd.iter().any(unix) {
        return Ok(());
    }
    let message = "needs a unix socket to be of, and none is given: nbd = \"unix:PATH\"".into();
    Err(Fault { key, message })
}

/// Checks that exports that share a unix socket agree about its file.
pub(crate) fn shared_socket(export: &Export, config: &HostConfig) -> Result<(), Fault> {
    let unix = export
        .nbd
        .iter()
        .filter(|at| matches!(at, NbdAddress::Unix(_)));
    for address in unix {
        let others = config.exports.iter();
        for (name, other) in others.filter(|(_, other)| other.nbd.contains(address)) {
            let agree = |key, own: Option<String>, its: Option<String>| {
                let shown = |value: Option<String>| value.map_or("none".into(), |v| quote(&v));
                (own == its).then_some(()).ok_or_else(|| Fault {
                    key,
                    message: format!(
                        "\"{address}\" is shared with export {}, which has {}; one file has one",
                        quote(name.as_str()),
                        shown(its)
                    ),
                })
            };
            let text = |value: &Option<SocketGroup>| value.as_ref().map(ToString::to_string);
            let mode = |export: &Export| Some(export.socket_mode.unwrap_or_default().to_string());
            agree("socket-mode", mode(export), mode(other))?;
            agree(
                "socket-group",
                text(&export.socket_group),
                text(&other.socket_group),
            )?;
        }
    }
    Ok(())
}

/// Checks a description for NBD clients; the protocol limits a string to 4096 bytes.
pub(crate) fn description(text: &str) -> Result<(), Invalid> {
    if text.len() <= 4096 && !text.contains(char::is_control) {
        return Ok(());
    }
    Err(Invalid::new("one line of at most 4096 bytes", text))
}

pub(crate) fn no_such_vcp(name: &Name, config: &HostConfig) -> String {
    let known: Vec<&str> = config.vcps.keys().map(Name::as_str).collect();
    let hint = did_you_mean(name.as_str(), &known);
    format!("there is no [vcp.{name}]{hint}")
}

/// Checks a VCP as a whole, and brings its settings into their final form: the
/// login in an iSCSI target's URI becomes settings of its own.
pub(crate) fn vcp(vcp: &mut Vcp) -> Result<(), Fault> {
    if let Some(net) = &vcp.net {
        net.check().map_err(|(key, message)| Fault {
            key: NET_KEYS
                .iter()
                .find(|full| full.strip_prefix("net.") == Some(key))
                .expect("NET_KEYS has every option of a link"),
            message,
        })?;
    }
    match vcp.module {
        Module::Builtin(ref name) if name == ISCSI => iscsi(vcp),
        _ => Ok(()),
    }
}

const NET_KEYS: [&str; 8] = [
    "net.address",
    "net.gateway",
    "net.mtu",
    "net.mac",
    "net.offload",
    "net.pcap",
    "net.host-address",
    "net.allow",
];

fn iscsi(vcp: &mut Vcp) -> Result<(), Fault> {
    let fault = |key, message: String| Fault { key, message };
    let Some(target) = vcp.settings.plain(TARGET) else {
        let message = "missing; expected the target of module \"iscsi\", such as \
                       \"iscsi://10.77.0.1/iqn.2026-11.example:disk/1\"";
        return Err(fault("config.target", message.into()));
    };
    for key in [PORTAL, LUN] {
        if vcp.settings.get(key).is_some() {
            let message = format!("\"{key}\" is part of this URI, and not a key of its own");
            return Err(fault("config.target", message));
        }
    }
    let uri: IscsiUri = target
        .parse()
        .map_err(|e: crate::UriError| fault("config.target", e.to_string()))?;
    let Some(net) = &vcp.net else {
        let message = "missing; module \"iscsi\" needs a link, such as \
                       { link = \"tap:vcp0\", address = \"10.77.0.2/24\" }";
        return Err(fault("net", message.into()));
    };
    net.leads_to(&uri.portal)
        .map_err(|message| fault("config.target", message))?;
    let plain = uri.without_login().to_string();
    vcp.settings.replace(TARGET, Setting::Plain(plain));
    if let Some(login) = uri.login {
        let twice = |message| {
            fault(
                "config.target",
                format!("{message}, here and as a key of its own"),
            )
        };
        vcp.settings
            .put(USER, Setting::Plain(login.user))
            .map_err(twice)?;
        if let Some(password) = login.password {
            vcp.settings
                .put(PASSWORD, Setting::Secret(password))
                .map_err(twice)?;
        }
    }
    Ok(())
}
