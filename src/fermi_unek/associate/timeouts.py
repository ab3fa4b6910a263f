"""An end to waiting for libraries that set none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from requests import Session


def with_timeout(session: Session, timeout_s: float) -> Session:
    """The session, made to give up on a connection or a pause in an answer after some seconds."""
    from requests.adapters import HTTPAdapter

    class Impatient(HTTPAdapter):
        """Sends with a time-out where the caller gave none."""

        def send(
            self,
            request: Any,
            stream: bool = False,
            timeout: Any = None,
            verify: Any = True,
            cert: Any = None,
            proxies: Any = None,
        ) -> Any:
            timeout = timeout_s if timeout is None else timeout
            return super().send(request, stream, timeout, verify, cert, proxies)

    session.mount("https://", Impatient())
    session.mount("http://", Impatient())
    return session
