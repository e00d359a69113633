"""How cards are joined, through NVML: NVLinks, the NVSwitch fabric, and what lies between two cards."""

import ctypes
from typing import Any

from llmops.domain.gpu import CardPair, CardPath, Fabric, FabricState, LinkEnd, NvLink
from llmops.domain.host import Gpu
from llmops.domain.reading import Known, Unknown, known
from llmops.probe import pci
from llmops.probe.nvml import NO_FUNCTION, NOT_SUPPORTED, Nvml

MOST_LINKS = 36
"""NVML_NVLINK_MAX_LINKS; a card with fewer answers "Invalid Argument" beyond its last."""

ENDS = {0: LinkEnd.GPU, 1: LinkEnd.CPU, 2: LinkEnd.SWITCH}
PATHS = {
    0: CardPath.SAME_BOARD,
    10: CardPath.ONE_SWITCH,
    20: CardPath.SWITCHES,
    30: CardPath.HOST_BRIDGE,
    40: CardPath.NUMA_NODE,
    50: CardPath.SYSTEM,
}
READ, WRITE = 0, 1
P2P_OK = 0
"""nvmlGpuP2PCapsIndex_t and nvmlGpuP2PStatus_t."""

INVALID = "Invalid Argument"


def links(nvml: Nvml, handle: Any) -> Known[tuple[NvLink, ...]] | Unknown:  # noqa: ANN401 - an opaque pointer
    """Every NVLink of the card, up or down; unknown where the first is not told of."""
    found: list[NvLink] = []
    for index in range(MOST_LINKS):
        state = nvml.whole("nvmlDeviceGetNvLinkState", handle, index)
        if isinstance(state, Unknown):
            if found and state.reason in (INVALID, NOT_SUPPORTED):
                break
            return Unknown("the card has no NVLink") if state.reason in (INVALID, NOT_SUPPORTED) else state
        found.append(_link(nvml, handle, index, is_active=bool(state.value)))
    return Known(tuple(found))


def _link(nvml: Nvml, handle: Any, index: int, *, is_active: bool) -> NvLink:  # noqa: ANN401 - an opaque pointer
    if not is_active:
        return NvLink(index=index, active=False)
    end = nvml.whole("nvmlDeviceGetNvLinkRemoteDeviceType", handle, index)
    info = nvml.ask("nvmlDeviceGetNvLinkRemotePciInfo", handle, index)
    bus = getattr(info.value, "busId", b"") if isinstance(info, Known) else b""
    return NvLink(
        index=index,
        active=True,
        end=ENDS.get(end.value, LinkEnd.UNKNOWN) if isinstance(end, Known) else LinkEnd.UNKNOWN,
        peer_address=pci.address(bus.decode("ascii", "replace") if isinstance(bus, bytes) else str(bus)),
    )


def fabric(nvml: Nvml, handle: Any) -> Known[Fabric] | Unknown:  # noqa: ANN401 - an opaque pointer
    """The card's registration with its NVSwitches, by the newer structure first."""
    reading: Known[Fabric] | Unknown = Unknown(NO_FUNCTION)
    for function, structure in (
        ("nvmlDeviceGetGpuFabricInfoV", "c_nvmlGpuFabricInfo_v2_t"),
        ("nvmlDeviceGetGpuFabricInfo", "c_nvmlGpuFabricInfo_t"),
    ):
        made = getattr(nvml.pynvml, structure, None)
        if made is None:
            continue
        info = made()
        answer = nvml.ask(function, handle, ctypes.byref(info))
        if isinstance(answer, Known):
            return read_fabric(int(info.state) & 0xFF, int(info.status))  # one byte in nvml.h, four in pynvml
        reading = answer
        if answer.reason == NOT_SUPPORTED:
            return Unknown("the card is on no NVSwitch fabric")
    return reading


def read_fabric(state: int, status: int) -> Known[Fabric] | Unknown:
    """The two numbers of a registration; the status counts once it is completed."""
    states = tuple(FabricState)
    if not 0 <= state < len(states):
        return Unknown(f"a state of the fabric not known here: {state}")
    is_done = states[state] is FabricState.COMPLETED
    return Known(Fabric(state=states[state], error=status if is_done and status else None))


def pairs(nvml: Nvml, cards: tuple[tuple[Gpu, Any], ...]) -> tuple[CardPair, ...]:
    """Every two cards (with their handles, None of a card that is lost), in order."""
    return tuple(_pair(nvml, one, two) for at, one in enumerate(cards) for two in cards[at + 1 :])


def _pair(nvml: Nvml, one: tuple[Gpu, Any], two: tuple[Gpu, Any]) -> CardPair:
    (first, here), (second, there) = one, two
    if here is None or there is None:
        no = Unknown("one of the two does not answer")
        return CardPair(first=first.index, second=second.index, path=no, nvlinks=no, peer_access=no)
    return CardPair(
        first=first.index,
        second=second.index,
        path=_path(nvml.whole("nvmlDeviceGetTopologyCommonAncestor", here, there)),
        nvlinks=joined(first, second),
        peer_access=_peer_access(nvml, here, there),
    )


def joined(one: Gpu, two: Gpu) -> Known[int] | Unknown:
    """NVLinks between two cards: those that end at the other, or through switches as many as the card with fewer has."""
    if isinstance(one.nvlinks, Unknown):
        return one.nvlinks
    if isinstance(two.nvlinks, Unknown):
        return two.nvlinks
    address = known(two.address)
    if address is None and any(link.active and link.end is LinkEnd.GPU for link in one.nvlinks.value):
        return Unknown("links end at cards, and NVML does not say where this one is")
    direct = sum(link.active and link.peer_address == address is not None for link in one.nvlinks.value)
    if direct:
        return Known(direct)
    if any(_leads_nowhere(link) for link in (*one.nvlinks.value, *two.nvlinks.value)):
        return Unknown("NVML does not say what the links end at")
    switched = [
        sum(link.active and link.end is LinkEnd.SWITCH for link in gpu)
        for gpu in (one.nvlinks.value, two.nvlinks.value)
    ]
    return Known(min(switched))


def _leads_nowhere(link: NvLink) -> bool:
    return link.active and (link.end is LinkEnd.UNKNOWN or (link.end is LinkEnd.GPU and link.peer_address is None))


def _path(level: Known[int] | Unknown) -> Known[CardPath] | Unknown:
    if isinstance(level, Unknown):
        return level
    path = PATHS.get(level.value)
    return Known(path) if path is not None else Unknown(f"a level not known here: {level.value}")


def _peer_access(nvml: Nvml, here: Any, there: Any) -> Known[bool] | Unknown:  # noqa: ANN401 - opaque pointers
    for kind in (READ, WRITE):
        status = nvml.whole("nvmlDeviceGetP2PStatus", here, there, kind)
        if isinstance(status, Unknown):
            return status
        if status.value != P2P_OK:
            return Known(False)  # noqa: FBT003 - a reading, not a switch
    return Known(True)  # noqa: FBT003
