"""What a deployment meets beside the hardware: every source at the same time."""

from collections.abc import Mapping
from pathlib import Path

from llmops.domain.programs import Runner
from llmops.domain.reading import Known, Unknown
from llmops.domain.surroundings import Hub, Surroundings
from llmops.probe import accounts, cgroup, clock, firewall, network, web_servers
from llmops.probe.within import answer_of, beside


def ask(
    root: Path, *, runner: Runner, environment: Mapping[str, str], hub: Known[Hub] | Unknown = network.NOT_WANTED
) -> Surroundings:
    """All of it; `hub` is what the model hub answered, or why it was not asked."""
    walls = beside(lambda: firewall.ask(runner))
    servers = beside(lambda: web_servers.ask(root, runner))
    return Surroundings(
        cgroup_version=cgroup.version(root),
        clock=clock.read(clock.ask(root)),
        hub=hub,
        proxies=Known(network.proxies(environment)),
        firewalls=answer_of(walls),
        accounts=accounts.ask_accounts(root),
        groups=accounts.ask_groups(root),
        files=accounts.ask_files(root),
        web_servers=answer_of(servers),
    )
