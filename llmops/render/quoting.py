"""How each consumer wants a value written, so that it reads back exactly that value; what cannot be carried is refused.

Rules: systemd 252, systemd.syntax(7), systemd.service(5) "Command lines", src/basic/extract-word.c; EnvironmentFile= and
.env by a comparison of systemd 252, 257 and 262, Compose 2.40 and bash, line by line; nginx 1.22, src/core/ngx_conf_file.c
(`ngx_conf_read_token`); YAML 1.2 double-quoted scalars (a superset of JSON strings), Compose interpolation (`$$`).
"""

import json
import re
from collections.abc import Sequence

from llmops.domain.errors import WrongInput

CREDENTIALS = "{credentials}"
_BARE_WORD = re.compile(r"[A-Za-z0-9_./:@+=,~^-]+")
_UNPRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_SYSTEMD_ESCAPES = {"\\": "\\\\", '"': '\\"', "%": "%%", "$": "$$", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_VALUE_ESCAPES = {**_SYSTEMD_ESCAPES, "$": "$"}


def systemd_word(text: str) -> str:
    """One argument of an `Exec…=` line: bare where that is safe, else in double quotes; `%` and `$` doubled."""
    _refuse(text, "a unit", nul=True)
    return text if _BARE_WORD.fullmatch(text) else _systemd_quoted(text, _SYSTEMD_ESCAPES)


def systemd_command(argv: Sequence[str]) -> str:
    """A whole `Exec…=` value; `{credentials}` becomes the specifier `%d`, the unit's credentials directory."""
    return " ".join("%d".join(_pieces(word)) if CREDENTIALS in word else systemd_word(word) for word in argv)


def _pieces(word: str) -> list[str]:
    pieces = word.split(CREDENTIALS)
    for piece in pieces:
        if piece and not _BARE_WORD.fullmatch(piece):
            raise WrongInput(f"cannot write {word!r} with the credentials directory in it")
    return pieces


def systemd_environment(name: str, value: str) -> str:
    """One assignment for `Environment=`, in double quotes; `%` doubled, `$` is literal there."""
    _refuse(value, "a unit", nul=True)
    return _systemd_quoted(f"{name}={value}", _VALUE_ESCAPES)


def _systemd_quoted(text: str, escapes: dict[str, str]) -> str:
    return '"' + "".join(escapes.get(char) or _control(char) for char in text) + '"'


def _control(char: str) -> str:
    """What cannot be seen is written as its number, so that the unit can be read by a person."""
    if ord(char) < 0x20 or ord(char) == 0x7F:
        return f"\\x{ord(char):02x}"
    return f"\\u{ord(char):04x}" if _UNPRINTABLE.fullmatch(char) else char


def dotenv_value(value: str) -> str:
    """A value of a .env file in the one form that systemd, Compose and a shell read alike.

    Single quotes for everything without a single quote that does not end in a backslash; with a single quote, double
    quotes if there is no `$`, backtick, backslash or double quote. Else refused.
    """
    if re.search(r"[\x00\r\n\ud800-\udfff]", value):
        raise WrongInput(f"no .env form means the same to systemd, Compose and a shell: {value[:60]!r}")
    if "'" not in value and not value.endswith("\\"):
        return f"'{value}'"
    if "'" in value and not re.search(r'[$`\\"]', value):
        return f'"{value}"'
    raise WrongInput(f"no .env form means the same to systemd, Compose and a shell: {value[:60]!r}")


def nginx_string(text: str) -> str:
    """A parameter of an nginx directive in double quotes. `$` has no escape in nginx and is refused."""
    _refuse(text, "an nginx file", nul=True)
    if "$" in text:
        raise WrongInput(f"nginx would read a variable in {text[:60]!r}")
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(escapes.get(char, char) for char in text) + '"'


def yaml_string(text: str) -> str:
    """A YAML double-quoted scalar."""
    _refuse(text, "a YAML file", nul=False)
    quoted = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def compose_string(text: str) -> str:
    """A YAML scalar of a compose file: `$` doubled, since Compose interpolates values."""
    return yaml_string(text.replace("$", "$$"))


def compose_list(words: Sequence[str]) -> str:
    """A YAML flow list of compose strings."""
    return "[" + ", ".join(compose_string(word) for word in words) + "]"


def _refuse(text: str, where: str, *, nul: bool) -> None:
    if (nul and "\0" in text) or re.search(r"[\ud800-\udfff]", text):
        raise WrongInput(f"{where} cannot carry {text[:60]!r}: it holds a NUL or is not valid Unicode")
