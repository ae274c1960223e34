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
from engine.api_errors import failure_of
from engine.errors import InputError, KeyRejectedError
from engine.settings import NO_SECRET, Secret

# What has to be given for each generator; other services have a model that is usual, and an address of their own.
NEEDS = {
    "openai": ("key",),
    "azure": ("key", "address", "model"),
    "deepseek": ("key",),
    "huggingface": ("key",),
    "compatible": ("address", "model"),
}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True)
class Connection:
    """What it takes to reach a generator behind an API. ``address`` is a base URL (with Azure: the endpoint)."""

    model: str = ""
    key: Secret = field(default=NO_SECRET)
    address: str = ""

    @property
    def trimmed(self) -> Connection:
        """The same without blanks around what was typed."""
        return Connection(self.model.strip(), Secret(self.key.strip()), self.address.strip())


def missing(generator: str, connection: Connection) -> tuple[str, ...]:
    """Return what has still to be given for a generator behind an API, of "key", "address" and "model"."""
    given = connection.trimmed
    return tuple(part for part in NEEDS[generator] if not getattr(given, part))


def connect(generator: str, connection: Connection, private_host: bool) -> Agent | None:
    """Return the generator behind an API, or None for the local model. Nothing is sent yet.

    Raises:
        InputError: an unknown generator, a missing model name or an unusable address.
        KeyRejectedError: a key is needed and missing.
    """
    return None if generator == text.LOCAL else agent_of(generator, connection, private_host)


def agent_of(
    generator: str, connection: Connection, private_host: bool, timeout: float = 60.0, max_retries: int = 2
) -> Agent:
    """Return the generator behind an API. ``timeout`` and ``max_retries`` are those of ``Agent``.

    Raises:
        InputError, KeyRejectedError: as ``connect`` does, and for the local model.
    """
    if generator not in NEEDS:
        raise InputError(text.UNKNOWN_GENERATOR.format(generator=generator, known=", ".join(text.GENERATORS)))
    given = connection.trimmed
    if given.address and "address" in NEEDS[generator]:
        check_address(given.address, private_host)
    for part in missing(generator, given):
        raise _nothing_given(part, generator)
    api = {"api_key": str(given.key)}
    if generator == "azure":
        api["azure_endpoint"] = given.address
    elif generator == "compatible":
        api["base_url"] = given.address
    api = {name: value for name, value in api.items() if value}
    model = given.model or text.DEFAULT_MODELS[generator]
    return Agent(model, generator, api, timeout=timeout, max_retries=max_retries)


def _nothing_given(part: str, generator: str) -> InputError | KeyRejectedError:
    name = text.NAMES[generator]
    if part == "key":
        return KeyRejectedError(text.KEY_MISSING.format(name=name))
    return InputError((text.ADDRESS_MISSING if part == "address" else text.MODEL_MISSING).format(name=name))


def sentence(error: Exception) -> str | None:
    """Return what a visitor is told where a service behind an API failed, and what to do; None for other errors."""
    failure = failure_of(error)
    if failure is None:
        return None
    is_deployment = failure.kind == "model" and failure.source == "azure"
    return text.API_FAILURES["deployment" if is_deployment else failure.kind].format(
        name=text.NAMES[failure.source],
        model=failure.model,
        host=failure.host,
        seconds=f"{failure.seconds:g}",
        status="" if failure.status is None else text.API_STATUS.format(status=failure.status),
    )


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
