"""Bytes, written and read with units that mean one thing."""

import re

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40

_FACTORS = {
    "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": KIB, "mib": MIB, "gib": GIB, "tib": TIB,
}  # fmt: skip
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*([kmgt]?i?b)", re.IGNORECASE | re.ASCII)


def padded(value: int, granule: int) -> int:
    """`value` rounded up to a whole number of `granule`."""
    return -(-value // granule) * granule


def size_bytes(text: str) -> int | None:
    """`24GiB` → 25769803776, `24GB` → 24000000000; None where `text` is not a number with a unit.

    KiB, MiB, GiB, TiB are powers of 1024; kB, MB, GB, TB powers of 1000. A bare number or `24G` is refused: its
    meaning differs between tools.
    """
    match = _SIZE.fullmatch(text.strip())
    factor = _FACTORS.get(match[2].lower()) if match else None
    if match is None or factor is None:
        return None
    whole, _, digits = match[1].partition(".")
    return int(int(whole + digits) * factor // 10 ** len(digits))


def figure_text(value: float) -> str:
    """An estimate for people, three digits of it: `0.512`, `88.3`, `5,310`."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:g}"


def size_text(count_bytes: int) -> str:
    """A size for people, in binary units: `512 B`, `15.5 MiB`, `4.92 GiB`."""
    sign, magnitude = ("-", -count_bytes) if count_bytes < 0 else ("", count_bytes)
    for unit, factor, digits in (("TiB", TIB, 2), ("GiB", GIB, 2), ("MiB", MIB, 1), ("KiB", KIB, 1)):
        if magnitude >= factor:
            return f"{sign}{magnitude / factor:.{digits}f} {unit}"
    return f"{sign}{magnitude} B"


def rate_text(bytes_per_second: float) -> str:
    """`870 MB/s`, `1.02 GB/s`: three figures, in powers of ten as makers of disks count."""
    if bytes_per_second < 999.5e6:
        return f"{figure_text(bytes_per_second / 1e6)} MB/s"
    return f"{figure_text(bytes_per_second / 1e9)} GB/s"
