"""Several deployments of one lock, rendered: who waits for whom, what all may take, and what the edge passes."""

import re
from dataclasses import replace

import locks
import pytest
from rendering import CASES, rendered, site_of, text_of, three_models, with_number

from llmops.domain.errors import WrongInput
from llmops.domain.ledger import HostLedger
from llmops.domain.lock import LockedDeployment
from llmops.domain.role import Role
from llmops.domain.units import GIB
from llmops.formats.lock import dump_lock, parse_lock
from llmops.render.findings import findings

UNITS = "/etc/systemd/system"
GATEWAY_BYTES = GIB
"""With the least of connections."""


def on_host(deployment: LockedDeployment, *, limit: int | None, total: int, maximum: int) -> LockedDeployment:
    """The same with another ledger of the host's memory."""
    host = HostLedger(
        causes=replace(deployment.ledger.host.causes, weights_bytes=total, kv_cache_bytes=0, compute_bytes=0)
    )
    host = replace(host, causes=replace(host.causes, overhead_bytes=0), limit_bytes=limit)
    made = replace(deployment, ledger=replace(deployment.ledger, host=host))
    return with_number(made, "memory_max_bytes", maximum)


def test_a_unit_waits_for_those_that_were_planned_before_it_on_its_card() -> None:
    files = rendered(CASES["three_models"])
    waits = {
        name: re.findall(
            r"^After=(llmops-(?!gpu|persistence)\S+)$", text_of(files, f"{UNITS}/llmops-{name}.service"), re.MULTILINE
        )
        for name in ("chat", "embed", "small")
    }
    assert waits == {"chat": [], "embed": ["llmops-chat.service"], "small": []}


def test_the_gateway_counts_with_what_its_unit_may_take() -> None:
    text = text_of(rendered(CASES["three_models"]), f"{UNITS}/llmops-gateway.service")
    assert re.findall(r"^MemoryMax=(\S+)$", text, re.MULTILINE) == [str(GATEWAY_BYTES)]


def test_the_gateway_takes_more_connections_than_its_queues_hold() -> None:
    long = locks.lock({"chat": with_number(locks.llama_cpu(), "queue_length", 9_000)}, targets=("haproxy",))
    for made, connections in ((locks.lock(targets=("haproxy",)), 2048), (long, 2 * (9_000 + 2))):
        files = rendered(made)
        assert f"    maxconn {connections}\n" in text_of(files, "/etc/llmops/haproxy.cfg")
        unit = text_of(files, f"{UNITS}/llmops-gateway.service")
        [memory, opened] = [int(one) for one in re.findall(r"^(?:MemoryMax|LimitNOFILE)=(\d+)$", unit, re.MULTILINE)][
            ::-1
        ]
        assert memory == 256 * 2**20 + connections * 6 * 65_536
        assert opened >= 4 * connections


def test_all_together_may_take_what_their_units_may_but_not_more_than_the_host_has() -> None:
    def slice_bytes(limit: int | None) -> int:
        each = {
            "one": on_host(locks.llama_cpu(alias="one"), limit=limit, total=10 * GIB, maximum=14 * GIB),
            "two": on_host(locks.llama_cpu(alias="two", port=8081), limit=limit, total=10 * GIB, maximum=14 * GIB),
        }
        text = text_of(rendered(locks.lock(each)), f"{UNITS}/llmops.slice")
        return int(re.findall(r"^MemoryMax=(\d+)$", text, re.MULTILINE)[0])

    assert slice_bytes(None) == 28 * GIB
    assert slice_bytes(40 * GIB) == 28 * GIB
    assert slice_bytes(15 * GIB) == 25 * GIB  # a ledger's limit is what the other one leaves
    assert slice_bytes(2 * GIB) == 14 * GIB  # at least the largest unit's own limit


def test_the_edge_passes_embeddings_alone_to_what_makes_them() -> None:
    text = text_of(rendered(CASES["three_models"]), "/etc/nginx/conf.d/llmops.conf")
    passed = re.findall(r"location ~ \^(\S*)\(\?<llmops_path>/v1/\(\?:(\S+?)\)", text)
    chat = "chat/completions|completions|embeddings|models"
    assert passed == [("", chat), ("/embed", "embeddings|models"), ("/small", chat)]


def test_engine_words_alone_say_that_it_makes_embeddings() -> None:
    models = three_models()
    plain = replace(models["embed"], features=replace(models["embed"].features, embeddings=False))
    assert site_of(locks.lock({**models, "embed": plain})).deployment("embed").role is Role.EMBEDDINGS


@pytest.mark.parametrize(
    ("after", "message"),
    [
        ({"chat": ("nobody",)}, "no other deployment is called `nobody`"),
        ({"chat": ("chat",)}, "no other deployment is called `chat`"),
        ({"chat": ("embed",)}, "they wait for each other in a circle"),  # embed waits for chat
        ({"chat": ("small",), "small": ("embed",)}, "they wait for each other in a circle"),
    ],
)
def test_a_lock_whose_deployments_could_not_all_start_is_refused(
    after: dict[str, tuple[str, ...]], message: str
) -> None:
    models = {
        name: replace(one, starts_after=after.get(name, one.starts_after)) for name, one in three_models().items()
    }
    text = dump_lock(locks.lock(models))
    with pytest.raises(WrongInput, match=message):
        parse_lock(text, file="llmops.lock")


def test_containers_that_would_have_to_wait_are_a_finding() -> None:
    lock = CASES["three_models"]

    def codes(*targets: str) -> dict[str, str]:
        found = findings(lock, site_of(lock), targets=targets, file="l", missing_models=(), store="/var/lib/llmops")
        return {one.code: one.message for one in found}

    assert "RND023" not in codes("systemd")
    assert codes("compose")["RND023"].startswith("`embed`: ")


def test_the_start_order_is_in_the_lock() -> None:
    lock = locks.lock(three_models())
    assert parse_lock(dump_lock(lock), file="llmops.lock") == lock
