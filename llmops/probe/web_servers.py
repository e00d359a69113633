"""nginx and HAProxy as they were built: `nginx -V` and the modules beside it, `haproxy -vv`."""

import re
from pathlib import Path

from llmops.domain.programs import Ran, Runner
from llmops.domain.reading import Known, Unknown
from llmops.domain.surroundings import WebServer

ANSWER_SECONDS = 5.0


def ask(root: Path, runner: Runner) -> Known[tuple[WebServer, ...]] | Unknown:
    """Those that are installed."""
    found = []
    if (path := runner.find("nginx")) is not None:
        ran = runner.run((path, "-V"), timeout_seconds=ANSWER_SECONDS)
        found.append(read_nginx(path, ran, _module_files(root, ran)))
    if (path := runner.find("haproxy")) is not None:
        found.append(read_haproxy(path, runner.run((path, "-vv"), timeout_seconds=ANSWER_SECONDS)))
    return Known(tuple(found))


def _module_files(root: Path, ran: Known[Ran] | Unknown) -> tuple[str, ...]:
    """The shared objects in the directory the build names."""
    text = ran.value.stderr + ran.value.stdout if isinstance(ran, Known) else ""
    match = re.search(r"--modules-path=(/[^\s']{1,200})", text)
    if match is None:
        return ()
    return tuple(sorted(file.name for file in (root / match[1].lstrip("/")).glob("*.so")))


def read_nginx(path: str, ran: Known[Ran] | Unknown, files: tuple[str, ...] = ()) -> WebServer:
    """`http_ssl` for what is compiled in, `http_js` for a file that `load_module` may name."""
    if isinstance(ran, Unknown):
        return WebServer(name="nginx", path=path, version=ran, modules=ran, tls=ran)
    text = f"{ran.value.stderr}\n{ran.value.stdout}"
    version = re.search(r"^nginx version: [\w.+-]{1,40}/(\d+(?:\.\d+)+)", text, re.MULTILINE | re.ASCII)
    line = next((one for one in text.splitlines() if one.startswith("configure arguments:")), None)
    built = re.findall(r"--with-((?:http|stream|mail)_\w{1,60})_module(?!=dynamic)\b", line or "")
    loaded = [re.sub(r"^ngx_|_module\.so$", "", name) for name in files]
    running = re.search(r"\(running with (\w{0,9}SSL [^)\n]{1,60})\)", text)
    running = running or re.search(r"^built with (\w{0,9}SSL [^(\n]{1,60})", text, re.MULTILINE)
    return WebServer(
        name="nginx",
        path=path,
        version=Known(version[1]) if version else Unknown("`nginx -V` names no version"),
        modules=Known(tuple(dict.fromkeys((*built, *loaded))))
        if line is not None
        else Unknown("`nginx -V` names no modules"),
        tls=Known(running[1].strip() if running else None),
    )


def read_haproxy(path: str, ran: Known[Ran] | Unknown) -> WebServer:
    """The features with a plus, in small letters, and the services it offers (`prometheus-exporter`)."""
    if isinstance(ran, Unknown):
        return WebServer(name="haproxy", path=path, version=ran, modules=ran, tls=ran)
    text = f"{ran.value.stdout}\n{ran.value.stderr}"
    version = re.search(r"^HA-?Proxy version (\d+(?:\.\d+)+)", text, re.MULTILINE | re.ASCII)
    features = re.search(r"^Feature list : (.*)$", text, re.MULTILINE)
    services = re.search(r"^Available services :(.*)$", text, re.MULTILINE)
    names = [word[1:].lower() for word in (features[1].split() if features else []) if word.startswith("+")]
    running = re.search(r"^Running on (\w{0,9}SSL) version : (?:\w{0,9}SSL )?([^\n]{1,60})$", text, re.MULTILINE)
    return WebServer(
        name="haproxy",
        path=path,
        version=Known(version[1]) if version else Unknown("`haproxy -vv` names no version"),
        modules=Known((*names, *(services[1].split() if services else ())))
        if features
        else Unknown("`haproxy -vv` names no features"),
        tls=Known(f"{running[1]} {running[2].strip()}" if running else None),
    )
