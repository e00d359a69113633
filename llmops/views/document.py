"""The one JSON document of a command."""

import json
from collections.abc import Sequence

from llmops.domain.errors import Exit, Stop
from llmops.domain.finding import Finding
from llmops.domain.forms import Json, dump


def document(command: str, result: Json, findings: Sequence[Finding], *, exit_code: Exit) -> str:
    """The document of an answer, exit code 0 or 1."""
    return _document(command, result, findings, exit_code, error=None)


def error_document(command: str, stop: Stop, *, exit_code: Exit) -> str:
    """The document of an error: no result."""
    error: dict[str, Json] = {"message": stop.message, "hint": stop.hint, "where": dump(stop.where)}
    return _document(command, None, (), exit_code, error=error)


def _document(
    command: str, result: Json, findings: Sequence[Finding], exit_code: Exit, *, error: dict[str, Json] | None
) -> str:
    fields: dict[str, Json] = {
        "schema": f"llmops.{command}/1",
        "ok": exit_code == Exit.FINE,
        "exit_code": int(exit_code),
        "result": result,
        "findings": [dump(finding) for finding in findings],
        "error": error,
    }
    return json.dumps(fields, indent=2, ensure_ascii=False)
