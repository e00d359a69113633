"""`SHA256SUMS`, as `sha256sum` writes it and `sha256sum -c` reads it."""

import re
from collections.abc import Mapping

from llmops.domain.file_names import colliding_file_names, unsafe_file_name
from llmops.formats.refusal import refusal

AGAIN = "copy the bundle again from where it was made"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)", re.ASCII)


def dump_checksums(sums: Mapping[str, str]) -> str:
    """A line for each path, sorted. A path with a control character has no place here (`unsafe_file_name`)."""
    return "".join(f"{sha256}  {path}\n" for path, sha256 in sorted(sums.items()))


def parse_checksums(data: bytes, *, name: str) -> dict[str, str]:
    """Path → sha256. Raises `WrongInput` for a line that is none, an unsafe path, or one that is there twice."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise refusal(name, "not text (UTF-8)", hint=AGAIN) from None
    sums: dict[str, str] = {}
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise refusal(name, "not a line of `sha256sum`", hint=AGAIN, line=number)
        sha256, path = match.groups()
        unsafe = unsafe_file_name(path)
        if unsafe is not None:
            raise refusal(name, f"the path {path[:200]!r} {unsafe}: refused", hint=AGAIN, line=number)
        if path in sums:
            raise refusal(name, f"`{path[:200]}` is listed twice", hint=AGAIN, line=number)
        sums[path] = sha256
    collision = colliding_file_names(sums)
    if collision is not None:
        raise refusal(
            name,
            f"`{collision[0][:200]}` and `{collision[1][:200]}` are one file where case does not count",
            hint=AGAIN,
        )
    return sums
