"""What `llmops bundle` was asked for, and which options go with which of its actions."""

from dataclasses import fields
from enum import StrEnum

from llmops.domain.errors import WrongUsage
from llmops.domain.records import dataclass
from llmops.domain.units import size_bytes
from llmops.hub.fetch import JOBS

LEVEL = 19


class Action(StrEnum):
    """What to do."""

    CREATE = "create"
    VERIFY = "verify"
    INSTALL = "install"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`paths` are locks for `create`, else the bundle. `store` None: the user's. `public_key` is a file or the key itself."""

    action: Action
    paths: tuple[str, ...] = ()
    output: str | None = None
    tar: bool = False
    split: str | None = None
    level: int = LEVEL
    sign: str | None = None
    passphrase_file: str | None = None
    with_wheels: str | None = None
    images: str | None = None
    backup: bool = False
    root: str = "/"
    models: bool = True
    public_key: str | None = None
    allowed_signers: str | None = None
    identity: str | None = None
    out: str | None = None
    rto: float | None = None
    allow_pickle: bool = False
    store: str | None = None
    jobs: int = JOBS

    def split_bytes(self) -> int | None:
        """The most that a volume may have. Raises `WrongUsage` for what is no size."""
        if self.split is None:
            return None
        size = size_bytes(self.split)
        if size is None or size <= 0:
            raise WrongUsage(f"`--split {self.split[:40]}` is no size", hint="`--split 4GiB`")
        return size


SPELLED = {
    "output": "--output", "tar": "--tar", "split": "--split", "level": "--level", "sign": "--sign",
    "passphrase_file": "--passphrase-file", "with_wheels": "--with-wheels", "images": "--images", "backup": "--backup",
    "root": "--root", "models": "--no-models", "public_key": "--public-key", "allowed_signers": "--allowed-signers",
    "identity": "--identity", "out": "--out", "rto": "--rto", "allow_pickle": "--allow-pickle", "store": "--store",
}  # fmt: skip
FROM_ENVIRONMENT = frozenset({"store", "root", "public_key", "allowed_signers", "identity", "sign", "passphrase_file"})
"""Set once for all actions, so one that has no use for it does not complain."""

CREATE = frozenset(
    {"output", "tar", "split", "level", "sign", "passphrase_file", "with_wheels", "images", "backup", "root", "models", "store"}
)  # fmt: skip
OPEN = frozenset({"public_key", "allowed_signers", "identity"})
GOES_WITH = {Action.CREATE: CREATE, Action.VERIFY: OPEN, Action.INSTALL: OPEN | {"out", "rto", "allow_pickle", "store"}}


def check(options: Options, typed: frozenset[str]) -> None:
    """Raises `WrongUsage` for options that do not go with the action; `typed` are those of the command line itself."""
    defaults = Options(action=options.action)
    for name in (one.name for one in fields(Options) if one.name in SPELLED):
        is_set = getattr(options, name) != getattr(defaults, name)
        if is_set and name not in GOES_WITH[options.action] and (name in typed or name not in FROM_ENVIRONMENT):
            others = " and ".join(f"`bundle {one.value}`" for one, names in GOES_WITH.items() if name in names)
            raise WrongUsage(f"`{SPELLED[name]}` is for {others}, not for `bundle {options.action.value}`")
    if options.action is not Action.CREATE and len(options.paths) != 1:
        raise WrongUsage(f"`bundle {options.action.value}` needs one PATH: a bundle's directory or file")
    if options.split is not None and not options.tar:
        raise WrongUsage("`--split` cuts one file: it goes with `--tar`", hint="add `--tar`")
    if options.passphrase_file is not None and options.sign is None and "passphrase_file" in typed:
        raise WrongUsage("`--passphrase-file` without `--sign`")
    if options.public_key is not None and options.allowed_signers is not None:
        raise WrongUsage(
            "`--public-key` (minisign) and `--allowed-signers` (ssh) together", hint="a bundle has one signature"
        )
    if options.rto is not None and not 0 < options.rto < 1e9:
        raise WrongUsage(f"`--rto {options.rto:g}` is no time", hint="`--rto 900`: seconds")
