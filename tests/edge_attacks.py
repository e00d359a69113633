"""Raw requests that an edge must not be taken in by; `KEY` in them stands for the key of a client, which is LONGER.

Of the families in RFC 9112 (sections 3, 5.1, 6.1, 7.1, 11.2), of what CL.TE, TE.CL and TE.TE smuggling is made of, and of path
normalisation.
"""

BODY_LIMIT = 65536
"""The edge's bound for a body in these cases."""

LONGER = 43
"""By so many characters: for the lengths of what holds it."""

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
_HIDDEN_CHUNK = f"{len(HIDDEN) + LONGER:x}\r\n{HIDDEN}\r\n"

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
    "the scheme in small letters": (get("/v1/models", f"{HOST}Authorization: bearer KEY\r\n"), 401),
    "two blanks before the key": (get("/v1/models", f"{HOST}Authorization: Bearer  KEY\r\n"), 401),
    "a tab before the key": (get("/v1/models", f"{HOST}Authorization: Bearer\tKEY\r\n"), 401),
    "the key behind another": (get("/v1/models", f"{HOST}Authorization: Bearer x, Bearer KEY\r\n"), 401),
    "an empty key": (get("/v1/models", f"{HOST}Authorization:\r\n"), 401),
    "the key as a cookie": (get("/v1/models", f"{HOST}Cookie: key=KEY\r\n"), 401),
    "the key for a proxy": (get("/v1/models", f"{HOST}Proxy-Authorization: Bearer KEY\r\n"), 401),
    "the key in trailers": (
        request(f"POST {CHAT}", HOST + CHUNKED, f"{_chunk('abcd')}0\r\nAuthorization: Bearer KEY\r\n\r\n"),
        401,
    ),
    "the key folded": (get("/v1/models", f"{HOST}Authorization: Bearer\r\n KEY\r\n"), 400),
    "the key and a zero byte": (get("/v1/models", f"{HOST}Authorization: Bearer KEY\0\r\n"), 400),
    "another key, and then the key": (
        get("/v1/models", f"{HOST}Authorization: Bearer x\r\nAuthorization: Bearer KEY\r\n"),
        400,
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
    "a line break at the end, encoded": (get("/v1/models%0a"), 404),
    "a slash at the end": (get("/v1/models/"), 404),
    "a dot at the end": (get("/v1/models."), 404),
    "a path as the query": (get("/metrics?/v1/models"), 404),
    "dots in two bytes each": (get("/v1/%c0%ae%c0%ae/metrics"), 404),
    "a slash of another script": (get("/v1\xe2\x88\x95models"), 404),
    "letters encoded twice": (get("/v1/%256dodels"), 404),
    "a percent sign alone": (get("/v1/models%"), 400),
    "a percent sign and no number": (get("/v1/models%zz"), 400),
    "letters by their code point": (get("/v1/%u006dodels"), 400),
    "up with a parameter": (get("/v1/..;/metrics"), 404),
    "up with backslashes, encoded": (get("/v1/models/..%5c..%5cmetrics"), 404),
    "a host instead of a path": (get("//localhost/v1/models"), 404),
    "a file's address": (get("file:///v1/models"), 400),
    "an address with a user": (get("https://evil@localhost/v1/models"), 400),
    "every path": (request("OPTIONS *"), 400),
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
    "HTTP/2.0 in words": (request("GET /v1/models HTTP/2.0"), 505),
    "HTTP/1.1x": (request("GET /v1/models HTTP/1.1x"), 400),
    "HTTP/01.1": (request("GET /v1/models HTTP/01.1"), 400),
    "the version in small letters": (request("GET /v1/models http/1.1 HTTP/1.1"), 400),
    "a tab in the first line": (request("GET\t/v1/models HTTP/1.1"), 400),
    "a blank before the method": (f" {MODELS}", 400),
    "a carriage return in the first line": (request("GET /v1/models\r HTTP/1.1"), 400),
    "an empty host": (get("/v1/models", KEYED.replace("localhost", "")), 400),
    "two hosts in one": (get("/v1/models", KEYED.replace("localhost", "localhost,evil.example")), 421),
    "a host with a user": (get("/v1/models", KEYED.replace("localhost", "localhost@evil.example")), 421),
    "a host folded": (get("/v1/models", KEYED.replace("Host: ", "Host:\r\n ")), 400),
    "an encoding without a colon": (get("/v1/models", f"{KEYED}Transfer-Encoding\r\n"), 501),
    "a header without a name": (get("/v1/models", f"{KEYED}: y\r\n"), 400),
    "a path as HTTP/2 has it": (get("/metrics", f"{KEYED}:path: /v1/models\r\n"), 400),
    "an authority as HTTP/2 has it": (get("/v1/models", f"{KEYED}:authority: evil.example\r\n"), 400),
    "a blank before the first header": (get("/v1/models", f" X: y\r\n{KEYED}"), 400),
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
    "a chunk's extension with a request in it": (
        post(CHUNKED, '4;a="b\nGET /metrics HTTP/1.1"\r\nabcd\r\n0\r\n\r\n'),
        400,
    ),
    "a folded header": (post("X-A: b\r\n Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "abcd"), 400),
    "a carriage return within a header": (
        post("X-A: b\rTransfer-Encoding: chunked\r\nContent-Length: 4\r\n", "abcd"),
        400,
    ),
    "the key twice": (get("/v1/models", f"{KEYED}Authorization: Bearer KEY\r\n"), 400),
    "the key, and then another": (get("/v1/models", f"{KEYED}Authorization: Bearer sk-{'x' * 43}\r\n"), 400),
    "a zero byte in a header": (get("/v1/models", f"{KEYED}X-A: a\0b\r\n"), 400),
    "chunks, and a length for less of them": (
        post(f"{CHUNKED}Content-Length: 4\r\n", f"{_HIDDEN_CHUNK}0\r\n\r\n"),
        400,
    ),
    "a length, and chunks that end before it": (
        post(f"Content-Length: {len(HIDDEN) + LONGER + 5}\r\n{CHUNKED}", f"0\r\n\r\n{HIDDEN}"),
        400,
    ),
    "chunks behind a tab": (post("Transfer-Encoding:\tchunked\r\n", "4\r\nabcd\r\n0\r\n\r\n"), 501),
    "chunks before a tab": (post("Transfer-Encoding: chunked\t\r\n", "4\r\nabcd\r\n0\r\n\r\n"), 501),
    "chunks in quotes": (post('Transfer-Encoding: "chunked"\r\n', "0\r\n\r\n"), 501),
    "chunks behind a comma": (post("Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n"), 501),
    "chunks in chunks": (post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 501),
    "chunks, said twice": (post(CHUNKED + CHUNKED, "0\r\n\r\n"), 400),
    "packed chunks": (post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501),
    "no encoding by name": (post("Transfer-Encoding:\r\nContent-Length: 4\r\n", "abcd"), 501),
    "chunks, folded": (post("Transfer-Encoding:\r\n chunked\r\nContent-Length: 4\r\n", "abcd"), 400),
    "the same length twice": (post("Content-Length: 4\r\nContent-Length: 4\r\n", "abcd"), 400),
    "a length beyond 64 bits": (post("Content-Length: 18446744073709551620\r\n", "abcd"), 400),
    "a length in hex": (post("Content-Length: 0x4\r\n", "abcd"), 400),
    "a length with a fraction": (post("Content-Length: 4.0\r\n", "abcd"), 400),
    "no length by name": (post("Content-Length: \r\n", "abcd"), 400),
    "a length behind a vertical tab": (post("Content-Length:\x0b4\r\n", "abcd"), 400),
    "a chunk with a sign": (post(CHUNKED, "+4\r\nabcd\r\n0\r\n\r\n"), 400),
    "a negative chunk": (post(CHUNKED, "-1\r\nabcd\r\n0\r\n\r\n"), 400),
    "a chunk with an underscore": (post(CHUNKED, "4_0\r\nabcd\r\n0\r\n\r\n"), 400),
    "a chunk behind a blank": (post(CHUNKED, " 4\r\nabcd\r\n0\r\n\r\n"), 400),
    "a chunk longer than it says": (post(CHUNKED, "4\r\nabcdXX0\r\n\r\n"), 400),
    "chunks that end in carriage returns": (post(CHUNKED, "4\rabcd\r0\r\r"), 400),
    "a line feed in a chunk's extension": (post(CHUNKED, f"4;\n{HIDDEN}\r\nabcd\r\n0\r\n\r\n"), 400),
    "a chunk's length that is none": (post(CHUNKED, "0x4\r\nabcd\r\n0\r\n\r\n"), 400),
}

NOT_HTTP: dict[str, tuple[bytes, list[int]]] = {
    "HTTP/0.9": (b"GET /v1/models\r\n", []),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    "TLS within TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n", [400]),
    "nothing but line breaks": (b"\r\n" * 2000, []),
}
"""What is sent, and what it is answered with: HTTP/0.9 has no status."""

REFUSED = {**WITHOUT_THE_KEY, **TOO_LARGE, **PATHS, **HOSTS_AND_METHODS, **SMUGGLED}
"""What is sent, and the status it is answered with."""

_SOCKET = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
_H2C = "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"

GOES_ON: dict[str, tuple[str, list[int]]] = {
    "another request as the body": (post(f"Content-Length: {len(HIDDEN) + LONGER}\r\n", HIDDEN), [200]),
    "another request as a chunk": (post(CHUNKED, f"{_HIDDEN_CHUNK}0\r\n\r\n"), [200]),
    "another request as a question's body": (
        request("GET /v1/models", f"{KEYED}Content-Length: {len(HIDDEN) + LONGER}\r\n", HIDDEN),
        [200],
    ),
    "another request as a question's chunk": (
        request("GET /v1/models", KEYED + CHUNKED, f"{_HIDDEN_CHUNK}0\r\n\r\n"),
        [200],
    ),
    "another request behind the last chunk": (post(CHUNKED, f"0\r\n\r\n{HIDDEN}"), [200]),
    "a chunk's extension": (post(CHUNKED, '4;a="b"\r\nabcd\r\n0\r\n\r\n'), [200]),
    "a chunk's extension of 20 kB": (post(CHUNKED, f"4;{'a' * 20000}\r\nabcd\r\n0\r\n\r\n"), [200]),
    "a chunk's length with many zeros": (post(CHUNKED, f"{'0' * 30}4\r\nabcd\r\n0\r\n\r\n"), [200]),
    "a chunk's length and a blank": (post(CHUNKED, "4 \r\nabcd\r\n0\r\n\r\n"), [200]),
    "chunks that end in line feeds": (post(CHUNKED, "4\nabcd\n0\n\n"), [200]),
    "chunks in large letters": (post("TRANSFER-ENCODING: CHUNKED\r\n", "4\r\nabcd\r\n0\r\n\r\n"), [200]),
    "chunks with an underscore": (post("Transfer_Encoding: chunked\r\nContent-Length: 4\r\n", "abcd"), [200]),
    "a length with an underscore": (post("Content_Length: 99\r\nContent-Length: 4\r\n", "abcd"), [200]),
    "a length with zeros": (post("Content-Length: 0000004\r\n", "abcd"), [200]),
    "trailers": (post(CHUNKED, f"{_chunk('abcd')}0\r\nX-Hidden: yes\r\nAuthorization: Bearer x\r\n\r\n"), [200]),
    "lengths in trailers": (
        post(CHUNKED, f"{_chunk('abcd')}0\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n"),
        [200],
    ),
    "lines that end without a carriage return": (
        post("Content-Length: 4\r\n", "abcd").replace("\r\n", "\n"),
        [200],
    ),
    "a promise to send the body": (post("Expect: 100-continue\r\nContent-Length: 4\r\n", "abcd"), [100, 200]),
    "an upgrade to a web socket": (
        request("GET /v1/models", KEYED + _SOCKET, HIDDEN, last="Connection: Upgrade\r\n"),
        [200, 404],
    ),
    "an upgrade to HTTP/2 in the clear": (
        request(
            "GET /v1/models",
            KEYED + _H2C,
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            last="Connection: Upgrade, HTTP2-Settings\r\n",
        ),
        [200, 400],
    ),
    "headers for a proxy to drop": (
        request("GET /v1/models", last="Connection: close, Authorization, X-Request-ID\r\n"),
        [200],
    ),
    "a second request without the key": (request("GET /v1/models", last="") + get("/v1/models", HOST), [200, 401]),
    "a second request to elsewhere": (request("GET /v1/models", last="") + get("/metrics"), [200, 404]),
    "HTTP/1.0": (request("GET /v1/models HTTP/1.0"), [200]),
    "HTTP/1.2": (request("GET /v1/models HTTP/1.2"), [200]),
    "a whole address of the host": (get("https://localhost:1/v1/models", KEYED.replace("localhost", "evil")), [200]),
    "the host in large letters, with a dot": (get("/v1/models", KEYED.replace("localhost", "LOCALHOST.")), [200]),
    "another method by way of a header": (get("/v1/models", f"{KEYED}X-HTTP-Method-Override: DELETE\r\n"), [200]),
    "headers of our own": (
        get("/v1/models", f"{KEYED}X-LLMOps-Nobody: 1\r\nX-Accel-Redirect: /metrics\r\n"),
        [200],
    ),
    "two slashes": (get("//v1//models"), [200]),
    "a dot": (get("/v1/./models"), [200]),
    "encoded letters": (get("/v1/%6d%6f%64%65%6c%73"), [200]),
    "an encoded slash": (get("/v1%2fmodels"), [200]),
    "there and back": (get("/metrics/../v1/models"), [200]),
    "a query": (get("/v1/models?path=/metrics&%0d%0aX-Hidden:%20yes"), [200]),
    "a forged address": (
        get("/v1/models", f"{KEYED}X-Forwarded-For: 10.0.0.1\r\nX-Real-IP: 10.0.0.1\r\nForwarded: for=x\r\n"),
        [200],
    ),
}
"""Sent with the key, and the answers: the one request that the edge itself understood goes on, and nothing else of it."""
