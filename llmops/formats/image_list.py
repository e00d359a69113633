"""A list of container images pinned by digest, one a line: what a site loads into its own registry."""

import re

from llmops.formats.refusal import refusal

_IMAGE = re.compile(r"(?:[a-z.-]+=)?[A-Za-z0-9][A-Za-z0-9._/:-]*@sha256:[0-9a-f]{64}", re.ASCII)
HINT = "one image a line, as `vllm/vllm-openai@sha256:…` or `vllm=vllm/vllm-openai@sha256:…`"


def parse_images(text: str, *, name: str) -> tuple[str, ...]:
    """The images, sorted; blank lines and what follows a `#` are left out. Raises `WrongInput` for one without a digest."""
    images: set[str] = set()
    for number, line in enumerate(text.splitlines(), 1):
        image = line.partition("#")[0].strip()
        if image and not _IMAGE.fullmatch(image):
            raise refusal(name, f"`{image[:120]}` is not pinned by a digest", hint=HINT, line=number)
        images |= {image} if image else set()
    return tuple(sorted(images))
