"""A smoke run for people: the server, each answer, the times."""

from llmops.domain.finding import Status
from llmops.domain.forms import Json
from llmops.domain.measurement import Measurement
from llmops.views.screen import Screen, Tone, show_findings


def show_smoke(measurement: Measurement, to: Screen) -> None:
    """Findings worst first, then one line that says what they come to."""
    served = f" · {measurement.model}" if measurement.model else ""
    to.line(f"{measurement.url}{served}", tone=Tone.TITLE)
    show_findings(to, measurement.findings)
    failed = sum(finding.status is Status.FAIL for finding in measurement.findings)
    if failed:
        to.line(f"it fails {failed} of {len(measurement.findings)} questions", tone=Tone.BAD)
    elif measurement.time_to_first_token_seconds is not None and measurement.total_seconds is not None:
        first, total = measurement.time_to_first_token_seconds, measurement.total_seconds
        to.line(f"it serves: first token after {first:.3f} s, the whole answer after {total:.3f} s", tone=Tone.GOOD)
    elif measurement.total_seconds is not None:
        to.line(f"it serves: the answer after {measurement.total_seconds:.3f} s", tone=Tone.GOOD)


def smoke_result(measurement: Measurement) -> Json:
    """`result` of `smoke`; the findings stand beside it in the document."""
    return {
        "url": measurement.url,
        "model": measurement.model,
        "time_to_first_token_seconds": measurement.time_to_first_token_seconds,
        "total_seconds": measurement.total_seconds,
        "streamed_chunks": measurement.streamed_chunks,
    }
