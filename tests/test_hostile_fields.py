"""Every text of a lock and of a profile, made hostile: refused with its field's name, or read back by who reads the files.

The fields are found by walking the documents, so that one that is added is tried, too.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import locks
import pytest
import yaml
from rendering import CASES, EVERY_TARGET, rendered, site_of

from llmops.domain.deployment import RenderedFile
from llmops.domain.errors import Stop, WrongInput, WrongUsage
from llmops.domain.finding import Where
from llmops.domain.forms import Json, KeyPath, dump, key_text
from llmops.domain.lock import Lock
from llmops.domain.profile import FallbackApi, Serve, TlsFiles
from llmops.formats.env_file import systemd_values
from llmops.formats.lock import parse_lock
from llmops.formats.profile import parse_profile
from llmops.formats.unit import command_line, settings
from llmops.formats.yaml_writing import write_yaml

SINGLE = (
    " ",
    "\t",
    '"',
    "'",
    "$",
    "${HOME}",
    "$(id)",
    "`id`",
    "%n",
    "%",
    "#",
    " #",
    ";",
    "{{ 7 }}",
    "{%",
    "\\",
    "ü",
    "*",
    "|",
    "&&",
)
TOGETHER = " a\"b'c $HOME ${X} %n %% # ; {{ 7 }} {% x %} \\ `id` $(id) ü😀 *|&&"
LINES = ("x\nExecStart=/bin/evil", "x\r\ny", "x\u2028y", "x\0y")
LONG = "x" * 10_000
KNOWN = {"d": "/run/credentials/x"}
"""The only specifier that is rendered on purpose."""

FULL_PROFILE = (Path(__file__).parent / "recorded/profile/full.yaml").read_text()
SERVE = Serve(
    listen="0.0.0.0:8443",
    hostname="llm.example.internal",
    tls=TlsFiles(certificate="/etc/tls/edge.crt", key="/etc/tls/edge.key"),
    client_ca="/etc/tls/clients.pem",
    fallback_api=FallbackApi(url="https://api.example/v1", model="big", key_credential="openai"),
)
LOCKS = {
    "vllm": locks.lock({"chat": locks.vllm_gpu()}, targets=EVERY_TARGET, serve=SERVE),
    "llama.cpp": replace(CASES["llama_cpp_amd"], serve=SERVE),
    "ollama": replace(CASES["ollama_gpu"], serve=SERVE),
}


def _leaves(value: Json, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    match value:
        case dict():
            for key, item in value.items():
                yield from _leaves(item, (*path, key))
        case list():
            for at, item in enumerate(value):
                yield from _leaves(item, (*path, at))
        case str():
            yield path, value
        case _:
            pass


def _put(value: Json, path: KeyPath, text: str) -> Json:
    if not path:
        return text
    if isinstance(value, dict):
        return {key: _put(item, path[1:], text) if key == path[0] else item for key, item in value.items()}
    assert isinstance(value, list)
    return [_put(item, path[1:], text) if at == path[0] else item for at, item in enumerate(value)]


def _yaml(form: Json) -> str:
    assert isinstance(form, dict)
    return write_yaml(form)


def _fields(form: Json) -> list[tuple[KeyPath, str]]:
    """One of each field: of a list of the like only its last, of the derived figures' rules only one."""
    chosen: dict[tuple[str, ...], tuple[KeyPath, str]] = {}
    for path, text in _leaves(form):
        kind = tuple(
            "*" if isinstance(part, int) or (path[-1] == "rule" and part == path[-2]) else part for part in path
        )
        chosen[kind] = (path, text)
    return list(chosen.values())


def _read(file: RenderedFile) -> object:
    """What the consumer of the file gets; for the kinds of files no free text gets into, the text."""
    match file.path.suffix:
        case ".service" | ".slice":
            return [
                (one.section, one.key, command_line(one.value, specifiers=KNOWN, where=Where()))
                if one.key.startswith("Exec")
                else (one.section, one.key, one.value)
                for one in settings(file.text, file=file.path.name)
            ]
        case ".yaml" | ".yml":
            return yaml.safe_load(file.text.replace("$$", "$"))
        case ".js":
            return [_script_strings(line) for line in file.text.split("\n")]
        case ".env":
            return systemd_values(file.text)
        case _:
            return file.text


def _script_strings(line: str) -> list[str]:
    """A line of JavaScript, its double-quoted texts decoded (a JSON text is one of ECMAScript's, since 2019 with U+2028 too)."""
    parts = re.split(r'("(?:[^"\\]|\\.)*")', line)
    return [
        json.loads(part) if part.startswith('"') and part.endswith('"') and len(part) > 1 else part for part in parts
    ]


def _is_same(old: object, new: object, was: str, now: str) -> bool:
    """The same shape, and every text as it was but for the value."""
    if isinstance(old, str) and isinstance(new, str):
        return new in (old, old.replace(was, now))
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        return len(old) == len(new) and all(_is_same(a, b, was, now) for a, b in zip(old, new, strict=True))
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = zip(old.items(), new.items(), strict=False)
        return len(old) == len(new) and all(_is_same([*a], [*b], was, now) for a, b in pairs)
    return bool(old == new)


class Reader:
    """A lock and its files; hostile values are tried on it."""

    def __init__(self, lock: Lock) -> None:
        self.form: Json = dump(lock)
        self.site = site_of(lock)
        self.files = self._files(lock)

    def _files(self, lock: Lock) -> dict[PurePosixPath, RenderedFile]:
        return {file.path: file for file in rendered(lock, targets=EVERY_TARGET)}

    def tries(self, path: KeyPath, was: str, hostile: str) -> bool:
        """Whether the value got into a file; asserts that it is refused by name, or read back."""
        now = was + hostile
        try:
            lock = parse_lock(_yaml(_put(self.form, path, now)), file="llmops.lock")
            if site_of(lock) == self.site:
                return False
            files = self._files(lock)
        except (WrongInput, WrongUsage) as stop:
            _refuse_unless_named(stop, path)
            return False
        assert files.keys() == self.files.keys()
        changed = [one for one in files if files[one].text != self.files[one].text]
        for one in changed:
            same = _is_same(_read(self.files[one]), _read(files[one]), was, now)
            assert same, f"{key_text(path)} = {now[:80]!r} in {one}"
            known = (".service", ".yaml", ".yml", ".env", ".js")
            assert one.suffix in known, f"{key_text(path)} = {now[:80]!r} gets into {one}, which has no reader here"
        return bool(changed)


def _refuse_unless_named(stop: Stop, path: KeyPath) -> None:
    """The refusal says which field it is."""
    said = f"{stop.where.key if stop.where is not None else ''} {stop.message}"
    parts = [str(part) for part in path if not isinstance(part, int)]
    assert any(part in said for part in parts[-2:]), f"{key_text(path)}: {stop.message} ({stop.where})"


@pytest.mark.parametrize("engine", LOCKS)
def test_no_text_of_a_lock_gets_into_a_file_as_anything_but_itself(engine: str) -> None:
    reader = Reader(LOCKS[engine])
    fields = [one for one in _fields(reader.form) if one[0][0] not in ("targets", "schema")]
    assert len(fields) > 30
    if engine == "llama.cpp":  # what the first of them does not have, and its command line
        known = {path for path, _ in _fields(dump(LOCKS["vllm"]))}
        fields = [(path, was) for path, was in fields if path not in known or "argv" in path]
    reached = []
    for path, was in fields:
        outcomes = [reader.tries(path, was, hostile) for hostile in (TOGETHER, LINES[0])]
        reached += [path] if any(outcomes) else []
    is_free = any("argv" in path for path in reached)
    assert is_free == (engine != "ollama"), (
        "the words of a command line are free; Ollama is started by variables of ours"
    )
    for path in [*reached, ("serve", "hostname"), ("deployments", "chat", "engine", "build")]:
        was = next(text for one, text in _leaves(reader.form) if one == path)
        for hostile in (*SINGLE, *LINES[1:], LONG):
            reader.tries(path, was, hostile)


@pytest.mark.parametrize("name", ["a b", "a;b", "a\nb", "../a", "a%i", "-a", "ä", "a" * 10_000, "", "A", "a.service"])
def test_a_deployments_name_is_a_name_everywhere_or_refused(name: str) -> None:
    form = dump(LOCKS["vllm"])
    assert isinstance(form, dict)
    deployments = form["deployments"]
    assert isinstance(deployments, dict)
    changed: Json = {**form, "deployments": {name: deployments["chat"]}}
    with pytest.raises(WrongInput) as stop:
        parse_lock(_yaml(changed), file="llmops.lock")
    where = stop.value.where
    assert where is not None
    assert where.line is not None
    assert "deployments" in (where.key or "deployments"), "a key that YAML cannot carry has a line only"


@pytest.mark.parametrize(
    "hostile", [TOGETHER, *LINES, LONG], ids=["together", "lines", "returns", "separator", "null", "long"]
)
def test_no_text_of_a_profile_is_changed_on_its_way_in(hostile: str) -> None:
    form = dump(parse_profile(FULL_PROFILE, file="llmops.yaml"))
    fields = _fields(form)
    assert len(fields) > 15
    for path, was in fields:
        try:
            parsed = parse_profile(_yaml(_put(form, path, was + hostile)), file="llmops.yaml")
        except WrongInput as stop:
            _refuse_unless_named(stop, path)
            continue
        assert not re.search(r"[\x00-\x08\n\r]", hostile), f"{key_text(path)} takes lines"
        assert dict(_leaves(dump(parsed)))[path] == was + hostile, key_text(path)
