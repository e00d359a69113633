"""The engine matrix as `plan`, `explain`, `catalog` and `doctor` read it: the host's own file before the shipped one."""

from collections.abc import Mapping
from pathlib import Path

from llmops.domain.engine import EngineName
from llmops.domain.engine_matrix import EngineMatrix
from llmops.formats.engine_matrix import FILE, engine_matrix
from llmops.library.reference_data import HOST_DIRECTORY, SHIPPED, read


def engine_rows(
    environment: Mapping[str, str], *, engine: EngineName | None = None, host_directory: Path = HOST_DIRECTORY
) -> tuple[EngineMatrix, str]:
    """The rows (of one `engine` alone where the others' are not asked for), and where they were read.

    Raises `WrongInput` for a file of the host's own that is none.
    """
    text, place = read("engines.json", environment=environment, host_directory=host_directory)
    return engine_matrix(text, file=FILE if place == SHIPPED else place, engine=engine), place
