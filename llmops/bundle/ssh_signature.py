"""Signatures of `ssh-keygen -Y`: by a key file, or by an agent that holds the key; checked against allowed signers."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from llmops.bundle.refusal import disk_errors
from llmops.domain.bundle import CHECKSUMS, SIGNED_AS
from llmops.domain.errors import OutsideWorld, WrongInput
from llmops.domain.finding import Where
from llmops.domain.programs import Ran, Runner
from llmops.domain.reading import Unknown

LIMIT_SECONDS = 60.0
INSTALL = "`apt-get install openssh-client`"


def ssh_sign(content: bytes, *, key: Path, runner: Runner, environment: Mapping[str, str]) -> bytes:
    """The signature. A key with a passphrase is asked of the agent: nothing here ever has the passphrase."""
    with tempfile.TemporaryDirectory(prefix="llmops-sign-") as folder:
        message = Path(folder) / CHECKSUMS
        with disk_errors(message):
            message.write_bytes(content)
        argv = ("ssh-keygen", "-q", "-Y", "sign", "-f", str(key.absolute()), "-n", SIGNED_AS, str(message))
        agent = {name: environment[name] for name in ("SSH_AUTH_SOCK",) if environment.get(name)}
        ran = _run(runner, argv, agent | {"SSH_ASKPASS_REQUIRE": "never"})
        made = message.with_name(f"{CHECKSUMS}.sig")
        if ran.exit_code != 0 or not made.exists():
            said = (ran.stderr.strip() or "no signature was made").splitlines()[-1][:200]
            hint = f"a key with a passphrase: `ssh-add {key}`, then `--sign {key}.pub` (the agent signs)"
            raise OutsideWorld(f"ssh-keygen could not sign: {said}", hint=hint, where=Where(file=str(key)))
        return made.read_bytes()


def ssh_verify(
    content: bytes, signature: bytes, *, signers: Path, identity: str | None, runner: Runner, name: str
) -> str:
    """Who signed. Raises `WrongInput` when nobody of `signers` did."""
    if not signers.is_file():
        raise WrongInput("there is no such file", hint="see ALLOWED SIGNERS in `man ssh-keygen`", where=_at(signers))
    with tempfile.TemporaryDirectory(prefix="llmops-verify-") as folder:
        message, signed = Path(folder) / CHECKSUMS, Path(folder) / f"{CHECKSUMS}.sig"
        with disk_errors(message):
            message.write_bytes(content)
            signed.write_bytes(signature)
        allowed = str(signers.absolute())
        who = identity
        if who is None:
            found = _run(runner, ("ssh-keygen", "-Y", "find-principals", "-s", str(signed), "-f", allowed), {})
            who = next(iter(found.stdout.split("\n")), "").strip() if found.exit_code == 0 else ""
            if not who:
                raise _wrong(f"nobody in {signers} made the signature", name, found)
        # ssh-keygen reads what was signed from its standard input, which the runner closes.
        argv = (
            "sh", "-c", 'content=$1; shift; exec "$@" <"$content"', "sh", str(message),
            "ssh-keygen", "-Y", "verify", "-f", allowed, "-I", who, "-n", SIGNED_AS, "-s", str(signed),
        )  # fmt: skip
        ran = _run(runner, argv, {})
        if ran.exit_code != 0:
            raise _wrong(f"the signature is not by `{who}` over these checksums", name, ran)
        return who


def _run(runner: Runner, argv: tuple[str, ...], environment: Mapping[str, str]) -> Ran:
    if runner.find("ssh-keygen") is None:
        raise OutsideWorld("ssh-keygen is not here", hint=INSTALL)
    ran = runner.run(argv, timeout_seconds=LIMIT_SECONDS, environment=environment)
    if isinstance(ran, Unknown):
        raise OutsideWorld(ran.reason, hint=INSTALL)
    return ran.value


def _wrong(message: str, name: str, ran: Ran) -> WrongInput:
    said = (ran.stderr.strip() or ran.stdout.strip()).splitlines()
    why = f" ({said[-1][:160]})" if said else ""
    hint = "get the bundle again from who made it, or the right `--allowed-signers`"
    return WrongInput(message + why, hint=hint, where=Where(file=name))


def _at(path: Path) -> Where:
    return Where(file=os.fspath(path))
