"""What a person should know of a plan before using it: the findings `PLN…` of `plan`."""

from collections.abc import Sequence

from llmops.domain.finding import Finding, Status
from llmops.domain.model import ModelShape
from llmops.domain.plan import Plan
from llmops.domain.profile import Gateway, Intent, Profile

DOES_NOT_FIT = "PLN001"


def findings(
    name: str, plan: Plan, *, shape: ModelShape, is_header: bool, missing: Sequence[str], way_out: str
) -> tuple[Finding, ...]:
    """Of one deployment. `missing` and `way_out` say what a plan lacks that does not fit, and what to type then.

    `is_header`: the shape is from a GGUF file's own header, which says whether there is a chat template.
    """
    found: list[Finding] = []
    if not plan.ledger.fits():
        message = f"`{name}` does not fit: {'; '.join(missing)}"
        found.append(Finding(code=DOES_NOT_FIT, status=Status.FAIL, message=message, fix=way_out))
    found += [Finding(code="PLN002", status=Status.WARN, message=f"not sized: {words}") for words in shape.not_sized]
    if is_header and not shape.has_chat_template:
        message = "the file has no chat template: the server falls back to ChatML, wrong for most models"
        found.append(Finding(code="PLN003", status=Status.WARN, message=message))
    return tuple(found)


UNREAD_FEATURES = ("structured_output", "tools", "lora", "chat_template")
"""All features but `mmproj` and `embeddings`, which a plan follows."""


def unused(intent: Intent, profile: Profile) -> tuple[Finding, ...]:
    """Of what the profile says and nothing here reads yet."""
    keys = unused_keys(intent, profile)
    message = f"read and kept in the profile, not used by this version's plan: {', '.join(keys)}"
    return (Finding(code="PLN004", status=Status.WARN, message=message),) if keys else ()


def unused_keys(intent: Intent, profile: Profile) -> tuple[str, ...]:
    """Keys that are part of the profile but that nothing here reads yet, when they differ from their default."""
    default, blank = Intent(model=""), Profile(deployments={})
    pairs: tuple[tuple[str, object, object, tuple[str, ...]], ...] = (
        ("", intent, default, ("slo", "objective", "engine_args")),
        ("features.", intent.features, default.features, UNREAD_FEATURES),
        ("workload.", intent.workload, default.workload, ("traces", "arrival_rps")),
        ("", profile, blank, ("observe", "change", "cost")),
    )
    no_gateway = ("serve.gateway",) if profile.serve.gateway is Gateway.LITELLM else ()
    return no_gateway + tuple(
        f"{place}{name}"
        for place, said, unsaid, names in pairs
        for name in names
        if getattr(said, name) != getattr(unsaid, name)
    )
