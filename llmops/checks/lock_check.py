"""A check of a host against one deployment of a lock."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from llmops.checks.check import Judgement
from llmops.domain.engine import EngineName
from llmops.domain.engine_matrix import numbers
from llmops.domain.gpu_software import Found
from llmops.domain.host import HostFacts
from llmops.domain.lock import LockedDeployment
from llmops.domain.needs import Needs
from llmops.domain.reading import Known, Unknown, known
from llmops.domain.records import dataclass
from llmops.domain.references import References

TOOLS = {
    EngineName.LLAMA_CPP: "llama-server",
    EngineName.VLLM: "vllm",
    EngineName.SGLANG: "sglang",
    EngineName.OLLAMA: "ollama",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One deployment, the host it is for, and the dated rows."""

    name: str
    deployment: LockedDeployment
    needs: Needs
    host: HostFacts
    references: References

    def user(self) -> str:
        """The system user of its unit."""
        return f"llmops-{self.name}"

    def has_target(self, *names: str) -> bool:
        """Whether one of these is rendered."""
        return any(name in self.needs.lock.targets for name in names)

    def engine_versions(self) -> tuple[tuple[str, Known[str] | Unknown], ...]:
        """Every version of its engine that is on the host, and where."""
        name = self.deployment.engine.name
        tools = [one for one in self.host.tools if one.name == TOOLS.get(name) and one.path is not None]
        found = [(tool.path or "", tool.version) for tool in tools]
        seen = {path for path, _ in found}
        others = [
            one for one in known(self.host.engines) or () if one.name == name.value and one.found is not Found.IMAGE
        ]
        return tuple(found + [(one.where, one.version) for one in others if one.where not in seen])

    def version(self) -> str:
        """The version to judge by: what is installed and allowed, else what the lock was checked on."""
        for _, reading in self.engine_versions():
            if isinstance(reading, Known) and allows(self.deployment.engine.versions, reading.value):
                return reading.value
        return self.deployment.engine.build

    def runs_already(self) -> bool:
        """Its own user listens on its port."""
        port = self.deployment.numbers.engine_port.value
        return any(one.port == port and one.user == self.user() for one in known(self.host.listeners) or ())

    def before(self) -> tuple["Wanted", ...]:
        """The lock's deployments that come first and do not run yet: what they take is gone when this one starts."""
        names = list(self.needs.lock.deployments)
        earlier = [
            replace(self, name=name, deployment=self.needs.lock.deployments[name])
            for name in names[: names.index(self.name)]
        ]
        return tuple(one for one in earlier if not one.runs_already())


def beside(names: Sequence[str]) -> str:
    """` beside `chat` and `code``, for messages; empty without any."""
    quoted = [f"`{name}`" for name in names]
    return f" beside {' and '.join(quoted)}" if quoted else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockCheck:
    """One row: as of a `Check`, but of one deployment; each says its own fix. `of_host`: one answer for all deployments."""

    code: str
    title: str
    judge: Callable[[Wanted], Judgement | None]
    why: str
    source: str
    of_host: bool = False
    decides: bool = False


def allows(rule: str, version: str) -> bool:
    """Whether `>= 0.20, < 0.34` holds of a version. An empty rule allows every one."""
    have = numbers(version)
    for part in rule.split(","):
        word, _, bound = part.strip().partition(" ")
        limit = numbers(bound)
        if not word or not limit:
            continue
        if (
            (word == ">=" and have < limit)
            or (word == "<" and have[: len(limit)] >= limit)
            or (word == "<=" and have > limit)
        ):
            return False
    return bool(have)
