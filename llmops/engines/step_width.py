"""What a token of a step, or a patch of an image, holds at its widest moment in 16 bit.

Rows of the hidden width and of the feed-forward's; a rule of thumb that two logged floors of vLLM (0.25 GiB of a small model,
0.37 GiB on 16 ranks) do not contradict, and no log was made to measure.
"""

from llmops.domain.model import ModelShape

WIDE_ROWS, NARROW_ROWS = 10, 2


def token_step_bytes(width: int, widest: int) -> int:
    """Widths in elements, the widest one as it is on one rank."""
    return 2 * (WIDE_ROWS * width + NARROW_ROWS * widest)


def text_token_bytes(shape: ModelShape, ranks: int) -> int:
    """Of the text model: its widest layer, with the experts that a token uses."""
    widths = (max(one.feed_forward, one.expert_feed_forward * one.experts_used) for one in shape.layers)
    return token_step_bytes(shape.embedding_length, max(widths, default=0) // ranks)
