"""Values that rendered files carry: checked here once, refused with the field's name where a consumer could misread them."""

import ipaddress
import re
from pathlib import PurePosixPath

from llmops.domain.errors import WrongInput
from llmops.domain.finding import Where

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PATH = re.compile(r"/[A-Za-z0-9._/@+-]+")
_PROGRAM = re.compile(r"/[^\x00-\x1f\"'\\$%;{}#]+")
_PATH_LIMIT = 4000
"""The kernel takes 4095 bytes (PATH_MAX), nginx 4096 with its quotes (NGX_CONF_BUFFER, src/core/ngx_conf_file.c)."""
_PLACE = re.compile(r"\{(?:model|projector|credentials)\}")
_PLAIN = re.compile(r"[A-Za-z0-9._+ <>=,-]{0,80}")


def checked_path(text: str, field: str) -> str:
    """An absolute path that means the same to every consumer, unquoted: no blank, quote, `$`, `%` or control character."""
    if not _PATH.fullmatch(text) or ".." in PurePosixPath(text).parts:
        raise refused(field, f"{text[:80]!r} is not an absolute path of letters, digits and . _ @ + - /")
    if len(text) > _PATH_LIMIT:
        raise refused(field, f"a path of {len(text):,} characters, and {_PATH_LIMIT:,} are what nginx can carry")
    return text


def checked_program(text: str) -> str:
    """A program's path may hold blanks and any letter; each consumer quotes it."""
    if not _PROGRAM.fullmatch(text) or ".." in PurePosixPath(text).parts or CONTROL.search(text):
        raise refused("--engine-path", f"{text[:80]!r} is not an absolute path without quotes, `$`, `%` or `\\`")
    return text


def checked_file_name(name: str, field: str) -> str:
    """A file's name below the model's directory."""
    parts = PurePosixPath(name).parts
    if CONTROL.search(name) or name.startswith("/") or ".." in parts or not parts:
        raise refused(field, f"the file name {name[:60]!r} cannot be written into a unit")
    if _PLACE.search(name):
        raise refused(field, f"the file name {name[:60]!r} reads like a place that is filled in")
    return name


def plain(text: str, field: str) -> str:
    """What a comment can carry."""
    if not _PLAIN.fullmatch(text):
        raise refused(field, f"{text[:60]!r} has characters a comment cannot carry")
    return text


def is_address(text: str) -> bool:
    """An IP address without a zone."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def refused(field: str, why: str) -> WrongInput:
    """The error for `field`."""
    return WrongInput(why, where=Where(key=field), hint="change it in the profile and run `llmops plan --out` again")
