//! Which addresses a request may go to.
//!
//! Private registries are normal, so private networks are allowed. Link-local addresses are not: in a cloud they are
//! where machines get their credentials, and no registry lives there. The policy is asked for every connection, so a
//! redirect or a token realm that points inside is caught as well, and it is asked about the address that is connected
//! to, not about a name that might resolve differently the next time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network: an address and how many of its leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network: expected ADDRESS or ADDRESS/BITS")]
pub struct NetworkError(String);

impl Network {
    const fn v4(a: u8, b: u8, prefix: u8) -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::new(a, b, 0, 0)), prefix }
    }

    const fn v6(segments: [u16; 8], prefix: u8) -> Self {
        let [a, b, c, d, e, f, g, h] = segments;
        Self { address: IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), prefix }
    }

    /// Whether an address lies inside.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.prefix);
                u32::from(own).checked_shr(shift).unwrap_or(0)
                    == u32::from(other).checked_shr(shift).unwrap_or(0)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.prefix);
                u128::from(own).checked_shr(shift).unwrap_or(0)
                    == u128::from(other).checked_shr(shift).unwrap_or(0)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let bad = || NetworkError(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), str::parse).map_err(|_| bad())?;
        if prefix > bits { Err(bad()) } else { Ok(Self { address, prefix }) }
    }
}

/// Link-local networks of both families, the same behind address translation, and a cloud's metadata service.
const LINK_LOCAL: [Network; 4] = [
    Network::v4(169, 254, 16),
    Network::v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    Network::v6([0x64, 0xff9b, 0, 0, 0, 0, 0xa9fe, 0], 112),
    Network::v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128),
];

/// What no public name should lead to: this machine, private and shared networks (those of clusters among them), networks
/// for documentation and benchmarks of routers, multicast, and ways of writing an IPv4 address as an IPv6 one.
const INSIDE: [Network; 15] = [
    Network::v4(0, 0, 8),
    Network::v4(10, 0, 8),
    Network::v4(100, 64, 10),
    Network::v4(127, 0, 8),
    Network::v4(172, 16, 12),
    Network::v4(192, 0, 24),
    Network::v4(192, 168, 16),
    Network::v4(198, 18, 15),
    Network::v4(224, 0, 4),
    Network::v4(240, 0, 4),
    Network::v6([0, 0, 0, 0, 0, 0, 0, 0], 127),
    Network::v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96),
    Network::v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    Network::v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    Network::v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
];

/// Which addresses may be connected to; by default all but link-local ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPolicy {
    refused: Vec<Network>,
    excepted: Vec<Network>,
}

impl Default for AddressPolicy {
    fn default() -> Self {
        Self { refused: LINK_LOCAL.to_vec(), excepted: Vec::new() }
    }
}

impl AddressPolicy {
    /// The default, with further networks refused.
    pub fn refusing(networks: impl IntoIterator<Item = Network>) -> Self {
        let mut policy = Self::default();
        policy.refused.extend(networks);
        policy
    }

    /// Nothing inside: no loopback, link-local, private or otherwise special networks, `except` for these.
    pub fn outside(except: impl IntoIterator<Item = Network>) -> Self {
        let mut policy = Self::refusing(INSIDE);
        policy.excepted.extend(except);
        policy
    }

    /// Whether this address may be connected to.
    pub fn allows(&self, address: IpAddr) -> bool {
        let holds = |networks: &[Network]| networks.iter().any(|network| network.contains(address));
        holds(&self.excepted) || !holds(&self.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: &AddressPolicy, allowed: &[&str], refused: &[&str]) {
        for (addresses, expected) in [(allowed, true), (refused, false)] {
            for address in addresses {
                assert_eq!(policy.allows(address.parse().unwrap()), expected, "{address}");
            }
        }
    }

    #[test]
    fn link_local_addresses_are_refused_in_every_spelling() {
        check(
            &AddressPolicy::default(),
            &["127.0.0.1", "10.0.0.1", "192.168.1.1", "1.1.1.1", "::1", "fd00::1", "169.253.255.255"],
            &[
                "169.254.169.254",
                "::ffff:169.254.169.254",
                "fe80::1",
                "febf::1",
                "64:ff9b::a9fe:a9fe",
                "fd00:ec2::254",
            ],
        );
    }

    #[test]
    fn further_networks_can_be_refused() {
        let networks = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"].map(|text| text.parse().unwrap());
        check(
            &AddressPolicy::refusing(networks),
            &["11.0.0.1", "192.0.2.8"],
            &["10.9.9.9", "2001:db8::1", "192.0.2.7"],
        );
        check(&AddressPolicy::refusing(["0.0.0.0/0".parse().unwrap()]), &["::1"], &["127.0.0.1"]);
        for text in ["10.0.0.0/33", "10.0.0", "x/8", "::/129", ""] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn cve_2026_2376_what_is_inside_is_refused_unless_it_is_excepted() {
        let outside = AddressPolicy::outside([]);
        check(
            &outside,
            &["93.184.216.34", "2606:2800:220:1::1", "172.32.0.1", "192.0.66.1"],
            &[
                "127.0.0.1",
                "127.9.9.9",
                "::1",
                "::",
                "0.0.0.0",
                "10.96.0.1",
                "172.20.0.1",
                "192.168.1.1",
                "100.64.0.1",
                "169.254.169.254",
                "::ffff:127.0.0.1",
                "::ffff:10.0.0.1",
                "fd00::1",
                "fe80::1",
                "64:ff9b::7f00:1",
                "2002:7f00:1::",
                "224.0.0.1",
                "255.255.255.255",
            ],
        );
        let excepted = AddressPolicy::outside(["10.96.0.0/12".parse().unwrap()]);
        check(&excepted, &["10.96.0.1", "10.111.255.255"], &["10.112.0.1", "127.0.0.1"]);
    }
}
