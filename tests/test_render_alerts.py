"""Every rendered alert, asked by promtool: silent while all is well, and firing when its own figure is beyond the plan's."""

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from rendering import CASES, rendered, text_of

from llmops.domain.reading import Known
from llmops.probe.programs import Programs

RULES = "/etc/prometheus/llmops-rules.yml"
pytestmark = pytest.mark.consumer("promtool")


class Series(NamedTuple):
    """What Prometheus saw every 15 s for an hour, in promtool's own notation."""

    name: str
    values: str


REQUESTS = 'haproxy_frontend_http_requests_total{proxy="llmops_chat"}'
REFUSED = 'haproxy_backend_http_requests_total{proxy="llmops_chat_full"}'
FAILED = 'haproxy_frontend_http_responses_total{proxy="llmops_chat",code="5xx"}'
QUEUE = 'haproxy_backend_current_queue{proxy="llmops_chat"}'
UP, GATEWAY_UP = 'up{job="llmops-chat"}', 'up{job="llmops-gateway"}'
KV_CACHE = 'vllm:kv_cache_usage_perc{job="llmops-chat"}'
PREEMPTIONS = 'vllm:num_preemptions_total{job="llmops-chat"}'

WELL = {
    UP: "1x240",
    GATEWAY_UP: "1x240",
    REQUESTS: "0+100x240",
    REFUSED: "0+0.9x240",
    FAILED: "0+0.9x240",
    QUEUE: "2x240",  # the plan warns from 3 on
    KV_CACHE: "0.9x240",
    PREEMPTIONS: "0+1.4x240",
}
"""Just within every threshold."""

BAD: dict[str, Series] = {
    "LlmopsEngineDown": Series(UP, "0x240"),
    "LlmopsGatewayDown": Series(GATEWAY_UP, "0x240"),
    "LlmopsQueueNearlyFull": Series(QUEUE, "3x240"),
    "LlmopsRequestsRefused": Series(REFUSED, "0+1.1x240"),
    "LlmopsAnswersFail": Series(FAILED, "0+1.1x240"),
    "LlmopsKvCacheFull": Series(KV_CACHE, "0.91x240"),
    "LlmopsPreemptions": Series(PREEMPTIONS, "0+1.6x240"),
}


def test_every_alert_has_a_case_here() -> None:
    rendered_alerts = {
        name for case in CASES for name in re.findall(r"alert: (\w+)", text_of(rendered(CASES[case]), RULES))
    }
    assert rendered_alerts == set(BAD)


@pytest.mark.parametrize("case", ["llama_cpp_gpu", "vllm_gpu"])
def test_an_alert_fires_for_its_own_figure_and_for_no_other(case: str, tmp_path: Path) -> None:
    rules = text_of(rendered(CASES[case]), RULES)
    alerts = [name for name in BAD if f"alert: {name}\n" in rules]
    tests = [_test(rules, alerts, WELL, firing=None)]
    for name in alerts:
        series = BAD[name]
        tests.append(_test(rules, alerts, WELL | {series.name: series.values}, firing=name))
    (tmp_path / "rules.yml").write_text(rules)
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "15s", "tests": tests}
    (tmp_path / "test.yml").write_text(json.dumps(document))
    ran = Programs(os.environ).run(["promtool", "test", "rules", str(tmp_path / "test.yml")], timeout_seconds=60)
    assert isinstance(ran, Known)
    assert ran.value.exit_code == 0, ran.value.stdout + ran.value.stderr
    assert len(alerts) >= 5


def _test(rules: str, alerts: Iterable[str], series: Mapping[str, str], *, firing: str | None) -> dict[str, object]:
    """After 50 minutes of these figures `firing` is the only alert."""
    return {
        "name": f"only {firing}",
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": "50m", "alertname": name, "exp_alerts": [_expected(rules, name)] if name == firing else []}
            for name in alerts
        ],
    }


def _expected(rules: str, alert: str) -> dict[str, dict[str, str]]:
    labels = {"severity": _severity(rules, alert)}
    labels |= {} if alert == "LlmopsGatewayDown" else {"deployment": "chat"}
    series = BAD[alert].name
    ignored = re.findall(r"ignoring \((\w+)\)", _rule(rules, alert))
    labels |= {name: said for name, said in re.findall(r'(job|proxy)="([^"]*)"', series) if name not in ignored}
    return {"exp_labels": labels, "exp_annotations": _annotations(rules, alert)}


def _rule(rules: str, alert: str) -> str:
    return re.split(r"\n {6}- alert: |\n {2}- name: ", rules.split(f"- alert: {alert}\n")[1])[0]


def _severity(rules: str, alert: str) -> str:
    found = re.search(r"severity: (\w+)", _rule(rules, alert))
    assert found is not None
    return found[1]


def _annotations(rules: str, alert: str) -> dict[str, str]:
    pairs: Iterable[tuple[str, str]] = re.findall(
        r"^ {10}(summary|action): (.*)$", _rule(rules, alert), flags=re.MULTILINE
    )
    return {name: value.strip('"') for name, value in pairs}
