"""A bundle's manifest, `bundle.json`: same content, same bytes; read back to the same values, or refused."""

import json
import re
from collections.abc import Mapping

from llmops.domain.bundle import BLOBS, BUNDLE_SCHEMA, CHECKSUMS, LOCKS, MANIFEST, SIGNATURES, Bundle, BundleFile
from llmops.domain.errors import WrongInput
from llmops.domain.file_names import colliding_file_names, unsafe_file_name
from llmops.domain.forms import FormError, dump, load
from llmops.formats.json_text import json_object
from llmops.formats.refusal import refusal

NEWER = "it was made by another version of llmops: use that one or a newer one"
AGAIN = "make the bundle again, or copy it again"
SIZE_LIMIT = 1 << 50
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)


def dump_bundle(bundle: Bundle) -> str:
    """The file's text."""
    return json.dumps(dump(bundle), indent=1, ensure_ascii=False) + "\n"


def parse_bundle(data: bytes, sums: Mapping[str, str], *, name: str) -> Bundle:
    """The manifest. Raises `WrongInput` unless it and the checksums name the same files, by safe paths and sane sizes."""
    try:
        found = json_object(data, name=name, what="a bundle's manifest")
        if found.get("schema") != BUNDLE_SCHEMA:
            raise refusal(name, f"the schema is `{str(found.get('schema'))[:60]}`, not {BUNDLE_SCHEMA}", hint=NEWER)
        bundle = load(Bundle, found)
    except FormError as error:
        raise refusal(name, error.message, hint=AGAIN, key=error.key()) from None
    except WrongInput as stop:
        if stop.hint is None or "published" in stop.hint:
            stop.hint = AGAIN
        raise
    _check_files(bundle, sums, name)
    _check_locks(bundle, name)
    return bundle


def _check_files(bundle: Bundle, sums: Mapping[str, str], name: str) -> None:
    paths = [one.path for one in bundle.files]
    if paths != sorted(set(paths)):
        raise refusal(name, "its files are not sorted, or one is listed twice", hint=AGAIN, key="files")
    for one in bundle.files:
        _check_file(one, name)
        if sums.get(one.path) != one.sha256:
            raise refusal(name, f"`{one.path[:200]}` is not what {CHECKSUMS} says", hint=AGAIN, key="files")
    left = set(sums) - set(paths) - {MANIFEST}
    if left:
        raise refusal(name, f"{CHECKSUMS} names `{min(left)[:200]}`, the manifest does not", hint=AGAIN, key="files")
    collision = colliding_file_names(paths)
    if collision is not None:
        text = f"`{collision[0][:200]}` and `{collision[1][:200]}` are one file where case does not count"
        raise refusal(name, text, hint=AGAIN, key="files")


def _check_file(one: BundleFile, name: str) -> None:
    unsafe = unsafe_file_name(one.path)
    if unsafe is None and one.path in (MANIFEST, CHECKSUMS, *SIGNATURES):
        unsafe = "is not a file of the content"
    if unsafe is None and one.is_blob() and one.path != f"{BLOBS}/{one.sha256}":
        unsafe = "is not named by its sha256"
    if unsafe is not None:
        raise refusal(name, f"the path {one.path[:200]!r} {unsafe}: refused", hint=AGAIN, key="files")
    if not 0 <= one.bytes <= SIZE_LIMIT:
        raise refusal(name, f"`{one.path[:200]}` cannot have {one.bytes} bytes", hint=AGAIN, key="files")
    if not _SHA256.fullmatch(one.sha256):
        raise refusal(name, f"the sha256 of `{one.path[:200]}` is none", hint=AGAIN, key="files")


def _check_locks(bundle: Bundle, name: str) -> None:
    paths = {one.path for one in bundle.files}
    if not bundle.locks:
        raise refusal(name, "no lock", hint=AGAIN, key="locks")
    for one in bundle.locks:
        if not _NAME.fullmatch(one.name) or one.path != f"{LOCKS}/{one.name}/llmops.lock" or one.path not in paths:
            raise refusal(name, f"the lock `{one.name[:60]}` is not in the bundle", hint=AGAIN, key="locks")
