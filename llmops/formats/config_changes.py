"""What a command line says of a model's config.json instead of the file: `--hf-overrides`, `--json-model-override-args`.

Source: vLLM 0.33, config/model.py (`_update_nested`: a table of a config inside the config is merged, any other value takes the
place of the old one); SGLang 0.5.23, srt/utils/hf_transformers_utils.py (`config.update`).
"""

import json
from collections.abc import Mapping

from llmops.formats.json_text import Value, json_object

ENDS = "_config"
"""How the names of configs inside a config end; its quantization and a scaling are tables that are replaced as a whole."""
WHOLE = frozenset({"quantization_config"})


def changed_config(config: bytes, changes: str, *, name: str) -> bytes:
    """The file with the changes, an object in JSON; empty: as it is. Raises `WrongInput` for a file that is none."""
    if not changes:
        return config
    table = json_object(changes.encode(), name="the changes of the command line", what="a table")
    return json.dumps(_merged(json_object(config, name=name, what="a model's config.json"), table)).encode()


def _merged(old: Mapping[str, Value], new: Mapping[str, Value]) -> dict[str, Value]:
    found = dict(old)
    for key, value in new.items():
        before = found.get(key)
        is_inside = key.endswith(ENDS) and key not in WHOLE
        if is_inside and isinstance(before, dict) and isinstance(value, dict):
            found[key] = _merged(before, value)
        else:
            found[key] = value
    return found
