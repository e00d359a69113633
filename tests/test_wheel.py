"""The wheel: what is in the tree is in it, and installed elsewhere it renders the same bytes as the checkout.

The empty environment gets its dependencies by a path file that names the site-packages of the environment the tests run
in: the same locked packages, nothing fetched again. Path files there are not followed, so that the checkout, which is
installed editable beside them, stays out of reach; a test makes sure of it.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from rendering import CASES

from llmops import __version__
from llmops.formats.lock import dump_lock

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ("templates", "profiles")
pytestmark = pytest.mark.slow


def ran(*argv: str | Path, directory: Path = Path("/")) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LLMOPS_"))}
    done = subprocess.run(argv, cwd=directory, env=clean, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{argv}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the project, without what running and testing leaves behind."""
    place = tmp_path_factory.mktemp("source") / "tree"
    left_out = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("llmops", *SHIPPED):
        shutil.copytree(ROOT / name, place / name, ignore=left_out)
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, place)
    return place


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the source distribution and the wheel that is built from it; nothing is fetched."""
    out = tmp_path_factory.mktemp("dist")
    ran(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source)
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment outside the tree with nothing but the wheel; its `bin`."""
    place = tmp_path_factory.mktemp("elsewhere") / "environment"
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    ran(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel)
    (packages,) = (place / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return place / "bin"


def tree_names() -> set[str]:
    """Every file of the project that an installation needs, by its place in the package."""
    names = set()
    for top in ("llmops", *SHIPPED):
        for path in (ROOT / top).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                name = path.relative_to(ROOT).as_posix()
                names.add(name if top == "llmops" else f"llmops/{name}")
    return names


def test_the_wheel_holds_every_file_of_the_tree_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    metadata = {name for name in names if ".dist-info/" in name}
    assert names - metadata == tree_names()
    assert any(name.endswith("licenses/LICENSE") for name in metadata)
    assert "llmops/py.typed" in names
    assert sum(name.startswith("llmops/templates/") for name in names) > 5


def test_the_source_distribution_holds_templates_and_profiles_where_people_look_for_them(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        path.relative_to(ROOT).as_posix() for top in SHIPPED for path in (ROOT / top).rglob("*") if path.is_file()
    }
    assert wanted <= names
    assert {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml"} <= names


def test_the_installed_one_is_the_wheel_s_and_not_the_checkout_s(installed: Path) -> None:
    program = "import json, sys, llmops; print(json.dumps([llmops.__file__, sys.path]))"
    file, path = json.loads(ran(installed / "python", "-c", program))
    assert Path(file).is_relative_to(installed.parent)
    assert str(ROOT) not in path
    assert ran(installed / "llmops", "--version") == f"llmops {__version__}\n"


@pytest.mark.parametrize("kind", ["profiles", "models", "gpus", "engines"])
def test_the_catalogue_of_the_wheel_is_the_catalogue_of_the_checkout(kind: str, installed: Path) -> None:
    from_wheel = ran(installed / "llmops", "catalog", kind, "--json")
    from_checkout = ran(sys.executable, "-m", "llmops", "catalog", kind, "--json")
    assert from_wheel == from_checkout
    assert json.loads(from_wheel)["ok"] is True


def rendered(program: list[str | Path], lock: Path, out: Path) -> dict[str, bytes]:
    ran(*program, "render", "--lock", lock, "--out", out, "--quiet")
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.mark.parametrize("case", CASES)
def test_the_wheel_renders_the_same_bytes_as_the_checkout(case: str, installed: Path, tmp_path: Path) -> None:
    lock = tmp_path / "llmops.lock"
    lock.write_text(dump_lock(CASES[case]))
    from_wheel = rendered([installed / "llmops"], lock, tmp_path / "wheel")
    from_checkout = rendered([sys.executable, "-m", "llmops"], lock, tmp_path / "checkout")
    assert len(from_wheel) > 5
    assert from_wheel == from_checkout
