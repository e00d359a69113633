"""Who filters what comes in: nftables, iptables, ufw, firewalld, each asked for its rules where this user may.

What is read: `nft -j list ruleset` (libnftables-json(5)), `iptables -S INPUT`, `ufw status verbose`, `firewall-cmd --state`.
"""

import json
import re
from functools import partial

from llmops.domain.programs import Ran, Runner
from llmops.domain.reading import Known, Unknown
from llmops.domain.surroundings import Firewall, FirewallTool
from llmops.probe.within import answer_of, beside

ANSWER_SECONDS = 4.0
ROWS = (
    (FirewallTool.NFTABLES, ("nft", "-j", "list", "ruleset")),
    (FirewallTool.IPTABLES, ("iptables", "-S", "INPUT")),
    (FirewallTool.UFW, ("ufw", "status", "verbose")),
    (FirewallTool.FIREWALLD, ("firewall-cmd", "--state")),
)


def ask(runner: Runner) -> Known[tuple[Firewall, ...]] | Unknown:
    """Every firewall whose program is here; `Unknown` without any: rules may be in the kernel all the same."""
    there = [(tool, argv) for tool, argv in ROWS if runner.find(argv[0]) is not None]
    if not there:
        return Unknown("neither nft, iptables, ufw nor firewall-cmd is installed: rules of the kernel cannot be listed")
    answers = [(tool, beside(partial(runner.run, argv, timeout_seconds=ANSWER_SECONDS))) for tool, argv in there]
    return Known(tuple(read(tool, answer_of(answer)) for tool, answer in answers))


def read(tool: FirewallTool, ran: Known[Ran] | Unknown) -> Firewall:
    """What one of them says; what it refuses is unknown with its own words."""
    if isinstance(ran, Unknown):
        return Firewall(tool=tool, active=ran)
    said = ran.value
    words = (said.stderr.strip() or said.stdout.strip() or f"ended with {said.exit_code}").splitlines()[-1][:160]
    match tool:
        case FirewallTool.FIREWALLD:
            state = said.stdout.strip() or said.stderr.strip()
            if state in ("running", "not running"):
                return Firewall(tool=tool, active=Known(value=state == "running"))
            return Firewall(tool=tool, active=Unknown(words))
        case _ if said.exit_code != 0:
            return Firewall(tool=tool, active=Unknown(words))
        case FirewallTool.NFTABLES:
            return read_nft(said.stdout)
        case FirewallTool.IPTABLES:
            return read_iptables(said.stdout)
        case FirewallTool.UFW:
            return read_ufw(said.stdout)


def read_nft(text: str) -> Firewall:
    """Chains that hook into `input`: the strictest policy, and how many rules there are behind it."""
    tool = FirewallTool.NFTABLES
    try:
        items = json.loads(text)["nftables"]
        chains = [item["chain"] for item in items if "chain" in item]
        rules = sum("rule" in item for item in items)
    except (ValueError, KeyError, TypeError, RecursionError):
        return Firewall(tool=tool, active=Unknown("`nft -j list ruleset` printed no rules that are understood"))
    policies = [
        str(one.get("policy", "accept")) for one in chains if isinstance(one, dict) and one.get("hook") == "input"
    ]
    policy = "drop" if "drop" in policies else policies[0] if policies else None
    return Firewall(tool=tool, active=Known(value=bool(policies)), input_policy=Known(policy), rules=rules)


def read_iptables(text: str) -> Firewall:
    """`-P INPUT DROP`, and the rules behind it."""
    tool = FirewallTool.IPTABLES
    match = re.search(r"^-P INPUT (\w{1,20})$", text, re.MULTILINE | re.ASCII)
    if match is None:
        return Firewall(tool=tool, active=Unknown("`iptables -S INPUT` names no policy"))
    rules = sum(line.startswith("-A ") for line in text.splitlines())
    policy = match[1].lower()
    return Firewall(
        tool=tool, active=Known(value=bool(rules) or policy != "accept"), input_policy=Known(policy), rules=rules
    )


def read_ufw(text: str) -> Firewall:
    """`Status: active`, `Default: deny (incoming), …`."""
    tool = FirewallTool.UFW
    state = re.search(r"^Status: (active|inactive)$", text, re.MULTILINE)
    if state is None:
        return Firewall(tool=tool, active=Unknown("`ufw status` names no status"))
    policy = re.search(r"^Default: (\w+) \(incoming\)", text, re.MULTILINE)
    words = {"deny": "drop", "reject": "reject", "allow": "accept"}
    rules = sum(bool(re.search(r"\b(ALLOW|DENY|REJECT|LIMIT)\b", line)) for line in text.splitlines())
    return Firewall(
        tool=tool,
        active=Known(value=state[1] == "active"),
        input_policy=Known(words.get(policy[1], policy[1]) if policy else None),
        rules=rules,
    )
