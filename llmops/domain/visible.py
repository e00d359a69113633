"""Which cards a process may see: the choice that is no part of its command line."""

from collections.abc import Sequence

ORDER = ("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
"""CUDA numbers cards by speed unless told otherwise; a driver's numbers are those of the bus."""


def visible_cards(uuids: Sequence[str | None], indices: Sequence[int | None]) -> tuple[tuple[str, str], ...]:
    """The variables that show these cards and no others: by UUID where all are known, else by number; else none."""
    if uuids and None not in uuids:
        return (ORDER, ("CUDA_VISIBLE_DEVICES", ",".join(str(one) for one in uuids)))
    if indices and None not in indices:
        return (ORDER, ("CUDA_VISIBLE_DEVICES", ",".join(str(one) for one in indices)))
    return ()
