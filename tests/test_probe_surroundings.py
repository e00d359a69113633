"""Clock, hub, proxies, firewalls, accounts, limits and web servers, as their sources word them."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.domain.programs import Ran
from llmops.domain.reading import Known, Unknown, known
from llmops.domain.surroundings import FirewallTool, Hub
from llmops.probe import accounts, clock, firewall, network, web_servers


def ran(stdout: str = "", *, stderr: str = "", exit_code: int = 0) -> Known[Ran]:
    return Known(Ran(argv=("x",), exit_code=exit_code, stdout=stdout, stderr=stderr))


@pytest.mark.parametrize(("status", "is_right"), [(0x2001, True), (0x0001, True), (0x0040, False), (0x2041, False)])
def test_the_kernels_status_says_whether_the_clock_is_kept(status: int, is_right: bool) -> None:
    told = clock.read(clock.ClockText(status=Known(status), error_microseconds=1500, processes=["bash", "chronyd"]))
    assert (told.synchronized, told.error_seconds, told.kept_by) == (Known(is_right), Known(0.0015), Known("chrony"))


def test_a_kernel_that_does_not_tell_leaves_the_clock_unknown() -> None:
    told = clock.read(clock.ClockText(status=Unknown("refused"), error_microseconds=0, processes=[]))
    assert told.synchronized == Unknown("refused")
    assert told.kept_by == Known(None)


def test_this_kernel_is_asked() -> None:
    told = clock.read(clock.ask(Path("/")))
    assert isinstance(told.synchronized, Known)
    assert 0 <= (known(told.error_seconds) or 0) < 3600


def test_a_proxys_password_is_never_kept() -> None:
    environment = {
        "https_proxy": "http://user:s3cret@proxy.example:3128",
        "HTTP_PROXY": "proxy:80",
        "NO_PROXY": "localhost,.corp",
        "ALL_PROXY": "",
    }
    told = {one.name: one for one in network.proxies(environment)}
    assert set(told) == {"https_proxy", "HTTP_PROXY", "NO_PROXY"}
    assert told["https_proxy"].value == "http://proxy.example:3128"
    assert told["https_proxy"].has_credentials
    assert not told["HTTP_PROXY"].has_credentials
    assert told["NO_PROXY"].value == "localhost,.corp"


class Hubs(BaseHTTPRequestHandler):
    """Answers everything, and remembers what was asked."""

    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        type(self).asked.append((self.path, self.headers.get("Proxy-Authorization")))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def do_CONNECT(self) -> None:
        type(self).asked.append((f"CONNECT {self.path}", self.headers.get("Proxy-Authorization")))
        self.send_error(403, "not allowed")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base names it so
        pass


@contextmanager
def serving() -> Iterator[tuple[str, type[Hubs]]]:
    handler = type("Handler", (Hubs,), {"asked": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler
    finally:
        server.shutdown()
        server.server_close()


def hub(environment: dict[str, str]) -> Hub:
    reading = network.ask_hub(environment)
    assert isinstance(reading, Known)
    return reading.value


def test_a_hub_that_answers_is_reached_without_a_token() -> None:
    with serving() as (url, handler):
        told = hub({"HF_ENDPOINT": f"{url}/mirror/", "HF_TOKEN": "hf_secret", "HTTP_PROXY": "http://127.0.0.1:9"})
    assert (told.status, told.trouble, told.through_proxy, told.resolves) == (200, None, False, Known(value=True))
    assert handler.asked == [(f"/mirror{network.PATH}", None)]


def test_a_proxy_is_asked_with_its_password_and_what_it_refuses_is_said() -> None:
    with serving() as (url, handler):
        proxy = url.replace("http://", "http://me:pw@")
        plain = hub({"HF_ENDPOINT": "http://hub.example", "http_proxy": proxy})
        secret = hub({"HTTPS_PROXY": proxy})
        passed = hub({"HF_ENDPOINT": "http://hub.invalid", "HTTP_PROXY": proxy, "NO_PROXY": ".invalid"})
    assert (plain.status, plain.through_proxy) == (200, True)
    assert isinstance(plain.resolves, Unknown)
    assert secret.status is None
    assert "403" in (secret.trouble or "")
    assert [path for path, _ in handler.asked] == [f"http://hub.example:80{network.PATH}", "CONNECT huggingface.co:443"]
    assert all(words == "Basic bWU6cHc=" for _, words in handler.asked)
    assert (passed.through_proxy, passed.resolves) == (False, Known(value=False))
    assert "pw" not in repr((plain, secret))


def test_a_hub_that_accepts_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        told = hub({"HF_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"})
    assert told.status is None
    assert told.trouble == "timed out"


def test_a_token_in_an_address_is_in_no_facts() -> None:
    told = hub({"HF_ENDPOINT": "https://u:pa?ss@127.0.0.1:9/mirror?token=hidden#more"})
    assert told.endpoint == "https://127.0.0.1:9/mirror"
    (proxy,) = network.proxies({"HTTPS_PROXY": "http://proxy:3128/?key=hidden"})
    assert proxy.value == "http://proxy:3128/"


@pytest.mark.parametrize(
    "address",
    [
        "http://proxy:3128/?key=hidden&next=https://x",
        "proxy:3128/?key=hidden&next=https://x",
        "http://proxy:3128/?key=more@hidden",
        "http://proxy?key=more@hidden",
        "http://[::1]:3128?key=more@hidden",
        "http://user:a/hidden@proxy",
        "user:hidden@proxy/?next=http://x",
        "http://user:hidden://x@proxy",
    ],
)
def test_of_an_address_that_can_be_read_in_two_ways_nothing_secret_is_kept(address: str) -> None:
    (proxy,) = network.proxies({"HTTPS_PROXY": address})
    assert "hidden" not in proxy.value


@pytest.mark.parametrize("endpoint", ["ftp://x", "https://", "http://[::1", "https://x:99999", "https://a b"])
def test_an_endpoint_that_is_none_is_said_and_not_a_traceback(endpoint: str) -> None:
    told = hub({"HF_ENDPOINT": endpoint})
    assert told.status is None
    assert told.trouble


NFT = {
    "nftables": [
        {"metainfo": {"version": "1.0.6"}},
        {"table": {"family": "inet", "name": "filter", "handle": 1}},
        {"chain": {"family": "inet", "table": "filter", "name": "input", "hook": "input", "prio": 0, "policy": "drop"}},
        {"chain": {"family": "inet", "table": "filter", "name": "forward", "hook": "forward", "policy": "accept"}},
        {"rule": {"family": "inet", "table": "filter", "chain": "input", "expr": []}},
    ]
}
UFW = """Status: active
Logging: on (low)
Default: deny (incoming), allow (outgoing), disabled (routed)
New profiles: skip

To                         Action      From
--                         ------      ----
22/tcp                     ALLOW IN    Anywhere
8443/tcp                   ALLOW IN    10.0.0.0/8
"""


@pytest.mark.parametrize(
    ("tool", "said", "active", "policy", "rules"),
    [
        (FirewallTool.NFTABLES, ran(json.dumps(NFT)), True, "drop", 1),
        (FirewallTool.NFTABLES, ran('{"nftables": [{"metainfo": {}}]}'), False, None, 0),
        (FirewallTool.IPTABLES, ran("-P INPUT ACCEPT\n"), False, "accept", 0),
        (FirewallTool.IPTABLES, ran("-P INPUT DROP\n-A INPUT -i lo -j ACCEPT\n"), True, "drop", 1),
        (FirewallTool.UFW, ran(UFW), True, "drop", 2),
        (FirewallTool.UFW, ran("Status: inactive\n"), False, None, 0),
    ],
)
def test_firewalls_say_what_they_do(
    tool: FirewallTool, said: Known[Ran], active: bool, policy: str | None, rules: int
) -> None:
    told = firewall.read(tool, said)
    assert (told.active, told.input_policy, told.rules) == (Known(active), Known(policy), rules)


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        (FirewallTool.NFTABLES, ran(stderr="Operation not permitted (you must be root)\n", exit_code=1)),
        (FirewallTool.NFTABLES, ran("half a docu")),
        (FirewallTool.IPTABLES, ran(stderr="iptables v1.8.9: can't initialize: Permission denied\n", exit_code=4)),
        (FirewallTool.UFW, ran(stderr="ERROR: You need to be root to run this script\n", exit_code=1)),
        (FirewallTool.FIREWALLD, ran(stderr="Authorization failed.\n", exit_code=253)),
        (FirewallTool.UFW, Unknown("did not end within 4 s")),
    ],
)
def test_a_firewall_that_refuses_is_unknown_not_off(tool: FirewallTool, said: Known[Ran] | Unknown) -> None:
    assert isinstance(firewall.read(tool, said).active, Unknown)


def test_firewalld_says_its_state() -> None:
    assert firewall.read(FirewallTool.FIREWALLD, ran("running\n")).active == Known(value=True)
    stopped = ran(stderr="not running\n", exit_code=252)
    assert firewall.read(FirewallTool.FIREWALLD, stopped).active == Known(value=False)


PASSWD = """root:x:0:0:root:/root:/bin/bash
llmops-chat:x:995:995::/var/lib/llmops/state/chat:/usr/sbin/nologin
ollama:x:997:997::/usr/share/ollama:/bin/false
broken line
+nis
"""
GROUP = "video:x:44:ollama,me\nrender:x:106:\nllmops-chat:x:995:\nollama:x:997:\n"


def test_accounts_have_their_groups_and_absent_ones_none() -> None:
    told = {one.name: one for one in accounts.read_accounts(PASSWD, GROUP)}
    assert (told["llmops-chat"].uid, told["llmops-chat"].groups) == (995, ("llmops-chat",))
    assert told["ollama"].groups == ("ollama", "video")
    assert told["nginx"].uid is None


def test_groups_say_whether_this_process_is_in_them() -> None:
    told = {one.name: one for one in accounts.read_groups(GROUP, [106])}
    assert (told["video"].gid, told["video"].members, told["video"].has_this_user) == (44, ("ollama", "me"), False)
    assert told["render"].has_this_user
    assert told["docker"].gid is None


def test_limits_of_open_files_are_this_processs_and_the_kernels(tmp_path: Path) -> None:
    for path, text in (
        ("proc/self/limits", "Max open files            1024                 524288               files     \n"),
        ("proc/sys/fs/nr_open", "1048576\n"),
        ("proc/sys/fs/file-max", "9223372036854775807\n"),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    told = known(accounts.ask_files(tmp_path))
    assert told is not None
    assert (told.soft, told.hard, told.most_per_process) == (1024, 524288, Known(1048576))
    assert isinstance(accounts.ask_files(tmp_path / "absent"), Unknown)


NGINX = """nginx version: nginx/1.22.1
built with OpenSSL 3.0.22 25 Aug 2026 (running with OpenSSL 3.0.19 27 Jan 2026)
TLS SNI support enabled
configure arguments: --with-cc-opt='-g -O2' --modules-path=/usr/lib/nginx/modules --with-http_ssl_module \
--with-http_v2_module --with-http_geoip_module=dynamic --with-stream=dynamic
"""


def test_nginx_has_what_was_compiled_in_and_what_lies_beside_it() -> None:
    told = web_servers.read_nginx("/usr/sbin/nginx", ran(stderr=NGINX), ("ngx_http_js_module.so",))
    assert told.version == Known("1.22.1")
    assert told.modules == Known(("http_ssl", "http_v2", "http_js"))
    assert told.tls == Known("OpenSSL 3.0.19 27 Jan 2026")
    freenginx = web_servers.read_nginx("/x", ran(stderr="nginx version: openresty/1.25.3.1\n"))
    assert freenginx.version == Known("1.25.3.1")
    assert isinstance(freenginx.modules, Unknown)


HAPROXY = """HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/
Feature list : -51DEGREES +ACCEPT4 +LUA +OPENSSL +PROMEX -QUIC

Built with OpenSSL version : OpenSSL 3.0.22 25 Aug 2026
Running on OpenSSL version : OpenSSL 3.0.19 27 Jan 2026
Available services : prometheus-exporter
"""


def test_haproxy_has_its_features_and_services() -> None:
    told = web_servers.read_haproxy("/usr/sbin/haproxy", ran(HAPROXY))
    assert told.version == Known("2.6.12")
    assert told.modules == Known(("accept4", "lua", "openssl", "promex", "prometheus-exporter"))
    assert told.tls == Known("OpenSSL 3.0.19 27 Jan 2026")


@pytest.mark.consumer("nginx-njs", "haproxy")
def test_the_web_servers_here_are_read() -> None:
    import os

    from llmops.probe.programs import Programs

    told = {one.name: one for one in known(web_servers.ask(Path("/"), Programs(os.environ))) or ()}
    nginx, haproxy = told["nginx"].modules, told["haproxy"].modules
    assert isinstance(nginx, Known)
    assert isinstance(haproxy, Known)
    assert {"http_ssl", "http_js"} <= set(nginx.value)
    assert "promex" in haproxy.value


@given(st.text(), st.text())
def test_no_text_makes_a_reader_raise(one: str, two: str) -> None:
    for tool in FirewallTool:
        firewall.read(tool, ran(one, stderr=two))
    accounts.read_accounts(one, two)
    accounts.read_groups(one, [])
    web_servers.read_nginx("x", ran(one, stderr=two))
    web_servers.read_haproxy("x", ran(one, stderr=two))
    network.proxies({"HTTPS_PROXY": one})
    network.address(one)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["nftables", "chain", "rule", "hook", "policy"]), inner)
        ),
    )
)
def test_no_json_makes_nft_raise(data: object) -> None:
    firewall.read_nft(json.dumps(data))
