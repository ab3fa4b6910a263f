"""A server that answers as the archives do, and a retry that does not wait."""

import pytest
from archive_server import Sky, serve

from fermi_unek.associate.client import RetryPolicy


@pytest.fixture
def sky():
    """The sky of a running server."""
    sky = Sky()
    server, thread = serve(sky)
    yield sky
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def waits():
    """Seconds that were to be waited between tries."""
    return []


@pytest.fixture
def retry(waits):
    """Three tries, and no waiting between them."""
    return RetryPolicy(timeout_s=20.0, tries=3, backoff_s=2.0, sleep=waits.append)
