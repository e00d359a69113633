"""`nginx -t` on rendered files, with paths moved into a stage and certificates stood in for."""

import os
import re
from pathlib import Path

from llmops.apply.asking import TIMEOUT_SECONDS, Check, Verdict, judged, write
from llmops.apply.certificate import make_ca, make_leaf
from llmops.domain.finding import Status

JS_MODULE = "ngx_http_js_module.so"
MODULE_PLACES = (
    "/usr/lib/nginx/modules",
    "/usr/lib/x86_64-linux-gnu/nginx/modules",
    "/usr/lib64/nginx/modules",
    "/usr/share/nginx/modules",
)


def nginx(asked: Check) -> Verdict:
    """`nginx -t` on a whole configuration that includes the site. A `[warn]` is a refusal too: nginx exits 0 on it."""
    nginx = asked.runner.find("nginx")
    if nginx is None:
        return Verdict(status=Status.SKIP, said="`nginx` is not installed")
    module = next(
        (f"{place}/{JS_MODULE}" for place in MODULE_PLACES if os.access(f"{place}/{JS_MODULE}", os.R_OK)), None
    )
    if module is None:
        return Verdict(status=Status.SKIP, said=f"nginx's {JS_MODULE} is not installed (libnginx-mod-http-js)")
    stood_in = _stage_nginx(asked, module)
    ran = asked.runner.run(
        [nginx, "-t", "-e", "stderr", "-p", str(asked.stage), "-c", str(asked.stage / "nginx.conf")],
        timeout_seconds=TIMEOUT_SECONDS,
    )
    return judged(ran, lambda done: "[warn]" in done.stderr or "[emerg]" in done.stderr, stood_in)


def _stage_nginx(asked: Check, module: str) -> tuple[str, ...]:
    """The site's files with paths moved into the stage and the address replaced by a socket; gives what the target lacks.

    Keys, and a certificate of ours, are made when the files are applied, and never lie in a stage.
    """
    edge, stage = asked.site.edge, asked.stage
    absent: dict[str, str] = {"/etc/nginx/llmops/keys.map": f'{"0" * 64} "stand-in";\n'}
    for deployment in asked.site.deployments:
        absent[str(deployment.edge_key_file)] = 'proxy_set_header Authorization "Bearer stand-in";\n'
    ca = make_ca(edge.hostname, now=asked.now)
    leaf = make_leaf(ca, edge.hostname, now=asked.now)
    absent[str(edge.certificate)] = leaf.certificate.decode()
    absent[str(edge.certificate_key)] = leaf.key.decode()
    if edge.client_ca is not None:
        absent[str(edge.client_ca)] = ca.certificate.decode()
    for path, text in absent.items():
        write(stage, path, text, mode=0o600)
    for file in asked.files:
        write(stage, file.path, _moved(file.text, asked), mode=file.mode)
    temporary = "".join(
        f"    {kind}_temp_path {_quoted(stage / 'temporary')};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (stage / "var/log/nginx").mkdir(parents=True)
    write(
        stage,
        "nginx.conf",
        f"load_module {_quoted(Path(module))};\npid {_quoted(stage / 'nginx.pid')};\nevents {{}}\n"
        f"http {{\n{temporary}    access_log off;\n    include {_quoted(stage / 'etc/nginx/conf.d/*.conf')};\n}}\n",
    )
    own = () if edge.self_signed else (edge.certificate, edge.certificate_key)
    needed = (*own, *((edge.client_ca,) if edge.client_ca else ()))
    return tuple(str(path) for path in needed if not asked.is_there(str(path)))


def _moved(text: str, asked: Check) -> str:
    edge, stage = asked.site.edge, asked.stage
    moved = re.sub(r"(?<![\w.])/(etc/nginx/llmops|var/log/nginx)/?(?=[\w;])", rf"{stage}/\1/", text)
    moved = moved.replace("js_path /etc/nginx/llmops;", f"js_path {stage}/etc/nginx/llmops;")
    for path in (edge.certificate, edge.certificate_key, *((edge.client_ca,) if edge.client_ca else ())):
        moved = moved.replace(f'"{path}"', f'"{stage}{path}"')
    return moved.replace(f"listen {edge.listen()} ", f"listen unix:{stage}/edge.sock ")


def _quoted(path: Path) -> str:
    return f'"{path}"'
