"""An error for a person in a hurry: what, where, next."""

from llmops.domain.errors import Stop


def error_text(stop: Stop) -> str:
    """Three lines at most: `error: …`, `  --> file:line, key`, `hint: …`."""
    lines = [f"error: {stop.message}"]
    if stop.where is not None and stop.where.text():
        lines.append(f"  --> {stop.where.text()}")
    if stop.hint:
        lines.append(f"hint: {stop.hint}")
    return "\n".join(lines)
