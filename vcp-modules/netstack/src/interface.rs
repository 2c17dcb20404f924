//! Makes smoltcp's interfaces and sockets from the configuration. It keeps nothing.

use alloc::vec;
use core::net::IpAddr;

use smoltcp::iface::Interface;
use smoltcp::phy::Device;
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::EthernetAddress;

use crate::config::{Config, Congestion};

/// Makes an interface with the addresses and gateways of `config`, which was checked.
pub(crate) fn open_interface(
    config: &Config,
    seed: u64,
    device: &mut impl Device,
    now: u64,
) -> Interface {
    let mut hardware = smoltcp::iface::Config::new(EthernetAddress(config.mac).into());
    hardware.random_seed = seed;
    let mut interface = Interface::new(hardware, device, instant(now));
    interface.update_ip_addrs(|addresses| {
        for cidr in config.cidrs() {
            addresses.push(cidr).expect("the count was checked");
        }
    });
    for &gateway in &config.gateways {
        let routes = interface.routes_mut();
        let added = match gateway {
            IpAddr::V4(v4) => routes.add_default_ipv4_route(v4),
            IpAddr::V6(v6) => routes.add_default_ipv6_route(v6),
        };
        added.expect("one a family is what the table holds");
    }
    interface
}

/// Makes a socket that is to connect or to listen.
pub(crate) fn open_socket(config: &Config) -> tcp::Socket<'static> {
    let receive = tcp::SocketBuffer::new(vec![0; config.receive_buffer]);
    let send = tcp::SocketBuffer::new(vec![0; config.send_buffer]);
    let mut socket = tcp::Socket::new(receive, send);
    socket.set_nagle_enabled(false);
    socket.set_ack_delay((config.ack_delay > 0).then(|| duration(config.ack_delay)));
    socket.set_congestion_control(match config.congestion {
        Congestion::None => tcp::CongestionControl::None,
        Congestion::Reno => tcp::CongestionControl::Reno,
    });
    socket.set_timeout(Some(duration(config.connect_timeout)));
    // This comes before there is a connection: on an open one, it would send a keep-alive
    // at once, and a probe in place of the handshake's last ACK.
    socket.set_keep_alive(Some(duration(config.keep_alive)));
    socket
}

/// The window scale that smoltcp announces for this receive buffer (RFC 7323 §2).
pub(crate) fn window_scale(config: &Config) -> u8 {
    let bits = usize::BITS - config.receive_buffer.leading_zeros();
    bits.saturating_sub(16) as u8
}

pub(crate) fn instant(now: u64) -> Instant {
    Instant::from_micros(i64::try_from(now / 1000).unwrap_or(i64::MAX))
}

pub(crate) fn duration(nanoseconds: u64) -> Duration {
    Duration::from_micros(nanoseconds / 1000)
}
