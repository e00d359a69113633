"""From the lock to what a template may read: resolved, or refused with the field's name."""

import re
from collections.abc import Callable
from dataclasses import replace

import locks
import pytest
import yaml
from rendering import CASES, EVERY_TARGET, rendered, site_of, text_of

from llmops.domain.engine import EngineName
from llmops.domain.errors import WrongInput, WrongUsage
from llmops.domain.finding import Where
from llmops.domain.lock import Lock, LockedDeployment
from llmops.domain.profile import Serve, TlsFiles
from llmops.engines.deployment import site
from llmops.formats.unit import command_line, settings
from llmops.library import shipped
from llmops.render.directives import DIRECTIVES
from llmops.render.findings import findings

UNIT = "/etc/systemd/system/llmops-chat.service"


def _argv(lock: Lock) -> tuple[str, ...]:
    [start] = [one for one in settings(text_of(rendered(lock), UNIT), file=UNIT) if one.key == "ExecStart"]
    return command_line(start.value, specifiers={"d": "/run/credentials/x"}, where=Where())


def test_a_unit_runs_the_locked_command_line_with_the_models_place() -> None:
    locked = locks.llama_gpu()
    argv = _argv(locks.lock({"chat": locked}))
    model = "/var/lib/llmops/models/chat/current/llama-8b-Q4_K_M-00001-of-00002.gguf"
    expected = [
        word.replace("{model}", model).replace("{credentials}", "/run/credentials/x") for word in locked.argv[1:]
    ]
    assert argv == ("/usr/bin/llama-server", *expected)


def test_vllm_serves_the_directory_and_gets_its_key_through_the_environment() -> None:
    argv = _argv(locks.lock({"chat": locks.vllm_gpu()}))
    assert argv[:5] == (
        *("/usr/lib/llmops/with-key", "VLLM_API_KEY", "/run/credentials/x/engine-key"),
        *("/opt/llmops/vllm/bin/vllm", "serve"),
    )
    assert argv[5] == "/var/lib/llmops/models/chat/current"


def test_a_hostile_model_file_name_reaches_the_engine_unchanged() -> None:
    name = 'my $HOME "model" %i; x\\y.gguf'
    locked = locks.llama_cpu()
    file = replace(locked.model.files[0], name=name)
    lock = locks.lock({"chat": replace(locked, model=replace(locked.model, files=(file,)))})
    assert _argv(lock)[2] == f"/var/lib/llmops/models/chat/current/{name}"


def _with_files(name: str) -> LockedDeployment:
    locked = locks.llama_cpu()
    return replace(locked, model=replace(locked.model, files=(replace(locked.model.files[0], name=name),)))


REFUSED: dict[str, tuple[Callable[[], Lock], str]] = {
    "name": (lambda: locks.lock({"Chat$": locks.llama_cpu()}), "deployments.Chat$"),
    "name newline": (lambda: locks.lock({"chat\n": locks.llama_cpu()}), "deployments.chat\n"),
    "name of a unit of its own": (lambda: locks.lock({"gateway": locks.llama_cpu()}), "deployments.gateway"),
    "long name": (lambda: locks.lock({"c" * 25: locks.llama_cpu()}), "deployments." + "c" * 25),
    "file newline": (
        lambda: locks.lock({"chat": _with_files("a\nExecStartPre=/bin/evil")}),
        "deployments.chat.model.files",
    ),
    "file above": (lambda: locks.lock({"chat": _with_files("../../etc/passwd")}), "deployments.chat.model.files"),
    "argv newline": (
        lambda: locks.lock({"chat": replace(locks.llama_cpu(), argv=("llama-server", "-m", "{model}", "a\nb"))}),
        "deployments.chat.argv[3]",
    ),
    "key in argv": (
        lambda: locks.lock(
            {"chat": replace(locks.llama_cpu(), argv=("llama-server", "-m", "{model}", "--api-key", "x"))}
        ),
        "deployments.chat.argv[3]",
    ),
    "no model in argv": (
        lambda: locks.lock({"chat": replace(locks.llama_cpu(), argv=("llama-server", "-m", "x.gguf"))}),
        "deployments.chat.argv",
    ),
    "hostname": (lambda: locks.lock(serve=Serve(hostname="a;b")), "serve.hostname"),
    "hostname quote": (lambda: locks.lock(serve=Serve(hostname='a" ssl')), "serve.hostname"),
    "hostname long": (lambda: locks.lock(serve=Serve(hostname="a" * 300)), "serve.hostname"),
    "listen": (lambda: locks.lock(serve=Serve(listen="0.0.0.0:99999")), "serve.listen"),
    "listen name": (lambda: locks.lock(serve=Serve(listen="example.org:443")), "serve.listen"),
    "certificate": (
        lambda: locks.lock(serve=Serve(tls=TlsFiles(certificate="/etc/a b.crt", key="/etc/a.key"))),
        "serve.tls.certificate",
    ),
    "certificate key": (
        lambda: locks.lock(serve=Serve(tls=TlsFiles(certificate="/etc/a.crt", key="/etc/$x.key"))),
        "serve.tls.key",
    ),
    "shared port": (
        lambda: locks.lock({"a": locks.llama_cpu(port=8080), "b": locks.llama_cpu(port=8080)}),
        "deployments.b.numbers.engine_port",
    ),
    "port of the edge": (
        lambda: locks.lock({"a": locks.llama_cpu(port=8443)}),
        "deployments.a.numbers.engine_port",
    ),
    "uuid": (
        lambda: locks.lock(
            {"chat": replace(locks.llama_gpu(), devices=(replace(locks.llama_gpu().devices[0], uuid="GPU-1\n"),))}
        ),
        "deployments.chat.devices",
    ),
    "build": (
        lambda: locks.lock(
            {"chat": replace(locks.llama_cpu(), engine=replace(locks.llama_cpu().engine, build="b1\n[Service]"))}
        ),
        "deployments.chat.engine.build",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_value_that_could_inject_is_refused_with_its_field(case: str) -> None:
    make, field = REFUSED[case]
    with pytest.raises(WrongInput) as refused:
        site_of(make())
    assert refused.value.where is not None
    assert refused.value.where.key == field


def test_a_path_longer_than_nginx_reads_is_refused() -> None:
    with pytest.raises(WrongInput) as refused:
        site_of(locks.lock(serve=Serve(client_ca=f"/etc/{'x' * 10_000}"), targets=EVERY_TARGET))
    assert refused.value.where is not None
    assert refused.value.where.key == "serve.client_ca"


@pytest.mark.parametrize("place", ["{model}", "{projector}", "{credentials}"])
def test_a_file_name_that_reads_like_a_place_is_refused(place: str) -> None:
    with pytest.raises(WrongInput) as refused:
        site_of(locks.lock({"chat": _with_files(f"a{place}.gguf")}))
    assert refused.value.where is not None
    assert refused.value.where.key == "deployments.chat.model.files"


@pytest.mark.parametrize("path", ["relative/llama-server", "/a/../b", '/a"b', "/a\nb", "/a$b", "/a%b"])
def test_an_engine_path_that_no_unit_can_carry_is_refused(path: str) -> None:
    with pytest.raises(WrongInput) as refused:
        site(locks.lock(), systemd_version=252, engine_path=path)
    assert refused.value.where is not None
    assert refused.value.where.key == "--engine-path"


def test_an_engine_path_with_a_blank_is_one_word_of_the_unit() -> None:
    path = "/home/ann b/bin/llama-server"
    assert site(locks.lock(), systemd_version=252, engine_path=path).deployments[0].argv[0] == path


def test_an_image_must_be_pinned_by_its_digest() -> None:
    with pytest.raises(WrongUsage):
        site(locks.lock(), systemd_version=252, images={EngineName.LLAMA_CPP: "ghcr.io/ggml-org/llama.cpp:server"})


def test_several_deployments_have_their_own_user_port_route_and_key() -> None:
    lock = locks.lock(
        {"chat": locks.llama_gpu(port=8080), "small": locks.llama_cpu(alias="small", port=8081)}, targets=EVERY_TARGET
    )
    files = rendered(lock)
    nginx = text_of(files, "/etc/nginx/conf.d/llmops.conf")
    assert "server 127.0.0.1:9080 max_fails=0;" in nginx
    assert "server 127.0.0.1:9081 max_fails=0;" in nginx
    assert "location ~ ^(?<llmops_path>/v1/" in nginx
    assert "location ~ ^/small(?<llmops_path>/v1/" in nginx
    users = re.findall(r"^User=(.*)$", "".join(file.text for file in files), flags=re.MULTILINE)
    assert sorted(users) == ["llmops-chat", "llmops-gateway", "llmops-small"]
    keys = [one.key_file for one in site_of(lock).deployments]
    assert len(set(keys)) == 2


def test_a_newer_systemd_gets_directives_an_older_one_does_not_know() -> None:
    assert "RestartSteps=" not in text_of(rendered(CASES["llama_cpp_cpu"], systemd_version=252), UNIT)
    newer = text_of(rendered(CASES["llama_cpp_cpu"], systemd_version=257), UNIT)
    assert "RestartSteps=5\nRestartMaxDelaySec=120\n" in newer
    older = text_of(rendered(CASES["llama_cpp_cpu"], systemd_version=246), UNIT)
    gated = {row.key for row in DIRECTIVES if row.since > 246}
    assert gated
    assert not any(f"\n{key}=" in older for key in gated)


def test_a_failing_server_stops_being_restarted_before_the_interval_ends() -> None:
    deployment = site_of(CASES["vllm_gpu"]).deployments[0]
    longest = deployment.numbers.start_timeout_seconds.value + deployment.restart_max_seconds
    assert deployment.start_limit_seconds >= deployment.start_limit_burst * longest


def test_templates_print_and_do_not_compute() -> None:
    for name, text in shipped.tree("templates").items():
        for expression in re.findall(r"\{[{%](.*?)[%}]\}", text, flags=re.DOTALL):
            bare = re.sub(r"\"[^\"]*\"|'[^']*'", "", expression)
            assert not re.search(r"[+*/~-]|\bdefault\b|\bset\b", bare.strip("- ")), f"{name}: {expression}"


def test_no_file_holds_a_password_default_or_a_key_option() -> None:
    for case, lock in CASES.items():
        for file in rendered(lock):
            assert not re.search(r"--api-key[ =]|:-|API_KEY=[^\\\"$]", file.text), f"{case}: {file.path}"


@pytest.mark.parametrize("case", CASES)
def test_an_engine_without_a_key_of_its_own_is_said_and_listens_on_loopback_alone(case: str) -> None:
    lock = CASES[case]
    site = site_of(lock)
    said = findings(lock, site, targets=lock.targets, file="llmops.lock", missing_models=(), store="/var/lib/llmops")
    codes = {one.code for one in said}
    deployment = site.deployments[0]
    assert ("RND021" in codes) == (not deployment.has_key) == case.startswith(("ollama", "sglang", "tgi"))
    assert ("RND022" in codes) == case.startswith("ollama")
    files = rendered(lock)
    port = deployment.port
    text = "".join(file.text for file in files if file.target == "systemd")
    assert f"0.0.0.0:{port}" not in text
    compose = yaml.safe_load(text_of(files, "/etc/llmops/compose/chat/compose.yaml"))
    published = [one for service in compose["services"].values() for one in service.get("ports", [])]
    assert published == [f"127.0.0.1:{port}:{port}"]
    assert ("secrets" in compose) == deployment.has_key
