"""The door to a service: where it is, which key opens it, and what may pass.

A request carries what this engine put into it and nothing else. The openai client also reads the machine's environment
(organisation, project, custom headers); that belongs to other programs and keys, so it is taken off again here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from engine.api_errors import SERVICES
from engine.errors import InputError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_FIELDS = ("api_key", "base_url", "azure_endpoint", "api_version")
_AZURE_API_VERSION = "2024-10-21"
_ADDRESS = re.compile(
    r"https?://(?P<host>(?:[\w-]{1,63}\.)*[\w-]{1,63}|\[[\da-f:.]+\])(?::(?P<port>\d{1,5}))?(?:/[!-~]*)?",
    re.ASCII | re.IGNORECASE,
)
# Request timeout, conflict and too many requests pass with time, and so may a failure of the server (500 and above).
_PASSING = (408, 409, 429)


class Door:
    """Makes a client for every call, and alone keeps the key. ``timeout`` is in seconds.

    ``api_dict`` holds the fields that ``Agent`` describes.

    Raises InputError for a field or address that cannot be used, and KeyRejectedError for a missing key, without
    touching the network.
    """

    def __init__(self, source: str, api_dict: Mapping[str, str], timeout: float, max_retries: int) -> None:
        fields = _fields(api_dict)
        self._is_azure = source == "azure"
        field = "azure_endpoint" if self._is_azure else "base_url"
        self._address = fields.get(field, SERVICES[source].address)
        host = _host(self._address)
        if host is None:
            example = "https://NAME.openai.azure.com" if self._is_azure else "http://localhost:8000/v1"
            raise InputError(f'Source "{source}" needs a full web address in api_dict["{field}"], such as {example}.')
        self.host = host
        self._key = SERVICES[source].key(fields.get("api_key", ""))
        self._version = fields.get("api_version", _AZURE_API_VERSION)
        self._timeout, self._max_retries = timeout, max_retries

    def open(self) -> AsyncOpenAI:
        """Return a new client, to be closed by the caller: connections belong to the event loop that opened them."""
        from openai import AsyncAzureOpenAI, AsyncOpenAI, DefaultAsyncHttpxClient

        options: dict[str, Any] = {
            "api_key": self._key or "none",  # the client insists on one; only ``_strip`` decides what is sent
            "timeout": self._timeout,
            "max_retries": self._max_retries,
            "http_client": DefaultAsyncHttpxClient(
                follow_redirects=False, event_hooks={"request": [self._strip], "response": [_prepare]}
            ),
        }
        if self._is_azure:
            return AsyncAzureOpenAI(azure_endpoint=self._address, api_version=self._version, **options)
        return AsyncOpenAI(base_url=self._address, **options)

    async def _strip(self, request: Any) -> None:  # noqa: ANN401 - a request of the HTTP library below the client
        """Leave a request with the headers that it needs, made anew, and with this agent's key only."""
        headers = {
            "Host": request.url.netloc.decode("ascii"),
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "Content-Type": "application/json",
            "Content-Length": str(len(request.content)),
            "User-Agent": "MemoRAG",
        }
        if self._key:
            headers |= {"api-key": self._key} if self._is_azure else {"Authorization": f"Bearer {self._key}"}
        request.headers.clear()
        request.headers.update(headers)


async def _prepare(response: Any) -> None:  # noqa: ANN401 - a response of the HTTP library below the client
    """Read what is no stream, and tell the client not to try again where that cannot help.

    Reading here keeps a connection that breaks meanwhile among the failures that the client knows and tries again.
    ``x-should-retry`` is the header with which services steer the client.
    """
    if is_json(response):
        await response.aread()
    if response.status_code < 400:
        return
    passing = response.status_code in _PASSING or response.status_code >= 500
    # A quota that is used up comes with the status of a rate limit, but does not pass.
    if not passing or (is_json(response) and b"insufficient_quota" in response.content):
        response.headers["x-should-retry"] = "false"


def is_json(response: Any) -> bool:  # noqa: ANN401
    """Whether a response is one JSON document, not a stream of events."""
    return str(response.headers.get("content-type", "")).startswith("application/json")


def _fields(api_dict: Mapping[str, str]) -> dict[str, str]:
    """Strip the fields and drop the blank ones. ``endpoint`` is an older name of ``azure_endpoint``."""
    named = {"azure_endpoint" if name == "endpoint" else name: value for name, value in api_dict.items()}
    if not named.keys() <= set(_FIELDS):
        raise InputError(f"api_dict has a field that is not known. Accepted: {', '.join(_FIELDS)}.")
    return {name: value.strip() for name, value in named.items() if value and value.strip()}


def _host(address: str) -> str | None:
    """Return the host of a web address, or None where the address is malformed."""
    parsed = _ADDRESS.fullmatch(address)
    if parsed is None or int(parsed["port"] or 0) > 65535:
        return None
    host = parsed["host"]
    try:
        if host.startswith("[") or host.rpartition(".")[2].isdigit():
            ip_address(host.strip("[]"))
    except ValueError:
        return None
    return host
