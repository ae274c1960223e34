"""Who may write the answers: the local model, or a service behind an API with the visitor's own key.

A key lives in the visitor's session only. It is never stored, logged, or sent anywhere but to the service it is for.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from demo import text
from engine.agent import Agent
from engine.errors import InputError, KeyRejectedError
from engine.settings import NO_SECRET, Secret

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True)
class Connection:
    """What it takes to reach a generator behind an API. ``address`` is a base URL (with Azure: the endpoint)."""

    model: str = ""
    key: Secret = field(default=NO_SECRET)
    address: str = ""


def connect(generator: str, connection: Connection, private_host: bool) -> Agent | None:
    """Return the generator behind an API, or None for the local model. Nothing is sent yet.

    Raises:
        InputError: an unknown generator, a missing model name or an unusable address.
        KeyRejectedError: a key is needed and missing.
    """
    if generator == text.LOCAL:
        return None
    if generator not in text.GENERATORS:
        raise InputError(text.UNKNOWN_GENERATOR.format(generator=generator, known=", ".join(text.GENERATORS)))
    model = connection.model.strip() or text.DEFAULT_MODELS[generator]
    address = connection.address.strip()
    if address and generator in ("azure", "compatible"):
        check_address(address, private_host)
    if not connection.key.strip() and generator != "compatible":
        raise KeyRejectedError(text.KEY_MISSING.format(name=text.NAMES[generator]))
    if not address and generator in ("azure", "compatible"):
        raise InputError(text.ADDRESS_MISSING.format(name=text.NAMES[generator]))
    if not model:
        raise InputError(text.MODEL_MISSING.format(name=text.NAMES[generator]))
    api = {"api_key": str(connection.key).strip()}
    if generator == "azure":
        api["azure_endpoint"] = address
    elif generator == "compatible":
        api["base_url"] = address
    return Agent(model, generator, {name: value for name, value in api.items() if value})


def check_address(address: str, private_host: bool) -> None:
    """Refuse an address that is none, or, on a public page, one inside this server's own network.

    Raises:
        InputError: the address cannot be used.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(text.BAD_ADDRESS.format(address=address)) from error
    if parts.scheme not in ("http", "https") or not host:
        raise InputError(text.BAD_ADDRESS.format(address=address))
    if private_host:
        return
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, port or 443, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        raise InputError(text.BAD_ADDRESS.format(address=address)) from error
    if not all(_is_public(str(address).split("%")[0]) for address in found):
        raise InputError(text.PRIVATE_ADDRESS)


def _is_public(address: str) -> bool:
    """Whether an IP address is one of the open Internet, also behind the forms that carry an IPv4 address."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _NAT64:
            return _is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        if inner := ip.ipv4_mapped or ip.sixtofour:
            return _is_public(str(inner))
    return ip.is_global and not ip.is_multicast
