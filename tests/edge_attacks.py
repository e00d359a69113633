"""Raw requests that an edge must not be taken in by; `KEY` in them stands for the key of a client.

Of the families in RFC 9112 (sections 3, 5.1, 6.1, 7.1, 11.2), of what CL.TE, TE.CL and TE.TE smuggling is made of, and of path
normalisation.
"""

BODY_LIMIT = 65536
"""The edge's bound for a body in these cases."""

HOST = "Host: localhost\r\n"
KEYED = f"{HOST}Authorization: Bearer KEY\r\n"
CLOSE = "Connection: close\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
CHAT = "/v1/chat/completions"


def request(line: str, head: str = KEYED, body: str = "", *, last: str = CLOSE) -> str:
    """One request: its first line without version where it has none, and headers whole."""
    version = "" if " HTTP/" in line else " HTTP/1.1"
    return f"{line}{version}\r\n{head}{last}\r\n{body}"


def get(path: str, head: str = KEYED) -> str:
    """A question with the key, unless the headers are other ones."""
    return request(f"GET {path}", head)


def post(head: str, body: str = "") -> str:
    """A completion with the key and these headers."""
    return request(f"POST {CHAT}", KEYED + head, body)


def _chunk(text: str) -> str:
    return f"{len(text):x}\r\n{text}\r\n"


MODELS = get("/v1/models")
HIDDEN = request("GET /metrics", f"{KEYED}X-Hidden: yes\r\n", last="")

WITHOUT_THE_KEY: dict[str, tuple[str, int]] = {
    "no key": (get("/v1/models", HOST), 401),
    "a wrong key": (get("/v1/models", f"{HOST}Authorization: Bearer sk-{'x' * 43}\r\n"), 401),
    "another scheme": (get("/v1/models", f"{HOST}Authorization: Basic KEY\r\n"), 401),
    "the key with more behind it": (get("/v1/models", f"{HOST}Authorization: Bearer KEY x\r\n"), 401),
    "the key as a query": (get("/v1/models?api_key=KEY", HOST), 401),
    "the key under another name": (get("/v1/models", f"{HOST}X-Api-Key: KEY\r\n"), 401),
    "the key with an underscore in the name": (get("/v1/models", f"{HOST}Author_ization: Bearer KEY\r\n"), 401),
    "the edge's own variable as a header": (get("/v1/models", f"{HOST}llmops-tenant: default\r\n"), 401),
    "a path by way of a header": (
        get("/", f"{HOST}X-Original-URL: /v1/models\r\nX-Forwarded-Host: localhost\r\n"),
        404,
    ),
    "a promise to send the body": (
        request(f"POST {CHAT}", f"{HOST}Expect: 100-continue\r\nContent-Length: 4\r\n"),
        401,
    ),
}

TOO_LARGE: dict[str, tuple[str, int]] = {
    "a key of 10 kB": (get("/v1/models", f"{HOST}Authorization: Bearer {'k' * 10240}\r\n"), 400),
    "headers of 64 kB": (get("/v1/models", KEYED + "".join(f"X-{at}: {'y' * 4000}\r\n" for at in range(16))), 400),
    "a request line of 20 kB": (get(f"/v1/models?{'q' * 20480}"), 414),
    "a body over the bound, said": (post(f"Content-Length: {BODY_LIMIT + 1}\r\n"), 413),
    "a body over the bound, in chunks": (post(CHUNKED, _chunk("z" * 16384) * 5 + "0\r\n\r\n"), 413),
    "a chunk as long as a number can be": (post(CHUNKED, "FFFFFFFFFFFFFFFF\r\nx"), 400),
    "a negative length": (post("Content-Length: -1\r\n"), 400),
}

PATHS: dict[str, tuple[str, int]] = {
    "up and elsewhere": (get("/v1/../invocations"), 404),
    "up and elsewhere, encoded": (get("/v1/%2e%2e/invocations"), 404),
    "up and elsewhere, slashes encoded": (get("/v1/models%2f..%2f..%2fmetrics"), 404),
    "encoded twice": (get("/v1/%252e%252e/metrics"), 404),
    "above the top": (get("/../../etc/passwd"), 400),
    "two slashes and elsewhere": (get("//metrics"), 404),
    "a parameter, and up": (get("/v1/models;/../../metrics"), 404),
    "a semicolon": (get("/v1/models;x"), 404),
    "a zero byte, encoded": (get("/v1/models%00"), 400),
    "a zero byte": (get("/v1/models\0"), 400),
    "a line break, encoded": (get("/v1/models%0d%0aX-Evil:%201"), 404),
    "backslashes": (get("/v1\\..\\metrics"), 404),
    "upper case": (get("/V1/MODELS"), 404),
    "not UTF-8": (get("/v1/\xff\xfe%ff"), 404),
    "a fragment": (get("/metrics#/v1/models"), 404),
    "a whole address of elsewhere": (get("http://127.0.0.1:8080/metrics"), 421),
    "a whole address and another path": (get("https://localhost/metrics"), 404),
    "the path of the check itself": (get("/_llmops_auth"), 404),
    "a named location": (get("@llmops_503"), 400),
}

HOSTS_AND_METHODS: dict[str, tuple[str, int]] = {
    "another host": (get("/v1/models", KEYED.replace("localhost", "evil.example")), 421),
    "two hosts": (get("/v1/models", f"{KEYED}Host: evil.example\r\n"), 400),
    "no host": (get("/v1/models", KEYED.removeprefix(HOST)), 400),
    "a host with a path": (get("/v1/models", KEYED.replace("localhost", "localhost/../metrics")), 400),
    "TRACE": (request("TRACE /v1/models"), 405),
    "CONNECT": (request("CONNECT /v1/models"), 405),
    "DELETE": (request("DELETE /v1/models"), 403),
    "PUT": (request("PUT /v1/models", f"{KEYED}Content-Length: 0\r\n"), 403),
    "OPTIONS": (request("OPTIONS /v1/models"), 403),
    "an unknown method": (request("FETCH /v1/models"), 403),
    "a method in small letters": (request("get /v1/models"), 400),
    "HTTP/9.9": (request("GET /v1/models HTTP/9.9"), 505),
}

SMUGGLED: dict[str, tuple[str, int]] = {
    "a length and chunks": (post(f"Content-Length: 6\r\n{CHUNKED}", "0\r\n\r\nG"), 400),
    "chunks by another name": (post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 501),
    "chunks and identity": (post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), 501),
    "two encodings": (post(f"{CHUNKED}Transfer-Encoding: identity\r\n", "0\r\n\r\n"), 400),
    "chunks behind a vertical tab": (post("Transfer-Encoding:\x0bchunked\r\n", "0\r\n\r\n"), 501),
    "chunks over HTTP/1.0": (request(f"POST {CHAT} HTTP/1.0", KEYED + CHUNKED, "0\r\n\r\n"), 400),
    "a blank before the colon": (post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400),
    "two lengths": (post("Content-Length: 0\r\nContent-Length: 44\r\n"), 400),
    "a list of lengths": (post("Content-Length: 0, 44\r\n"), 400),
    "a length with a sign": (post("Content-Length: +4\r\n", "abcd"), 400),
    "a zero byte in a header": (get("/v1/models", f"{KEYED}X-A: a\0b\r\n"), 400),
    "a chunk's length that is none": (post(CHUNKED, "0x4\r\nabcd\r\n0\r\n\r\n"), 400),
}

NOT_HTTP: dict[str, bytes] = {
    "HTTP/0.9": b"GET /v1/models\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS within TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n",
    "nothing but line breaks": b"\r\n" * 2000,
}

REFUSED = {**WITHOUT_THE_KEY, **TOO_LARGE, **PATHS, **HOSTS_AND_METHODS, **SMUGGLED}
"""What is sent, and the status it is answered with."""

_SOCKET = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
_H2C = "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"

ONE_REQUEST: dict[str, str] = {
    "another request as the body": post(f"Content-Length: {len(HIDDEN) + 48}\r\n", HIDDEN),
    "another request as a chunk": post(CHUNKED, f"{len(HIDDEN) + 40:x}\r\n{HIDDEN}\r\n0\r\n\r\n"),
    "a chunk's extension": post(CHUNKED, '4;a="b\nGET /metrics HTTP/1.1"\r\nabcd\r\n0\r\n\r\n'),
    "trailers": post(CHUNKED, f"{_chunk('abcd')}0\r\nX-Hidden: yes\r\nAuthorization: Bearer x\r\n\r\n"),
    "a folded header": post("X-A: b\r\n Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "abcd"),
    "lines that end without a carriage return": post("Content-Length: 4\r\n", "abcd").replace("\r\n", "\n"),
    "a carriage return within a header": post("X-A: b\rTransfer-Encoding: chunked\r\nContent-Length: 4\r\n", "abcd"),
    "an upgrade to a web socket": request("GET /v1/models", KEYED + _SOCKET, HIDDEN, last="Connection: Upgrade\r\n"),
    "an upgrade to HTTP/2 in the clear": request(
        "GET /v1/models",
        KEYED + _H2C,
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        last="Connection: Upgrade, HTTP2-Settings\r\n",
    ),
    "headers for a proxy to drop": request("GET /v1/models", last="Connection: close, Authorization, X-Request-ID\r\n"),
    "a second request without the key": request("GET /v1/models", last="") + get("/v1/models", HOST),
    "a second request to elsewhere": request("GET /v1/models", last="") + get("/metrics"),
    "two slashes": get("//v1//models"),
    "a dot": get("/v1/./models"),
    "encoded letters": get("/v1/%6d%6f%64%65%6c%73"),
    "there and back": get("/metrics/../v1/models"),
    "a query": get("/v1/models?path=/metrics&%0d%0aX-Hidden:%20yes"),
    "a forged address": get(
        "/v1/models", f"{KEYED}X-Forwarded-For: 10.0.0.1\r\nX-Real-IP: 10.0.0.1\r\nForwarded: for=x\r\n"
    ),
    "the key twice": get("/v1/models", f"{KEYED}Authorization: Bearer KEY\r\n"),
    "the key, and then another": get("/v1/models", f"{KEYED}Authorization: Bearer sk-{'x' * 43}\r\n"),
}
"""Sent with the key: at most the one request may reach the engine that the edge itself understood."""
