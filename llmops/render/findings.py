"""What a person should know of rendered files before using them."""

from collections.abc import Sequence

from llmops.domain.deployment import Site
from llmops.domain.finding import Finding, Status, Where
from llmops.domain.lock import Lock
from llmops.domain.profile import Gateway, SwapWish
from llmops.domain.units import size_text


def findings(
    lock: Lock, site: Site, *, targets: Sequence[str], file: str, missing_models: Sequence[str], store: str
) -> tuple[Finding, ...]:
    """What a person should know of what is rendered. `missing_models`: deployments whose files are not where a unit looks."""
    found: list[Finding] = []

    def add(code: str, message: str, fix: str | None = None, key: str | None = None) -> None:
        where = Where(file=file, key=key) if key is not None else None
        found.append(Finding(code=code, status=Status.WARN, message=message, fix=fix, where=where))

    if "systemd" in targets and "compose" in targets:
        ports = ", ".join(str(one.port) for one in site.deployments)
        add(
            "RND001",
            f"unit and compose file of one deployment take the same port ({ports}): start one of the two, never both",
        )
    if "compose" in targets and any(one.container.image is None for one in site.deployments):
        fix = "`--image ENGINE=NAME@sha256:DIGEST`, or LLMOPS_IMAGE in `.env` beside the compose file"
        add("RND002", "the compose file asks for the image's digest: it cannot be known without a registry", fix)
    for name, locked in lock.deployments.items():
        if not locked.ledger.fits():
            text = f"`{name}` was locked although its plan does not fit: the engine may not start"
            add("RND010", text, "`llmops plan` says what would fit", f"deployments.{name}.ledger.fits")
    for one in site.deployments:
        if not one.has_key:
            text = (
                f"`{one.name}`: {one.engine.value} asks for no key, so whoever has an account on this host can ask it on "
                f"127.0.0.1:{one.port}, past edge and gateway"
            )
            add("RND021", text, "let nobody else log in there, or plan for llama.cpp or vLLM, which ask for theirs")
        if one.is_ollama():
            size = sum(file.bytes for file in lock.deployments[one.name].model.files)
            text = f"`{one.name}`: Ollama copies the model into its own store at the first start: {size_text(size)} more on disk"
            add("RND022", text, "plan for llama.cpp, which reads the model where it lies")
    for name in missing_models:
        fix = f"llmops pull --lock {file} --store {store}"
        place = site.deployment(name).model_directory
        add("RND005", f"the model of {name} is not at {place}, where its unit looks for it", fix)
    order = _start_order(site) if "compose" in targets else ()
    return (
        *found,
        *_out_of_order(lock, file),
        *order,
        *_swap_findings(site, targets, file),
        *_gateway_findings(lock, site, file),
    )


def _out_of_order(lock: Lock, file: str) -> tuple[Finding, ...]:
    """Of a lock that a hand changed: who waits for another for a shorter time than that one may take."""
    fix = "change the profile, and `llmops plan --out` again"
    return tuple(
        Finding(
            code="RND025",
            status=Status.WARN,
            message=f"`{name}`: {figure} is {words}",
            fix=fix,
            where=Where(file=file, key=f"deployments.{name}.numbers.{figure}"),
        )
        for name, locked in lock.deployments.items()
        for figure, words in locked.numbers.out_of_order()
    )


def _swap_findings(site: Site, targets: Sequence[str], file: str) -> tuple[Finding, ...]:
    """A swap file that was asked for and is not rendered."""
    if site.swap is not SwapWish.FILE or "host-tuning" in targets:
        return ()
    text, fix = "the swap file is not rendered", "add `host-tuning` to `targets` in the profile, and plan again"
    where = Where(file=file, key="host.swap")
    return (Finding(code="RND024", status=Status.WARN, message=text, fix=fix, where=where),)


def _start_order(site: Site) -> tuple[Finding, ...]:
    """Of containers, which do not wait for those of another project."""
    found = []
    for one in site.deployments:
        if one.starts_after:
            before = ", ".join(other.removesuffix(".service") for other in one.starts_after)
            text = f"`{one.name}`: containers do not wait for each other, and it measures the card when it starts"
            fix = f"start {before} first, until healthy: `docker compose up --wait`"
            found.append(Finding(code="RND023", status=Status.WARN, message=text, fix=fix))
    return tuple(found)


def _gateway_findings(lock: Lock, site: Site, file: str) -> list[Finding]:
    """What was asked of the gateway and is not rendered."""
    asked, found = lock.serve.gateway, list[tuple[str, str, str, str]]()
    if asked is not Gateway.NONE and site.gateway is None:
        fix = "add `haproxy` to `targets`" if asked is Gateway.HAPROXY else "`serve.gateway: haproxy`"
        text = f"the gateway {asked.value} is not rendered: nginx goes to the engine, without a queue"
        found.append(("RND003", text, f"{fix} in the profile, and plan again", "serve.gateway"))
    if site.gateway is None and any(one.fallback for one in lock.deployments.values()):
        text = "no gateway, no fallback: a client gets 503 when its engine is down"
        found.append(("RND004", text, "add `haproxy` to `targets` in the profile, and plan again", "serve.gateway"))
    if lock.serve.fallback_api is not None and site.hosted_api is None:
        text = "the fallback API needs both nginx and the gateway: a client gets 503 when no engine is up"
        fix = "add `nginx` and `haproxy` to `targets` in the profile, and plan again"
        found.append(("RND004", text, fix, "serve.fallback_api"))
    return [
        Finding(code=code, status=Status.WARN, message=text, fix=fix, where=Where(file=file, key=key))
        for code, text, fix, key in found
    ]
