"""Findings for machines that watch: remarks on a pull request, a test report, metrics of a fleet."""

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

from llmops.domain.finding import Finding, Status
from llmops.domain.host import Verdict

ORDER = (Status.FAIL, Status.WARN, Status.SKIP, Status.OK)
COMMANDS = {Status.FAIL: "error", Status.WARN: "warning", Status.SKIP: "notice"}


def github(findings: Sequence[Finding], verdict: Verdict) -> str:
    """Workflow commands: each finding that is not in order becomes a remark on the run."""
    lines = [
        f"::{COMMANDS[one.status]} title={_property(f'{one.code} {one.status.value}')}::{_data(_told(one))}"
        for status in ORDER
        for one in findings
        if one.status is status and status is not Status.OK
    ]
    return "\n".join([*lines, f"llmops doctor: {verdict.value.replace('_', ' ')}"]) + "\n"


def _told(finding: Finding) -> str:
    return f"{finding.message}\nfix: {finding.fix}" if finding.fix else finding.message


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def junit(findings: Sequence[Finding], titles: Mapping[str, str], *, strict: bool) -> str:
    """A test report, a check a case: a failure where it fails (with `strict` also where it warns), skipped where unknown."""
    bad = (Status.FAIL, Status.WARN) if strict else (Status.FAIL,)
    failures = sum(one.status in bad for one in findings)
    skipped = sum(one.status is Status.SKIP for one in findings)
    head = f'tests="{len(findings)}" failures="{failures}" errors="0" skipped="{skipped}"'
    cases = "\n".join(_case(one, titles.get(one.code, ""), is_bad=one.status in bad) for one in findings)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites name="llmops" {head}>\n <testsuite name="doctor" {head}>\n{cases}\n </testsuite>\n</testsuites>\n'
    )


def _case(finding: Finding, title: str, *, is_bad: bool) -> str:
    name = quoteattr(_xml(f"{finding.code} {title}".strip()))
    start = f'  <testcase classname="doctor.{finding.code[:3]}" name={name} time="0"'
    message, told = quoteattr(_xml(finding.message)), escape(_xml(_told(finding)))
    if is_bad:
        return f"{start}><failure type={quoteattr(finding.status.value)} message={message}>{told}</failure></testcase>"
    if finding.status is Status.SKIP:
        return f"{start}><skipped message={message}/></testcase>"
    if finding.status is Status.WARN:
        return f"{start}><system-out>{escape(_xml('warning: ' + _told(finding)))}</system-out></testcase>"
    return f"{start}/>"


def _xml(text: str) -> str:
    """Without the characters that XML 1.0 has no way to write."""
    return "".join(
        letter
        if letter in "\t\n" or " " <= letter <= "\ud7ff" or "\ue000" <= letter <= "\ufffd" or letter > "\uffff"
        else "\ufffd"
        for letter in text
    )


def prometheus(
    findings: Sequence[Finding], verdict: Verdict, ages_days: Mapping[str, int | None], *, version: str
) -> str:
    """For node_exporter's textfile collector: the verdict, each finding that is not in order, and how old the rows are."""
    lines = [
        "# HELP llmops_doctor_info The program that judged this host.",
        "# TYPE llmops_doctor_info gauge",
        f'llmops_doctor_info{{version="{_label(version)}"}} 1',
        "# HELP llmops_doctor_verdict Whether this host is fit to serve: 1 for the verdict that holds.",
        "# TYPE llmops_doctor_verdict gauge",
        *[f'llmops_doctor_verdict{{verdict="{one.value}"}} {int(one is verdict)}' for one in Verdict],
        "# HELP llmops_doctor_findings How many checks answered so.",
        "# TYPE llmops_doctor_findings gauge",
        *[
            f'llmops_doctor_findings{{status="{status.value}"}} {sum(one.status is status for one in findings)}'
            for status in ORDER
        ],
        "# HELP llmops_doctor_finding A check that found something, or could not know.",
        "# TYPE llmops_doctor_finding gauge",
    ]
    kinds = dict.fromkeys((one.code, one.status.value) for one in findings if one.status is not Status.OK)
    lines += [
        f'llmops_doctor_finding{{code="{code}",status="{status}"}} '
        f"{sum((one.code, one.status.value) == (code, status) for one in findings)}"
        for code, status in kinds
    ]
    ages = {name: days for name, days in ages_days.items() if days is not None}
    if ages:
        lines += [
            "# HELP llmops_doctor_data_age_seconds Since the rows that checks look things up in were last looked at.",
            "# TYPE llmops_doctor_data_age_seconds gauge",
            *[f'llmops_doctor_data_age_seconds{{data="{_label(name)}"}} {days * 86400}' for name, days in ages.items()],
        ]
    return "\n".join(lines) + "\n"


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
