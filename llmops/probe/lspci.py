"""The third source: graphics cards on the bus, with the names that `lspci` has for them."""

import re

from llmops.domain.gpu import GpuSource, SeenCard
from llmops.domain.programs import Ran, Runner
from llmops.domain.reading import Known, Unknown
from llmops.probe import pci

ANSWER_SECONDS = 5.0

_LINE = re.compile(
    r"(?P<address>[0-9a-fA-F:.]{7,16}) [^\[]*\[(?P<kind>03|12)[0-9a-f]{2}\]: (?P<name>.*) \[(?P<vendor>[0-9a-f]{4}):[0-9a-f]{4}\]"
)


def ask(runner: Runner) -> Known[Ran] | Unknown:
    """`lspci -nn -D`: with numbers, and with the domain in each address."""
    return runner.run(("lspci", "-nn", "-D"), timeout_seconds=ANSWER_SECONDS)


def read(ran: Known[Ran] | Unknown) -> GpuSource:
    """Display controllers and accelerators."""
    if isinstance(ran, Unknown):
        return GpuSource(name="lspci", cards=ran)
    if ran.value.exit_code != 0:
        words = ran.value.stderr.strip().splitlines()
        return GpuSource(name="lspci", cards=Unknown(f"`lspci` said: {words[-1][:120] if words else 'nothing'}"))
    cards: list[SeenCard] = []
    for line in ran.value.stdout.split("\n"):
        match = _LINE.match(line)
        if match is not None:
            cards.append(SeenCard(address=pci.address(match["address"]), name=_short(match["name"])))
    return GpuSource(name="lspci", cards=Known(tuple(cards)))


def _short(name: str) -> str:
    """`NVIDIA AD102 [GeForce RTX 4090]` of the list's long maker's name."""
    return re.sub(r"^NVIDIA Corporation", "NVIDIA", name).strip()[:120]
