"""Which addresses are asked, and an end to waiting for libraries that set none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from ..errors import ConfigError
from .records import ServiceFailure

if TYPE_CHECKING:
    from requests import Session

_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


def check_address(name: str, url: str) -> str:
    """The address of a service's mirror; `ConfigError` unless it is https, or on this machine."""
    parts = urlsplit(url)
    is_here = parts.scheme == "http" and parts.hostname in _THIS_MACHINE
    if not parts.hostname or not (parts.scheme == "https" or is_here):
        raise ConfigError(f"server of {name} is {url!r}, expected an address that begins https://")
    return url


def guarded(session: Session, timeout_s: float) -> Session:
    """The session, made to give up after some seconds and to stay with the host it asks.

    A connection or a pause in an answer may take `timeout_s`. A redirect to another host, or away
    from https, is a `ServiceFailure`: nothing is sent there and nothing is taken from there.
    """
    from requests.adapters import HTTPAdapter

    class Guarded(HTTPAdapter):
        """Sends with a time-out where the caller gave none, and looks at redirects."""

        def send(self, request: Any, *args: Any, **options: Any) -> Any:
            options["timeout"] = options.get("timeout") or timeout_s
            response = super().send(request, *args, **options)
            if response.is_redirect:
                here = urlsplit(request.url)
                there = urlsplit(urljoin(request.url, response.headers["location"]))
                if there.hostname != here.hostname or there.scheme not in ("https", here.scheme):
                    raise ServiceFailure(
                        f"it sends on to {there.scheme}://{there.hostname}, which is not asked"
                    )
            return response

    session.mount("https://", Guarded())
    session.mount("http://", Guarded())
    return session
