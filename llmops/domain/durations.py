"""Lengths of time for people."""


def duration_text(seconds: float) -> str:
    """`40 s`, `7 min`, `2 h 05 min`: as exactly as an estimate deserves."""
    whole = max(0, round(seconds))
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest:02} min" if hours < 48 else f"{round(hours / 24)} days"
