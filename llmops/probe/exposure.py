"""What others can reach of this host: engines that listen, certificates that are shown."""

from pathlib import Path

from llmops.domain.exposure import Exposure
from llmops.domain.host import Listener
from llmops.domain.reading import Known, Unknown
from llmops.probe import certificates, engine_ports


def ask(root: Path, listeners: Known[tuple[Listener, ...]] | Unknown) -> Exposure:
    """Engines are asked over loopback; certificates are read where the proxies' configurations name them."""
    shown, unread = certificates.ask(root)
    return Exposure(engines=engine_ports.ask(listeners), certificates=shown, unread_certificates=unread)
