"""nginx' map of hashed API keys: `<SHA-256 in hex> "tenant";`, one line a key; a tenant may have several."""

import hashlib
import re

from llmops.domain.errors import WrongInput
from llmops.domain.finding import Where
from llmops.domain.keys import HashedKey

_LINE = re.compile(r'([0-9a-f]{64})\s+"([A-Za-z0-9._@-]{1,64})"\s*;')


def parse_keys(text: str, *, file: str) -> tuple[HashedKey, ...]:
    """Every key. Raises `WrongInput` with the line that is none: nginx would refuse the file, or let somebody in."""
    keys: list[HashedKey] = []
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        found = _LINE.fullmatch(bare)
        if found is None:
            message = 'not a line of a key map: `<SHA-256 in hex> "tenant";`'
            raise WrongInput(message, hint="remove the line, or put it right", where=Where(file=file, line=number))
        keys.append(HashedKey(sha256=found[1], tenant=found[2]))
    return tuple(keys)


def dump_keys(keys: tuple[HashedKey, ...]) -> str:
    """The map, in the order given."""
    return "".join(f'{key.sha256} "{key.tenant}";\n' for key in keys)


def hashed(plain: str, *, tenant: str) -> HashedKey:
    """The key of which only this is kept. Plain SHA-256 is enough for keys of 128 bits and more of randomness."""
    return HashedKey(sha256=hashlib.sha256(plain.encode()).hexdigest(), tenant=tenant)
