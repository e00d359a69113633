"""Waiting until a server that loads a model answers."""

import http.client
import time
from collections.abc import Callable

from llmops.domain.reading import Known, Unknown

PAUSE_SECONDS = 0.05


def wait_until_ready(*, port: int, timeout_seconds: float, ended: Callable[[], int | None]) -> Known[float] | Unknown:
    """Seconds until `GET /health` on loopback says 200; `Unknown` when the server ended or time ran out.

    A port that is open is not enough: llama-server listens before it loads and says 503 until then.
    """
    start = time.monotonic()
    while time.monotonic() - start < timeout_seconds:
        if (code := ended()) is not None:
            return Unknown(f"the server ended with exit code {code}")
        if _is_healthy(port):
            return Known(time.monotonic() - start)
        time.sleep(PAUSE_SECONDS)
    return Unknown(f"not ready after {timeout_seconds:.0f} s")


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
