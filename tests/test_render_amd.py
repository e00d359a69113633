"""A host with AMD's cards, from its facts to files that the real consumers accept; and cards that no template knows."""

import json
import os
from dataclasses import replace
from pathlib import Path

import host_archives
import locks
import pytest
import yaml
from rendering import CASES, NOW, rendered, site_of, text_of
from test_cli_plan import llmops, plan

from llmops.apply.consumers import check
from llmops.domain.engine import DeviceKind
from llmops.domain.errors import WrongUsage
from llmops.domain.finding import Status
from llmops.domain.forms import dump
from llmops.domain.reading import Known
from llmops.domain.visible import visible_cards
from llmops.formats.env_file import env_problems
from llmops.formats.lock import parse_lock
from llmops.formats.tiny_model import tiny_model
from llmops.probe.programs import Programs

UNIT = "/etc/systemd/system/llmops-chat.service"
COMPOSE = "/etc/llmops/compose/chat/compose.yaml"


@pytest.mark.consumer("systemd-analyze", "docker-compose")
def test_facts_of_an_amd_host_become_a_unit_and_a_container_that_open_its_cards(tmp_path: Path) -> None:
    facts = host_archives.facts(host_archives.archive("amd-7900xtx"), tmp_path / "root", None)
    (tmp_path / "facts.json").write_text(json.dumps(dump(facts)))
    (tmp_path / "tiny.gguf").write_bytes(tiny_model())
    code, document = plan("tiny.gguf", "--facts", "facts.json", "--out", "llmops.lock", cwd=tmp_path)
    assert code == 0, document

    lock = parse_lock((tmp_path / "llmops.lock").read_text(), file="llmops.lock")
    (card,) = lock.deployments["tiny"].devices
    assert (card.kind, card.uuid, card.index) == (DeviceKind.ROCM, None, 0)

    done = llmops("render", "--out", "out", "--target", "systemd", "--target", "compose", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    unit = (tmp_path / "out/etc/systemd/system/llmops-tiny.service").read_text()
    assert "\nDeviceAllow=/dev/kfd rw\nDeviceAllow=char-drm rw\n" in unit
    assert "\nSupplementaryGroups=render\n" in unit
    assert "\nRequires=llmops-gpu.service\n" in unit
    assert 'Environment="ROCR_VISIBLE_DEVICES=0"' in unit
    engine = yaml.safe_load((tmp_path / "out/etc/llmops/compose/tiny/compose.yaml").read_text())["services"]["engine"]
    assert engine["devices"] == ["/dev/kfd:/dev/kfd", "/dev/dri:/dev/dri"]
    assert "deploy" not in engine

    files = rendered(lock, targets=("systemd", "compose"))
    consumed = check(
        files,
        site=site_of(lock),
        runner=Programs(os.environ),
        env_problems=lambda text: [one.why for one in env_problems(text)],
        is_there=lambda _: True,
        now=NOW,
    )
    assert {one.program: (one.status, one.said) for one in consumed} == {
        "systemd-analyze verify": (Status.OK, ""),
        "docker-compose config -q": (Status.OK, ""),
    }


@pytest.mark.parametrize("case", ["llama_cpp_amd", "vllm_amd"])
def test_nothing_of_nvidia_is_in_the_files_for_amd(case: str) -> None:
    for file in rendered(CASES[case]):
        code = "\n".join(line for line in file.text.splitlines() if not line.lstrip().startswith("#"))
        assert not any(word in code.lower() for word in ("nvidia", "cuda_")), file.path


@pytest.mark.parametrize("case", ["llama_cpp_gpu", "vllm_gpu", "ollama_gpu", "sglang_gpu", "tgi_gpu"])
def test_nothing_of_amd_is_in_the_files_for_nvidia(case: str) -> None:
    for file in rendered(CASES[case]):
        code = "\n".join(line for line in file.text.splitlines() if not line.lstrip().startswith("#"))
        assert not any(word in code.lower() for word in ("kfd", "/dev/dri", "amdgpu", "rocr_", "render_gid")), file.path


def test_a_unit_for_the_processor_alone_has_no_device() -> None:
    unit = text_of(rendered(CASES["llama_cpp_cpu"]), UNIT)
    assert "\nPrivateDevices=yes\nDevicePolicy=closed\nProtectSystem=" in unit
    assert not any(word in unit for word in ("DeviceAllow", "llmops-gpu", "SupplementaryGroups", "VISIBLE_DEVICES="))
    container = yaml.safe_load(text_of(rendered(CASES["llama_cpp_cpu"]), COMPOSE))["services"]["engine"]
    assert not {"devices", "deploy", "group_add"} & container.keys()


@pytest.mark.parametrize(("name", "kind"), [("Intel Arc B580", DeviceKind.OTHER), ("Apple M3 Ultra", DeviceKind.METAL)])
def test_cards_that_no_template_knows_are_refused_with_a_way_out(name: str, kind: DeviceKind) -> None:
    locked = locks.llama_gpu()
    lock = locks.lock({"chat": replace(locked, devices=(replace(locked.devices[0], name=name, kind=kind),))})
    with pytest.raises(WrongUsage) as refused:
        site_of(lock)
    assert name in refused.value.message
    assert "--gpu none" in (refused.value.hint or "")


def test_an_engine_that_has_only_an_image_has_no_unit() -> None:
    with pytest.raises(WrongUsage) as refused:
        rendered(CASES["tgi_gpu"], targets=("systemd",))
    assert "compose" in (refused.value.hint or "")


def test_cards_are_chosen_by_the_variable_of_their_maker() -> None:
    assert visible_cards([None, None], [2, 3], kind=DeviceKind.ROCM) == (("ROCR_VISIBLE_DEVICES", "2,3"),)
    assert visible_cards(["GPU-a"], [2], kind=DeviceKind.ROCM) == (("ROCR_VISIBLE_DEVICES", "GPU-a"),)
    assert visible_cards([None], [0], kind=DeviceKind.OTHER) == ()
    assert visible_cards(["GPU-a"], [0])[-1] == ("CUDA_VISIBLE_DEVICES", "GPU-a")


@pytest.mark.consumer("docker-compose")
def test_compose_reads_back_the_devices_and_processors(tmp_path: Path) -> None:
    place = tmp_path / "compose.yaml"
    place.write_text(text_of(rendered(replace(CASES["llama_cpp_amd"], targets=("compose",))), COMPOSE))
    ran = Programs(os.environ).run(
        ["docker-compose", "-f", str(place), "config", "--format", "json"],
        environment={"LLMOPS_IMAGE": f"a/b@sha256:{'0' * 64}", "LLMOPS_RENDER_GID": "105"},
    )
    assert isinstance(ran, Known)
    engine = json.loads(ran.value.stdout)["services"]["engine"]
    assert [one["source"] for one in engine["devices"]] == ["/dev/kfd", "/dev/dri"]
    assert engine["group_add"] == ["105"]
    assert engine["cpuset"] == "16-31,48-63"
