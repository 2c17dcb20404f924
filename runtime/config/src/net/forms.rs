//! The notation of links: the kinds and the options, for help texts.

use super::{LinkKind, Net};

/// One kind of link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkForm {
    /// The notation, with a placeholder for the name: `tap:NAME`.
    pub spec: &'static str,
    /// A description in a few words.
    pub summary: &'static str,
    /// An example of this kind.
    example: &'static str,
}

/// One option of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkOption {
    /// The option's key.
    pub key: &'static str,
    /// A placeholder for its value.
    pub value: &'static str,
    /// A description in a few words.
    pub summary: &'static str,
    /// An example value.
    example: &'static str,
}

const TAP: LinkForm = LinkForm {
    spec: "tap:NAME",
    summary: "a TAP interface, made if it is not there",
    example: "tap:vcp0",
};
const PACKET: LinkForm = LinkForm {
    spec: "packet:IFACE",
    summary: "a packet socket on an interface",
    example: "packet:eth1",
};
const MACVTAP: LinkForm = LinkForm {
    spec: "macvtap:IFACE",
    summary: "a macvtap on an interface",
    example: "macvtap:eth1",
};
const PIPE: LinkForm = LinkForm {
    spec: "pipe:NAME",
    summary: "an in-memory wire, in a program that holds its other end",
    example: "pipe:wire",
};
const HOST: LinkForm = LinkForm {
    spec: "host",
    summary: "no frames: the host's own TCP carries streams",
    example: "host",
};

impl LinkKind {
    /// The notation of each kind.
    pub const FORMS: [LinkForm; 5] = [TAP, PACKET, MACVTAP, PIPE, HOST];

    /// The notation of this kind.
    pub fn form(&self) -> LinkForm {
        match self {
            LinkKind::Tap(_) => TAP,
            LinkKind::Packet(_) => PACKET,
            LinkKind::Macvtap(_) => MACVTAP,
            LinkKind::Pipe(_) => PIPE,
            LinkKind::Host => HOST,
        }
    }
}

impl LinkForm {
    /// A link kind of this form, with a made-up name.
    pub fn kind(&self) -> LinkKind {
        self.example.parse().expect("an example is one")
    }

    /// The options that this kind takes, according to its parser.
    pub fn options(&self) -> impl Iterator<Item = LinkOption> {
        let example = self.example;
        // All kinds but one need an address before other options.
        let plain = [
            example.to_owned(),
            format!("{example},address=192.0.2.2/24"),
        ];
        let takes = move |option: &LinkOption| {
            let with = |link: &String| format!("{link},{}={}", option.key, option.example);
            plain.iter().any(|link| with(link).parse::<Net>().is_ok())
        };
        LinkOption::ALL.into_iter().filter(takes)
    }
}

impl LinkOption {
    /// All options, in the order in which they are printed.
    pub const ALL: [LinkOption; 8] = [
        option(
            "address",
            "A/B",
            "an address of the VCP; repeatable",
            "192.0.2.3/24",
        ),
        option("gateway", "A", "a router, one of each family", "192.0.2.1"),
        option("mtu", "BYTES", "the largest IP packet", "1500"),
        option(
            "mac",
            "MAC",
            "the Ethernet address of the VCP",
            "02:00:00:00:00:01",
        ),
        option(
            "offload",
            "none|csum|tso",
            "what of TCP is left to the link",
            "csum",
        ),
        option("pcap", "FILE", "write a capture", "link.pcap"),
        option(
            "host-address",
            "A/B",
            "an address for the host's end; repeatable",
            "192.0.2.1/24",
        ),
        option(
            "allow",
            "A[/B]",
            "where it may connect to, too; repeatable",
            "192.0.2.0/24",
        ),
    ];
}

const fn option(
    key: &'static str,
    value: &'static str,
    summary: &'static str,
    example: &'static str,
) -> LinkOption {
    LinkOption {
        key,
        value,
        summary,
        example,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::OPTIONS;

    #[test]
    fn forms_and_options_are_those_of_the_parser() {
        for form in LinkKind::FORMS {
            assert_eq!(form.kind().form(), form);
            let kind = |text: &str| text.split(':').next().unwrap_or_default().to_owned();
            assert_eq!(kind(form.spec), kind(form.example));
        }
        assert_eq!(LinkOption::ALL.map(|option| option.key), OPTIONS);
        // Each is an option of some link, and its example is valid.
        let all = || {
            LinkKind::FORMS
                .into_iter()
                .flat_map(|form| form.options().collect::<Vec<_>>())
        };
        for option in LinkOption::ALL {
            assert!(all().any(|taken| taken == option), "{}", option.key);
        }
    }

    #[test]
    fn a_kind_has_the_options_that_it_takes() {
        let keys = |form: LinkForm| form.options().map(|o| o.key).collect::<Vec<_>>();
        assert_eq!(keys(HOST), ["offload", "allow"]);
        assert_eq!(
            keys(PACKET),
            ["address", "gateway", "mtu", "mac", "offload", "pcap"]
        );
        assert!(keys(TAP).contains(&"host-address"));
    }
}
