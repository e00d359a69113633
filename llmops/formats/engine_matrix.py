"""The shipped `catalogue/engines.json`, and what a model's quantization is called in it."""

import json

from llmops.domain.engine_matrix import EngineMatrix
from llmops.domain.errors import WrongInput
from llmops.domain.finding import Where
from llmops.domain.forms import FormError, load

FILE = "catalogue/engines.json"


def engine_matrix(text: str, *, file: str = FILE) -> EngineMatrix:
    """The rows of `engines.json`, shipped or the host's own."""
    try:
        return load(EngineMatrix, json.loads(text))
    except (ValueError, RecursionError, FormError) as error:
        hint = (
            "the installation is not complete: install llmops again"
            if file == FILE
            else f"move {file} away to use the shipped rows"
        )
        raise WrongInput(f"not the engine matrix: {error}", hint=hint, where=Where(file=file)) from None
