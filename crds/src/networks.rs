//! Which addresses a composition's source, or what it names, may be fetched from: public ones, and those that whoever runs a
//! program has named.
//!
//! Whoever fetches resolves a name once, has every address it has judged, and dials one of those that passed: a name that
//! means something else a moment later gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use url::{Host, Url};

/// What is not public although it looks like any other address: Azure's own services for a machine.
const CLOUD: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// Networks of IPv4 that are not public (IANA's special-purpose registry), each with the length of its prefix.
const SPECIAL_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local, with the metadata of clouds.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Networks within the public part of IPv6, 2000::/3, that are not: protocol assignments (Teredo among them),
/// documentation, and 6to4.
const SPECIAL_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Where may be fetched from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Public addresses, and these networks, comma-separated as in `10.0.0.0/8, fd00::/8`.
    ///
    /// # Errors
    /// Which of them is no network.
    pub fn read(text: &str) -> Result<Self, String> {
        let named = text.split(',').map(str::trim).filter(|network| !network.is_empty());
        let read = |network: &str| network.parse().map_err(|_| format!("{network:?} is no network, as in 10.0.0.0/8"));
        named.map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether an address may be dialled.
    #[must_use]
    pub fn allow(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address)) || is_public(address)
    }

    /// Judges a URL's host where it is an address itself: no resolver is asked for it.
    ///
    /// # Errors
    /// That it may not be dialled, for the user.
    pub fn judge(&self, url: &Url) -> Result<(), String> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err("the URL has no host".to_owned()),
        };
        if self.allow(address) { Ok(()) } else { Err(refused(&address.to_string())) }
    }

    /// Those of a name's addresses that may be dialled.
    ///
    /// # Errors
    /// When none of them may, for the user.
    pub fn sift<T>(
        &self,
        name: &str,
        found: impl IntoIterator<Item = T>,
        address: impl Fn(&T) -> IpAddr,
    ) -> Result<Vec<T>, String> {
        let allowed: Vec<T> = found.into_iter().filter(|found| self.allow(address(found))).collect();
        if allowed.is_empty() { Err(refused(name)) } else { Ok(allowed) }
    }
}

fn refused(host: &str) -> String {
    format!("{host} is not a public address: whoever runs this program can allow its network")
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let within = |(network, length): &(Ipv4Addr, u32)| {
        let host_bits = 32 - length;
        u32::from(address) >> host_bits == u32::from(*network) >> host_bits
    };
    address != CLOUD && !SPECIAL_V4.iter().any(within)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(embedded) = address.to_ipv4_mapped().or_else(|| translated(address)) {
        return is_public_v4(embedded);
    }
    let within = |(network, length): &(Ipv6Addr, u32)| {
        let host_bits = 128 - length;
        u128::from(address) >> host_bits == u128::from(*network) >> host_bits
    };
    address.segments()[0] & 0xe000 == 0x2000 && !SPECIAL_V6.iter().any(within)
}

/// The address of IPv4 that NAT64 leads to (RFC 6052's well-known prefix, 64:ff9b::/96).
fn translated(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = address.segments() else { return None };
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Some(Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_dialled() {
        let networks = Networks::default();
        for public in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
        {
            assert!(networks.allow(public.parse().unwrap()), "{public}");
        }
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.100.100.200",
            "127.0.0.1",
            "168.63.129.16",
            "169.254.169.254",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.1.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::8.8.8.8",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
        ] {
            assert!(!networks.allow(private.parse().unwrap()), "{private}");
        }
    }

    #[test]
    fn whoever_runs_it_allows_more() {
        let networks = Networks::read(" 10.0.0.0/8, fd00::/8,").unwrap();
        assert!(networks.allow("10.9.9.9".parse().unwrap()) && networks.allow("fd00::1".parse().unwrap()));
        assert!(!networks.allow("192.168.0.1".parse().unwrap()));
        assert!(!networks.allow("::ffff:127.0.0.1".parse().unwrap()));
        assert!(Networks::read("10.0.0.0/8,private").unwrap_err().contains("\"private\""));
    }

    #[test]
    fn addresses_in_urls_are_judged_however_they_are_written() {
        let judged = |url: &str| Networks::default().judge(&Url::parse(url).unwrap());
        for url in
            ["https://127.1/", "https://0x7f.0.0.1/", "https://2130706433/", "https://[::1]/", "https://017700000001/"]
        {
            assert!(judged(url).is_err(), "{url}");
        }
        assert!(judged("https://1.1.1.1/").is_ok() && judged("https://localhost/").is_ok(), "names are the resolver's");
    }

    #[test]
    fn of_a_names_addresses_only_those_are_dialled_that_pass() {
        let found = ["127.0.0.1", "1.1.1.1", "10.0.0.1"].map(|address| address.parse::<IpAddr>().unwrap());
        let sift = |found: &[IpAddr]| Networks::default().sift("x.example", found.to_vec(), |address| *address);
        assert_eq!(sift(&found).unwrap(), [found[1]]);
        assert!(sift(&found[..1]).unwrap_err().contains("x.example is not a public address"));
    }
}
