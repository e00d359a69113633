"""Names for the shell's completion: looked for in the catalogue's text, without reading its rows. Must be quick."""

import re

_MODEL = re.compile(r'^\{"id":"([^"]+)"(?:,"aliases":\[([^\]]*)\])?', re.MULTILINE)
_GPU = re.compile(r'^\{"name":"([^"]+)"', re.MULTILINE)


def model_names(incomplete: str) -> list[str]:
    """Ids and aliases that begin so."""
    found: list[str] = []
    for name, aliases in _MODEL.findall(_text("models.json")):
        found += [name, *re.findall(r'"([^"]+)"', aliases)]
    return _beginning(found, incomplete)


def gpu_names(incomplete: str) -> list[str]:
    """Names of cards that begin so, in any case."""
    return _beginning(_GPU.findall(_text("gpus.json")), incomplete)


def list_names(incomplete: str) -> list[str]:
    """What `catalog` can list."""
    return _beginning(["models", "gpus", "profiles", "engines", "sizes", "check"], incomplete)


def catalogue_names(incomplete: str) -> list[str]:
    """Names of models, then of cards."""
    return [*model_names(incomplete), *gpu_names(incomplete)]


def _text(name: str) -> str:
    from llmops.library import shipped

    return shipped.text("catalogue", name)


def _beginning(names: list[str], incomplete: str) -> list[str]:
    start = incomplete.strip("'\"").casefold()
    return [name for name in names if name.casefold().startswith(start)]
