"""Internet addresses of callers: read with tolerance, and as what a limit counts."""

import ipaddress

UNKNOWN = "unknown"
_IPV6_NETWORK = 64
"""Bits of an IPv6 address that its holder does not choose (RFC 6177): the rest names one machine."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def read(text: str) -> str | None:
    """One address as a proxy may write it, in its one canonical form; None if it is none.

    Takes `203.0.113.7`, `203.0.113.7:443`, `[2001:db8::1]:443`, and quotes and blanks around them. An
    IPv4 address within IPv6 (`::ffff:203.0.113.7`) is IPv4; a zone (`%eth0`) is left out.
    """
    text = text.strip().strip('"').strip()
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        if not bracket or (port and not _is_port(port)):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port(f":{port}"):
            return None
    found = _parsed(text)
    return str(found) if found else None


def network(address: str) -> str:
    """What a limit counts an address as: an IPv4 address itself, of an IPv6 address its /64."""
    found = _parsed(address)
    if found is None:
        return UNKNOWN
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((found, _IPV6_NETWORK), strict=False))


def _is_port(text: str) -> bool:
    return text[:1] == ":" and len(text) < 7 and text[1:].isascii() and text[1:].isdigit()


def _parsed(text: str) -> Address | None:
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        # 6to4 gives the holder of one IPv4 address 65,536 networks of 64 bits.
        return found.ipv4_mapped or found.sixtofour or found
    return found
