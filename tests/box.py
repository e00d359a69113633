"""A throw-away booted Debian (scripts/box) with llmops installed from its wheel, and a real llama-server."""

import fcntl
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import consumers

ROOT = Path(__file__).resolve().parents[1]
BOX = ROOT / "scripts/box"
TAKEN = ("llmops", "templates", "profiles")


@dataclass(frozen=True, slots=True)
class Box:
    """One box."""

    name: str
    environment: dict[str, str]

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command inside, as root."""
        done = self._scripted("exec", self.name, *words)
        assert not check or done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def shell(self, script: str, *, check: bool = True) -> str:
        """What a script says inside."""
        return self.run("sh", "-ec", script, check=check).stdout

    def copy(self, *sources: Path, to: str) -> None:
        """Files and trees into a directory of the box."""
        self.run("mkdir", "-p", to)
        self._must("copy", self.name, *map(str, sources), to)

    def write(self, path: str, text: str) -> None:
        """A file inside."""
        place = Path(self.root()) / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def root(self) -> str:
        """Where this machine sees the box's files."""
        return self._must("root", self.name).strip()

    def reboot(self, *, power_cut: bool = False) -> None:
        """Off and on again, with the same disk."""
        self._must("reboot", self.name, *(("--power-cut",) if power_cut else ()))

    def snapshot(self, *places: str) -> set[str]:
        """Every path below these, with its kind, mode and owner."""
        return set(self.shell(f"find {' '.join(places)} -xdev -printf '%y %m %u %p\\n'").splitlines())

    def _scripted(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BOX), *words], capture_output=True, text=True, check=False, timeout=120, env=self.environment,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def _must(self, *words: str) -> str:
        done = self._scripted(*words)
        assert done.returncode == 0, f"box {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout


@contextmanager
def bare(directory: Path, environment: dict[str, str]) -> Iterator[Box]:
    """A fresh box with nothing of llmops in it; gone without a trace afterwards."""
    box = Box(f"b{uuid.uuid4().hex[:8]}", {**environment, "LLMOPS_BOX_STATE": str(directory / "boxes")})
    try:
        box._must("boot", box.name, str(consumers.tools_directory(environment) / "box"))
        yield box
    finally:
        box._scripted("halt", box.name)


@contextmanager
def booted(directory: Path, environment: dict[str, str], *, shared: Path) -> Iterator[Box]:
    """A bare box with `llmops` on its PATH and llama-server in /usr/bin.

    `shared`: the directory of all tests of a run, in which the first one leaves what it installed.
    """
    with bare(directory, environment) as box:
        _installed(box, shared)
        _engine(box, environment)
        yield box


def _installed(box: Box, shared: Path) -> None:
    """The wheel and what it needs, by the box's own pip; building and installing take half a minute, so once a run."""
    kept = shared / "box-llmops.tar"
    with (shared / "box-llmops.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            box.copy(*_wheels(shared / "box-wheels"), to="/opt/wheels")
            box.shell(
                "python3 -m venv /opt/llmops;"
                "/opt/llmops/bin/pip install -q --no-index --find-links /opt/wheels llmops-cli;"
                "tar -C /opt -cf /opt/llmops.tar llmops"
            )
            shutil.move(f"{box.root()}/opt/llmops.tar", kept)
        else:
            box.copy(kept, to="/opt")
            box.shell(f"tar -C /opt -xf /opt/{kept.name}; rm /opt/{kept.name}")
    box.run("ln", "-s", "/opt/llmops/bin/llmops", "/usr/local/bin/llmops")


def _engine(box: Box, environment: dict[str, str]) -> None:
    """The unpacked package of scripts/get-llama-server, whose wrapper finds its libraries beside itself."""
    program = consumers.find("llama-server", environment)
    assert program is not None
    top = program.resolve().parents[1]
    box.copy(program.resolve(), to="/opt/engine/bin")
    box.copy(top / "llama", to="/opt/engine")
    box.run("ln", "-s", "/opt/engine/bin/llama-server", "/usr/bin/llama-server")


def _wheels(into: Path) -> Sequence[Path]:
    """The project's wheel and those its lock names, for the box's Python 3.11."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    lock = str(ROOT / "requirements/run.txt")
    _ran(
        *pip,
        "download",
        "--require-hashes",
        "--only-binary=:all:",
        "--python-version=3.11",
        "-r",
        lock,
        "-d",
        str(into),
    )
    _ran(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(into), str(ROOT))
    return sorted(into.iterdir())


def _ran(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
