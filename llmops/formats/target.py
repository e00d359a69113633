"""`templates/<target>/target.yaml`: which files a target gives."""

import re

from llmops.domain.deployment import Target
from llmops.domain.errors import WrongInput
from llmops.domain.finding import Where
from llmops.domain.forms import FormError, load

_MODE = re.compile(r"0[0-7]{3}")


def parse_target(text: str, *, file: str) -> Target:
    """The target described by `text`. Raises `WrongInput` with the key."""
    import yaml

    try:
        target = load(Target, yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise WrongInput(f"not YAML: {str(error).splitlines()[0]}", where=Where(file=file)) from None
    except FormError as error:
        raise WrongInput(error.message, hint=error.hint, where=Where(file=file, key=error.key())) from None
    for at, row in enumerate(target.files):
        if not _MODE.fullmatch(row.mode):
            raise WrongInput(
                f"`{row.mode}` is not a mode such as 0644", where=Where(file=file, key=f"files[{at}].mode")
            )
    return target
