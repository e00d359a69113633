"""Hostile values in units that a booted systemd starts: the process has the lock's very bytes, or they are refused."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import locks
import pytest
from box import Box, bare
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rendering import site_of

from llmops.domain.deployment import Site
from llmops.domain.errors import WrongInput
from llmops.domain.lock import Lock, LockedDeployment
from llmops.engines.deployment import site
from llmops.formats.target import parse_target
from llmops.library import shipped
from llmops.render import render
from llmops.render.quoting import dotenv_value

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.consumer("box", "mmdebstrap")]

STUB = """#!/bin/sh
cat /proc/$$/cmdline > "$HOME/$DUMP.argv"
cat /proc/$$/environ > "$HOME/$DUMP.environ"
"""
"""Stands where the engines' programs are: what the kernel gave the process, byte by byte."""

ONCE = """[Service]
Type=oneshot
Restart=no
ExecStartPre=
ExecStartPost=
RuntimeDirectoryPreserve=yes
Environment=DUMP=%N
"""
STATE = "var/lib/llmops/state/chat"
SIGNS = (
    "!",
    '"',
    "#",
    "$",
    "%",
    "&",
    "'",
    "(",
    "*",
    "+",
    "-",
    ":",
    ";",
    "<",
    "=",
    "?",
    "@",
    "[",
    "\\",
    "^",
    "`",
    "{",
    "|",
    "~",
)
FIXED = (
    *SIGNS,
    *(f"{sign}{sign}" for sign in SIGNS),
    *(f"{sign}x" for sign in SIGNS),
    *(f"x{sign}" for sign in SIGNS),
    *(f"a {sign} b" for sign in SIGNS),
    *(
        "",
        " ",
        "  x  ",
        "-m",
        "--flag=a b",
        "${HOME}",
        "$HOME",
        "$$HOME",
        "$(id)",
        "`id`",
        "%n",
        "%%n",
        "%d",
        "%h/%u",
        "%-",
    ),
    *('"; /bin/evil', "x; /bin/evil ;", " ; ", "\\;", "\\x41", "\\u0041", "\\101", "\\n", "\\", "\\\\", "a\\ b", "x\\"),
    *(
        "{{ 7 * 7 }}",
        "{% raw %}",
        "{#",
        "{model",
        "credentials}",
        "höß→😀",
        "\u00a0",
        "\u200b",
        "\u202e",
        "\ufeff",
        "e\u0301",
    ),
    *(
        "#c",
        " #c",
        ";c",
        "[Service]",
        "ExecStart=/bin/evil",
        "x=y",
        "=",
        "K=V K2=V2",
        "~/x",
        "*.gguf",
        "/../..",
        "x" * 10_000,
    ),
    *('"\'"', "'\"'", '"a\' $b %c \\d #e ;f {g} `h`"', " " * 300, '"' * 300, "%" * 301, "$" * 301, "\\" * 301),
)
CONTROLS = (
    "a\nb",
    "a\tb",
    "\r",
    "\x01",
    "\x1b[31m",
    "\x7f",
    "\x85",
    "\u2028",
    "x\nExecStart=/bin/evil",
    "\n[Service]\n",
)
"""What only a variable may hold: words and names with them are refused."""
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
CLOSE = st.text(st.sampled_from("\"'\\$%{}; #=-\n\tnx0uUdé"), max_size=12)
PER_UNIT = 100


def drawn() -> tuple[str, ...]:
    """Values that nobody chose."""
    found: list[str] = []

    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(TEXT, CLOSE))
    def collect(text: str) -> None:
        found.append(text)

    collect()
    return tuple(dict.fromkeys(found))


def files_of(one: Site, *targets: str) -> dict[PurePosixPath, str]:
    """The texts of these targets."""
    templates = shipped.tree("templates")
    chosen = [parse_target(templates[f"{name}/target.yaml"], file=f"{name}/target.yaml") for name in targets]
    return {file.path: file.text for file in render(one, targets=chosen, templates=templates)}


def unit_of(one: Site) -> str:
    """The text of the engine's unit."""
    return files_of(one, "systemd")[PurePosixPath("/etc/systemd/system/llmops-chat.service")]


class Started:
    """Units to be started together, and what their processes are to have."""

    def __init__(self, box: Box) -> None:
        self.box, self.root = box, Path(box.root())
        self.words: dict[str, list[str]] = {}
        self.variables: dict[str, dict[str, str]] = {}

    def add(self, text: str, *, words: Sequence[str] = (), variables: dict[str, str] | None = None) -> str:
        """One more unit: the last words of its command line, and variables of its environment."""
        name = f"llmops-h-{len(self.words)}"
        (self.root / f"etc/systemd/system/{name}.service").write_text(text)
        self.words[name], self.variables[name] = list(words), variables or {}
        return name

    def check(self) -> None:
        """Start all of them, and compare."""
        box = self.box
        box.shell("systemctl daemon-reload")
        done = box.run("systemctl", "start", *(f"{name}.service" for name in self.words), check=False)
        assert done.returncode == 0, done.stderr + box.shell("journalctl -o cat -p warning -n 30")
        for name, words in self.words.items():
            argv = self._read(f"{name}.argv")[-len(words) :] if words else []
            assert argv == words, next((pair for pair in zip(argv, words, strict=False) if pair[0] != pair[1]), name)
            environment = dict(pair.split("=", 1) for pair in self._read(f"{name}.environ"))
            wanted = self.variables[name]
            wrong = {
                key: (environment.get(key), value) for key, value in wanted.items() if environment.get(key) != value
            }
            assert wrong == {}, name
        said = box.shell("journalctl -o cat _PID=1")
        complaints = re.findall(r"^.*llmops-h-.*(?:ignor|fail|invalid|unknown|unbalanced|cannot).*$", said, re.M | re.I)
        assert complaints == []

    def _read(self, name: str) -> list[str]:
        return (self.root / STATE / name).read_bytes().decode().removesuffix("\0").split("\0")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A box with the users, places and key of a deployment, and a stand-in for every engine's program."""
    with bare(tmp_path, dict(os.environ)) as one:
        for path, text in files_of(site_of(with_words(locks.vllm_gpu(), ())), "systemd").items():
            one.write(str(path), text)
        one.write("/run/systemd/system/llmops-h-.service.d/once.conf", ONCE)
        for program in PROGRAMS:
            one.write(program, STUB)
            one.run("chmod", "755", program)
        one.shell(
            "chmod 755 /usr/lib/llmops/*; systemd-sysusers; systemd-tmpfiles --create /etc/tmpfiles.d/llmops.conf;"
            "mkdir -p /var/lib/llmops/models/chat/current; echo 0123456789abcdefghij > /etc/llmops/secrets/chat.engine-key"
        )
        yield one


PLACES = ("/opt/a b/ü😀", "/opt/@:!|+", "/opt/-x/~(1)&2*?[3]<4>^5=6,7`8`")
PROGRAMS = (
    *("/usr/bin/llama-server", "/opt/llmops/vllm/bin/vllm"),
    *(f"{place}/llama-server" for place in PLACES),
)


def on_the_processor(locked: LockedDeployment) -> LockedDeployment:
    """Without cards, whose device nodes a box has not."""
    return replace(locked, devices=())


def with_words(locked: LockedDeployment, words: Sequence[str]) -> Lock:
    """A lock whose command line ends in these."""
    return locks.lock({"chat": replace(on_the_processor(locked), argv=(*locked.argv, *words))})


def refusal(lock: Lock) -> str | None:
    """The field that a lock is refused for."""
    try:
        site_of(lock)
    except WrongInput as stop:
        return stop.where.key if stop.where is not None else ""
    return None


def carried(words: Sequence[str]) -> list[str]:
    """Those that a command line takes; the others are refused with their place in it."""
    field = f"deployments.chat.argv[{len(locks.llama_cpu().argv)}]"
    fields = {word: refusal(with_words(locks.llama_cpu(), [word])) for word in words}
    assert set(fields.values()) <= {None, field}
    assert not any(word.isprintable() for word, refused in fields.items() if refused)
    return [word for word, refused in fields.items() if refused is None]


def named(name: str) -> LockedDeployment:
    """The deployment of a model whose file is called so."""
    locked = locks.llama_cpu()
    file = replace(locked.model.files[0], name=name)
    return replace(locked, model=replace(locked.model, files=(file,)))


def carried_names(values: Sequence[str]) -> list[LockedDeployment]:
    """Models called so; a name that is refused is refused as what it is."""
    made = [named(f"{value}.gguf") for value in values]
    fields = [refusal(locks.lock({"chat": one})) for one in made]
    assert set(fields) <= {None, "deployments.chat.model.files"}
    return [one for one, refused in zip(made, fields, strict=True) if refused is None]


def test_a_process_has_the_words_names_paths_and_variables_of_the_lock_or_they_are_refused(box: Box) -> None:
    values = (*FIXED, *CONTROLS, *drawn())
    started = Started(box)
    words = carried(values)
    assert set(FIXED) <= set(words)
    assert not set(CONTROLS) & set(words)
    for at in range(0, len(words), PER_UNIT):
        some = words[at : at + PER_UNIT]
        for made in (locks.llama_cpu, locks.vllm_gpu):  # the second by way of a script of ours
            started.add(unit_of(site_of(with_words(made(), some))), words=some)

    names = carried_names(FIXED)
    assert len(names) > 80
    for one in names[:: len(names) // 30]:
        model = f"/var/lib/llmops/models/chat/current/{PurePosixPath(one.model.files[0].name)}"
        locked = replace(one, argv=(*one.argv, "{model}"))
        started.add(unit_of(site_of(locks.lock({"chat": locked}))), words=[model])

    for place in PLACES:
        program = f"{place}/llama-server"
        lock = with_words(locks.llama_cpu(), ["end"])
        started.add(unit_of(site(lock, systemd_version=252, engine_path=program)), words=["end"])

    _variables(started, values)
    started.check()
    assert len(started.words) > 30


def _variables(started: Started, values: Sequence[str]) -> None:
    """`Environment=` takes every text; the file of variables what means the same to its three readers."""
    direct = {f"D{at}": text for at, text in enumerate(values)}
    filed: dict[str, str] = {}
    for at, text in enumerate(values):
        try:
            dotenv_value(text)
        except WrongInput:
            continue
        filed[f"F{at}"] = text
    assert len(filed) > len(values) / 2
    one = site_of(locks.lock({"chat": locks.llama_cpu()}, targets=("systemd", "env")))
    changed = replace(one.deployments[0], environment=tuple(filed.items()), host_environment=tuple(direct.items()))
    files = files_of(replace(one, deployments=(changed,)), "systemd", "env")
    started.box.write("/etc/llmops/chat.env", files[PurePosixPath("/etc/llmops/chat.env")])
    started.add(files[PurePosixPath("/etc/systemd/system/llmops-chat.service")], variables={**direct, **filed})
