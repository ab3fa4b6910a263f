"""What remote services send back: VOTables, errors inside them, and failures on the way."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from astropy.table import Table

from .client import TooManyRows, TransientError, Unreachable
from .records import ServiceFailure

_MENDABLE = (408, 425, 429)
"""HTTP statuses below 500 that another try may mend."""


@contextmanager
def transient_errors() -> Iterator[None]:
    """Turn what astroquery, pyvo and requests raise into `TransientError` or `ServiceFailure`."""
    import requests
    from pyvo.dal import DALAccessError

    try:
        yield
    except (TransientError, TooManyRows, ServiceFailure):
        raise
    except requests.RequestException as error:
        raise _of_requests(error) from error
    except DALAccessError as error:
        raise _of_pyvo(error) from error
    except Exception as error:  # whatever the parsers make of garbage
        raise TransientError(f"an answer that cannot be read ({type(error).__name__})") from error


def read_votable(content: bytes) -> list[Table]:
    """Tables of a VOTable answer, none when it holds no rows.

    Parameters
    ----------
    content : bytes
        The answer.

    Raises
    ------
    TransientError
        When it is no VOTable, or one that reports an error.
    TooManyRows
        When it says that rows were left out.
    """
    from astropy.io import votable

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # services of renown write VOTables full of small faults
        try:
            tree = votable.parse(BytesIO(content), verify="ignore", invalid="mask")
        except Exception as error:
            start = content[:40].decode("ascii", "replace")
            raise TransientError(f"an answer that is no VOTable ({start!r})") from error
        _check_status(tree)
        return [
            table.to_table(use_names_over_ids=True)
            for table in tree.iter_tables()
            if len(table.array)
        ]


def _check_status(tree: object) -> None:
    for part in [tree, *_resources(tree)]:
        for info in getattr(part, "infos", []):
            name, value = str(info.name), str(info.value)
            if name == "QUERY_STATUS" and value.upper() == "ERROR":
                raise TransientError(f"an error: {info.content or 'not explained'}")
            if name == "QUERY_STATUS" and value.upper() == "OVERFLOW":
                raise TooManyRows("the service left out rows")
            if info.ID == "Errors" or name == "Error":
                raise TransientError(f"an error: {info.content or value}")
        for param in getattr(part, "params", []):
            # NED says so when there is nothing, too
            if str(param.name) == "Error" and "no object" not in str(param.value).lower():
                raise TransientError(f"an error: {str(param.value).strip()}")


def _resources(part: object) -> Iterator[object]:
    for resource in getattr(part, "resources", []):
        yield resource
        yield from _resources(resource)


def _of_requests(error: object) -> Exception:
    """A status, no answer in time, or no connection."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return _of_status(error.response.status_code)
    # a pause in the middle of an answer comes as a lost connection
    if isinstance(error, requests.ReadTimeout) or "Read timed out" in str(error):
        return TransientError("no answer in time")
    return Unreachable(f"no connection ({type(error).__name__})")


def _of_pyvo(error: Exception) -> Exception:
    """What pyvo wraps up, unwrapped."""
    import requests

    cause: object = getattr(error, "cause", None)
    code = getattr(error, "code", None)
    if isinstance(cause, ServiceFailure):
        return cause
    if code:
        return _of_status(code)
    if isinstance(cause, requests.RequestException) or "Read timed out" in str(cause):
        return _of_requests(cause)
    if cause is not None:
        return TransientError(f"an answer that cannot be read ({type(cause).__name__})")
    return TransientError(f"an error: {error}")


def _of_status(status: int) -> Exception:
    if status >= 500 or status in _MENDABLE:
        return TransientError(f"HTTP {status}")
    return ServiceFailure(f"HTTP {status}: the service does not take the query")
