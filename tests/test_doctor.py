"""`llmops doctor` as a person and as a program call it: a process of its own, its streams, its exit code."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import hosts
import jsonschema
import pytest

from llmops.checks import CHECKS, judge
from llmops.cli.doctor_checks import EVERY
from llmops.domain.forms import dump
from llmops.domain.host import Driver, HostFacts, NvidiaState, Swap, SwapKind
from llmops.domain.reading import Known, Unknown
from llmops.views.doctor import Detail, host_rows, show_doctor
from llmops.views.fix_script import Step, fix_script
from llmops.views.host_details import detail_rows
from llmops.views.screen import PlainScreen

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def doctor(
    *arguments: str, stdin: str | bytes = "", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    data = stdin if isinstance(stdin, bytes) else stdin.encode()
    done = subprocess.run(
        [sys.executable, "-m", "llmops", "doctor", *arguments],
        input=data,
        capture_output=True,
        env={**os.environ, **(environment or {})},
        timeout=60,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one document on stdout; its exit code is the process's."""
    data: dict[str, Any] = json.loads(done.stdout)
    assert set(data) == {"schema", "ok", "exit_code", "result", "findings", "error"}
    assert data["schema"] == "llmops.doctor/1"
    assert data["exit_code"] == done.returncode
    assert data["ok"] is (done.returncode == 0)
    assert (data["result"] is None) is (done.returncode > 1)
    assert (data["error"] is None) is (done.returncode <= 1)
    assert "Traceback" not in done.stderr
    return data


def saved(folder: Path, facts: HostFacts) -> str:
    path = folder / "facts.json"
    path.write_text(json.dumps(dump(facts)))
    return str(path)


BROKEN = hosts.host(nvidia=hosts.without_nvml(NvidiaState.VERSION_MISMATCH))
WARNED = hosts.host(listeners=Known((hosts.listener(8443, "nginx"),)))


@pytest.fixture(scope="module")
def here() -> subprocess.CompletedProcess[str]:
    """This host's document."""
    return doctor("--json")


def test_this_host_is_one_document_with_verdict_facts_and_scope(here: subprocess.CompletedProcess[str]) -> None:
    data = document(here)
    assert data["result"]["verdict"] in ("ready", "ready_with_warnings", "not_ready")
    assert (data["result"]["verdict"] == "not_ready") is (here.returncode == 1)
    assert data["result"]["facts"]["schema"] == "llmops.facts/1"
    assert "Not looked at" in data["result"]["scope"]
    codes = [one["code"] for one in data["findings"]]
    assert set(codes) <= {check.code for check in CHECKS}
    assert len(codes) > 20


@pytest.mark.parametrize("arguments", [("--json",), ("--json", "--select", "NET"), ("--json", "--explain", "bogus")])
def test_every_document_is_of_the_schema_that_is_printed(arguments: tuple[str, ...]) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "llmops", "schema", "doctor"], capture_output=True, check=True, timeout=60
    )
    jsonschema.validate(json.loads(doctor(*arguments).stdout), json.loads(printed.stdout))


def test_the_facts_of_a_document_give_the_same_findings_again(
    here: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    (tmp_path / "whole.json").write_text(here.stdout)
    (tmp_path / "facts.json").write_text(json.dumps(document(here)["result"]["facts"]))
    first = document(here)
    for again in (
        doctor("--json", "--facts", str(tmp_path / "whole.json")),
        doctor("--json", "--facts", str(tmp_path / "facts.json")),
        doctor("--json", "--facts", "-", stdin=here.stdout),
    ):
        assert document(again)["findings"] == first["findings"]
        assert document(again)["result"] == first["result"]
        assert again.returncode == here.returncode


def test_a_host_that_is_not_ready_exits_1_with_its_result(tmp_path: Path) -> None:
    done = doctor("--json", "--facts", saved(tmp_path, BROKEN))
    assert done.returncode == 1
    assert document(done)["result"]["verdict"] == "not_ready"


def test_warnings_exit_0_and_strictly_1(tmp_path: Path) -> None:
    facts = saved(tmp_path, WARNED)
    assert doctor("--facts", facts).returncode == 0
    assert doctor("--facts", facts, "--strict").returncode == 1
    assert document(doctor("--facts", facts, "--strict", "--json"))["result"]["verdict"] == "ready_with_warnings"


def test_a_sound_host_is_ready_in_the_first_line(tmp_path: Path) -> None:
    done = doctor("--facts", saved(tmp_path, hosts.host()))
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "ready"
    assert "NVIDIA L40S, compute 8.9, 45.00 GiB, 44.00 GiB free" in done.stdout
    assert done.stderr == ""


def test_the_worst_comes_first_with_its_fix(tmp_path: Path) -> None:
    facts = hosts.host(nvidia=BROKEN.nvidia, listeners=WARNED.listeners)
    out = doctor("--facts", saved(tmp_path, facts)).stdout
    assert out.splitlines()[0].startswith(
        "not ready because the driver's library and its kernel module differ in version"
    )
    assert out.splitlines()[1].startswith("1 fault, 1 warning")
    assert out.index("Faults") < out.index("GPU001") < out.index("Warnings") < out.index("NET001")
    assert "reboot" in out


def test_a_pipe_gets_no_escape_sequence(tmp_path: Path) -> None:
    assert "\x1b" not in doctor("--facts", saved(tmp_path, BROKEN), environment={"FORCE_COLOR": "1"}).stdout


def test_quiet_says_nothing_of_a_ready_host_and_something_of_a_broken_one(tmp_path: Path) -> None:
    assert doctor("--quiet", "--facts", saved(tmp_path, hosts.host())).stdout == ""
    assert "GPU001" in doctor("--quiet", "--facts", saved(tmp_path, BROKEN)).stdout


def test_verbose_lists_what_is_in_order_too(tmp_path: Path) -> None:
    facts = saved(tmp_path, hosts.host())
    assert "NET002" not in doctor("--facts", facts).stdout
    done = doctor("--facts", facts, "--verbose")
    assert "NET002  port 8080 is free" in done.stdout
    assert "facts = " in done.stderr


def test_verbose_shows_what_was_read_of_memory_limits_ports_and_each_card(tmp_path: Path) -> None:
    zram = Swap(name="/dev/zram0", kind=SwapKind.ZRAM, size_bytes=4 << 30, used_bytes=1 << 30, priority=100)
    facts = hosts.host(
        memory=Known(hosts.memory(swaps=Known((zram,)), lock_limit_bytes=Known(8 << 20))),
        listeners=Known((hosts.listener(8080, "python3"),)),
        surroundings=hosts.surroundings(firewalls=Unknown("nft: may not be asked")),
        nvidia=hosts.nvidia(hosts.gpu(persistence_mode=hosts.NO)),
    )
    shown = doctor("--facts", saved(tmp_path, facts), "--verbose").stdout
    for words in (
        "swap     /dev/zram0 (zram, priority 100): 1.00 GiB of 4.00 GiB used",
        "locked memory at most 8.0 MiB",
        ":8080 python3",
        "firewall not known: nft: may not be asked",
        "persistence off",
    ):
        assert words in shown, words
    assert "priority 100" not in doctor("--facts", saved(tmp_path, facts)).stdout


def test_every_recorded_card_and_a_lost_one_have_their_details() -> None:
    rows = dict(detail_rows(hosts.host(nvidia=hosts.nvidia(hosts.gpu(), hosts.gpu(index=1, fault="GPU is lost")))))
    assert "card #0" in rows
    assert "card #1" not in rows
    unread = hosts.host(memory=hosts.LOST, listeners=hosts.LOST, pythons=hosts.LOST)
    assert all(text.startswith("not known") for name, text in detail_rows(unread) if name in ("ports", "python"))


def test_select_and_ignore_change_the_verdict_they_are_asked_to(tmp_path: Path) -> None:
    facts = saved(tmp_path, BROKEN)
    assert doctor("--facts", facts, "--ignore", "gpu").returncode == 0
    assert doctor("--facts", facts, "--select", "NET").returncode == 0
    assert doctor("--facts", facts, environment={"LLMOPS_DOCTOR_IGNORE": "GPU001"}).returncode == 0
    data = document(
        doctor("--facts", facts, "--json", "--select", "NET,GPU0", "--ignore", "NET002,NET003,NET004,GPU02")
    )
    assert [one["code"] for one in data["findings"]] == ["GPU001", "NET001"]


def test_list_has_every_check_and_needs_no_host() -> None:
    done = doctor("--list")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == [check.code for check in EVERY]
    data = document(doctor("--list", "--json"))
    assert {row["code"] for row in data["result"]["checks"]} == {check.code for check in EVERY}


def test_explain_says_what_why_and_what_to_do() -> None:
    done = doctor("--explain", "mem004")
    assert done.returncode == 0
    assert done.stdout.startswith("MEM004  Swap is not on a disk\nwhy: ")
    assert "\nfix: " in done.stdout
    assert "\nat worst: warn; family: memory; source: " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("--explain", "GPU0007"), "GPU007"),
        (("--explain", "zzz"), "families: SYS, CPU"),
        (("--select", "GPX"), "families: "),
        (("--ignore", "NET009"), "NET00"),
        (("--list", "--explain", "GPU001"), "one code"),
        (("--no-such-option",), "--help"),
        (("--disk", "/", "--facts", "x.json"), "leave out"),
        (("--full", "--facts", "x.json"), "leave out"),
        (("--format", "junit"), "leave out one of them"),
        (("--format", "text"), "leave out one of them"),
        (("--list", "--facts", "x.json"), "`llmops doctor --list`"),
        (("--explain", "GPU001", "--for", "x.lock"), "alone"),
    ],
)
def test_usage_that_cannot_be_meant_exits_2_with_a_hint(arguments: tuple[str, ...], hint: str) -> None:
    data = document(doctor(*arguments, "--json"))
    assert data["exit_code"] == 2
    assert hint in data["error"]["hint"]


HOSTILE = {
    "nothing": b"",
    "not-json": b"hello",
    "half-a-document": b'{"schema": "llmops.facts/1", "system": {',
    "binary": b"\x7fELF\xff\xfe\x00\x01",
    "another-document": b'{"schema": "llmops.plan/1", "ok": true, "result": {}}',
    "a-list": b"[1, 2]",
    "newer": b'{"schema": "llmops.facts/99"}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_facts_that_are_none_exit_3_and_say_where(name: str, tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_bytes(HOSTILE[name])
    data = document(doctor("--json", "--facts", str(path)))
    assert data["exit_code"] == 3
    assert data["error"]["where"]["file"] == str(path)
    piped = document(doctor("--json", "--facts", "-", stdin=HOSTILE[name]))
    assert (piped["exit_code"], piped["error"]["where"]["file"]) == (3, "<stdin>")


def test_facts_that_are_not_there_exit_3_with_the_command_that_makes_them(tmp_path: Path) -> None:
    data = document(doctor("--json", "--facts", str(tmp_path / "absent.json")))
    assert data["exit_code"] == 3
    assert "doctor --json" in data["error"]["hint"]


def test_disks_asked_for_are_the_ones_looked_at(tmp_path: Path) -> None:
    data = document(doctor("--json", "--disk", "/", "--disk", str(tmp_path / "models")))
    disks = data["result"]["facts"]["disks"]["value"]
    assert [one["path"] for one in disks] == ["/", str(tmp_path / "models")]
    assert not (tmp_path / "models").exists()


def test_the_store_of_the_environment_is_looked_at(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    data = document(doctor("--json", environment={"LLMOPS_STORE": store}))
    assert store in [one["path"] for one in data["result"]["facts"]["disks"]["value"]]


def test_no_secret_of_the_environment_is_in_the_document() -> None:
    secret = "hf_" + "s3cr3t" * 5
    done = doctor("--json", "--verbose", environment={"HF_TOKEN": secret, "LLMOPS_API_KEY": secret})
    assert secret not in done.stdout + done.stderr


def test_without_a_path_the_host_is_examined_all_the_same(tmp_path: Path) -> None:
    data = document(doctor("--json", environment={"PATH": str(tmp_path)}))
    assert data["result"]["facts"]["system"]["kernel"] == os.uname().release


def test_a_host_that_cannot_write_anywhere_is_examined_all_the_same() -> None:
    """Full and read-only disks are when a doctor is called."""
    code = (
        "import sys, tempfile; tempfile.tempdir = '/nonexistent'; "
        "from llmops.cli.app import run; sys.exit(run(['doctor', '--json']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    data = document(done)
    assert data["result"]["facts"]["system"]["kernel"] == os.uname().release
    known = [tool for tool in data["result"]["facts"]["tools"] if "value" in tool["version"]]
    assert known or not any(tool["path"] for tool in data["result"]["facts"]["tools"])


def test_a_pull_request_gets_a_remark_for_each_finding(tmp_path: Path) -> None:
    done = doctor("--facts", saved(tmp_path, BROKEN), "--format", "github")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert any(line.startswith("::error title=GPU001 fail::the driver") for line in lines)
    assert all(line.startswith("::") for line in lines[:-1])
    assert lines[-1] == "llmops doctor: not ready"


def test_a_test_report_has_a_case_a_check(tmp_path: Path) -> None:
    done = doctor("--facts", saved(tmp_path, BROKEN), "--format", "junit")
    root = ElementTree.fromstring(done.stdout)
    suite = root.find("testsuite")
    assert suite is not None
    cases = suite.findall("testcase")
    assert len(cases) == int(suite.attrib["tests"]) > 40
    failures = [case.attrib["name"] for case in cases if case.find("failure") is not None]
    assert len(failures) == int(suite.attrib["failures"])
    assert any(name.startswith("GPU001 ") for name in failures)
    assert len(suite.findall("testcase/skipped")) == int(suite.attrib["skipped"])


def test_strictly_a_warning_is_a_failed_case(tmp_path: Path) -> None:
    facts = saved(tmp_path, WARNED)
    mild = ElementTree.fromstring(doctor("--facts", facts, "--format", "junit").stdout)
    strict = ElementTree.fromstring(doctor("--facts", facts, "--format", "junit", "--strict").stdout)
    assert (mild.attrib["failures"], strict.attrib["failures"]) == ("0", "1")


@pytest.mark.consumer("promtool")
def test_a_fleets_metrics_are_read_by_prometheus(tmp_path: Path) -> None:
    text = ""
    for facts in (BROKEN, WARNED, hosts.host()):
        text = doctor("--facts", saved(tmp_path, facts), "--format", "prometheus").stdout
        done = subprocess.run(
            ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert 'llmops_doctor_verdict{verdict="ready"} 1' in text
    assert 'llmops_doctor_data_age_seconds{data="advisories"}' in text


def test_json_beside_the_format_json_says_the_same_twice(tmp_path: Path) -> None:
    assert document(doctor("--json", "--format", "json", "--facts", saved(tmp_path, hosts.host())))["ok"]


def test_a_format_of_the_environment_gives_way_to_what_is_typed(tmp_path: Path) -> None:
    facts = saved(tmp_path, hosts.host())
    assert document(doctor("--json", "--facts", facts, environment={"LLMOPS_DOCTOR_FORMAT": "junit"}))["ok"]


def test_format_json_is_the_document(tmp_path: Path) -> None:
    facts = saved(tmp_path, WARNED)
    assert doctor("--facts", facts, "--format", "json").stdout == doctor("--facts", facts, "--json").stdout


SPOILED = {
    "nothing": hosts.host(),
    "broken": BROKEN,
    "bare": hosts.host(
        tools=(),
        engines=Known(()),
        containers=hosts.containers(toolkit_version=Known(None)),
        memory=Known(hosts.memory(tuning=hosts.tuning(vfs_cache_pressure=Known(50), overcommit=Known(2)))),
        nvidia=hosts.nvidia(hosts.gpu(), driver=Known(Driver(version="580.95.05", cuda=Known("13.0")))),
    ),
    "hostile": hosts.host(
        system=hosts.system(os_name="x\n`touch /tmp/never`", os_id="fedora"),
        listeners=Known((hosts.listener(8443, "a$(touch never)\nrm -rf /"),)),
    ),
}


@pytest.mark.consumer("shellcheck")
@pytest.mark.parametrize("name", SPOILED)
def test_the_script_of_fixes_is_sound_shell_and_runs_nothing_itself(name: str, tmp_path: Path) -> None:
    if name == "hostile":  # such facts are refused as a file, so the script is made from them directly
        steps = [
            Step(code=one.code, status=one.status, message=one.message, fix=one.fix, commands=())
            for one in judge(SPOILED[name], hosts.references())
        ]
        script = fix_script(steps, host=SPOILED[name].system.os_name)
        assert not any(line.startswith(("rm", "touch", "`")) for line in script.splitlines())
    else:
        done = doctor("--facts", saved(tmp_path, SPOILED[name]), "--fix-script")
        assert done.returncode == 0
        script = done.stdout
    checked = subprocess.run(["shellcheck", "-"], input=script, capture_output=True, text=True, check=False, timeout=60)
    assert checked.stdout == ""
    if name == "bare":
        assert "nvidia-container-toolkit=1.19.1-1" in script
        assert "sysctl -q -w vm.vfs_cache_pressure=100" in script
        assert "cmake -S llama.cpp" in script


def test_a_script_is_a_format_of_its_own() -> None:
    assert document(doctor("--fix-script", "--format", "junit", "--json"))["exit_code"] == 2


def test_a_terminal_of_forty_columns_is_enough(tmp_path: Path) -> None:
    text = in_a_terminal("--facts", saved(tmp_path, BROKEN), columns=40)
    lines = ESCAPE.sub("", text).replace("\r", "").splitlines()
    long = [line for line in lines if len(line) > 40 and " " in line.strip()]
    assert not [line for line in long if not line.lstrip().startswith(("`", "/"))]


def in_a_terminal(*arguments: str, columns: int) -> str:
    """What a terminal of that width shows."""
    above, below = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "LINES": "50", "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "llmops", "doctor", *arguments], stdin=below, stdout=below, stderr=below, env=environment
    )
    os.close(below)
    parts = []
    while True:
        try:
            part = os.read(above, 65536)
        except OSError:  # the terminal's other end is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(above)
    assert process.wait(timeout=30) in (0, 1)
    return b"".join(parts).decode()


def test_sixty_columns_are_enough(tmp_path: Path) -> None:
    text = in_a_terminal("--facts", saved(tmp_path, hosts.host(nvidia=BROKEN.nvidia, tools=())), columns=60)
    assert "\x1b[" in text
    lines = ESCAPE.sub("", text).replace("\r", "").splitlines()
    long = [line for line in lines if len(line) > 60]
    assert not long
    assert any(line.startswith("          ") for line in lines)


def test_a_missing_engines_lines_can_be_pasted(tmp_path: Path) -> None:
    """Commands are never broken by a line end of ours, however narrow the terminal."""
    text = ESCAPE.sub("", in_a_terminal("--facts", saved(tmp_path, hosts.host(tools=())), columns=60))
    lines = [line.strip() for line in text.replace("\r", "").splitlines()]
    assert "cmake --build llama.cpp/build --target llama-server -j 64" in lines
    assert "/opt/vllm/bin/pip install vllm==0.33.0" in lines


class Paper:
    """A stream that keeps what is written."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)


def test_a_line_end_in_a_hosts_words_begins_no_line_of_its_own(tmp_path: Path) -> None:
    """A log of GitHub's takes `::error::` at the beginning of a line for a command."""
    facts = hosts.host(listeners=Known((hosts.listener(8443, "x\n::error::y"),)), system=hosts.system(os_name="a\n::b"))
    shown = doctor("--facts", saved(tmp_path, facts)).stdout
    assert "x ::error::y" in shown
    assert not [line for line in shown.splitlines() if line.startswith("::")]


def test_equal_cards_share_a_line_and_a_lost_one_has_its_own() -> None:
    cards = hosts.nvidia(
        *(hosts.gpu(index=at) for at in range(7)), hosts.gpu(index=7, name=hosts.LOST, fault="GPU is lost")
    )
    rows = [text for name, text in host_rows(hosts.host(nvidia=cards)) if name == "card"]
    assert rows == ["7 × NVIDIA L40S, compute 8.9, 45.00 GiB, 44.00 GiB free", "#7: GPU is lost"]


def test_cards_of_other_makers_are_named_as_not_examined() -> None:
    side = hosts.kernel_side(hosts.card(vendor_id="1002", device_id="744c", kernel_driver="amdgpu"))
    facts = hosts.host(nvidia=hosts.without_nvml(NvidiaState.LIBRARY_ABSENT), kernel_side=Known(side))
    rows = [text for name, text in host_rows(facts) if name == "card"]
    assert rows[-1] == "1002:744c (amdgpu), not examined"


def test_a_host_of_which_nothing_is_known_is_shown_with_the_reasons() -> None:
    facts = hosts.host(
        cpu=hosts.LOST,
        memory=hosts.LOST,
        disks=hosts.LOST,
        listeners=hosts.LOST,
        kernel_side=hosts.LOST,
        tools=(),
        nvidia=hosts.nvidia(hosts.gpu(memory_bytes=hosts.LOST), driver=Known(Driver(version="x", cuda=hosts.LOST))),
    )
    from llmops.checks import verdict

    findings = judge(facts, hosts.references())
    paper = Paper()
    screen = PlainScreen(paper)  # type: ignore[arg-type]  # only write is used
    show_doctor(facts, findings, verdict(findings), "scope", to=screen, detail=Detail())
    assert paper.text.startswith("ready, with warnings\n")
    assert "memory   not known: taken away" in paper.text
    assert "Not known" in paper.text
