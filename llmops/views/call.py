"""The call to try after `render`: curl, and the OpenAI SDK in Python and in TypeScript, with the plan's timeout and retries."""

import json
import shlex

from llmops.domain.forms import Json
from llmops.domain.records import dataclass
from llmops.domain.role import Role

MILLISECONDS = 1000
FIRST_WORDS = "Hello"
OTHER_WORDS = "A bridge over a river"
RERANK = f"/{Role.RERANK.question()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Where, with which key, trusting which certificate; files as they are typed on this host.

    `timeout_seconds` is of a whole request, `retries` of one that is refused (429, with Retry-After) or finds no server.
    """

    endpoint: str
    model: str
    key_file: str
    ca_file: str | None
    timeout_seconds: int
    retries: int
    role: Role = Role.CHAT

    def body(self) -> dict[str, Json]:
        """What is asked: a chat streams, vectors and figures come in one piece."""
        if self.role is Role.EMBEDDINGS:
            return {"model": self.model, "input": [FIRST_WORDS]}
        if self.role is Role.RERANK:
            return {"model": self.model, "query": FIRST_WORDS, "documents": [FIRST_WORDS, OTHER_WORDS]}
        return {"model": self.model, "stream": True, "messages": [{"role": "user", "content": FIRST_WORDS}]}

    def curl(self) -> str:
        """One question; the key is read from its file and is in no argument."""
        trust = f"--cacert {shlex.quote(self.ca_file)} " if self.ca_file is not None else ""
        body = shlex.quote(json.dumps(self.body()))
        limits = f"--max-time {self.timeout_seconds} --retry {self.retries} --retry-max-time {self.timeout_seconds}"
        return (
            f'printf \'header = "Authorization: Bearer %s"\' "$(cat {shlex.quote(self.key_file)})" | \\\n'
            f"  curl -sSN {trust}{limits} -K - -H 'Content-Type: application/json' \\\n"
            f"  {self.endpoint}/{self.role.question()} -d {body}"
        )

    def python(self) -> str:
        """The same with the OpenAI SDK for Python."""
        client = f"openai.DefaultHttpxClient(verify=ssl.create_default_context(cafile={self.ca_file!r}))"
        trust = f",\n    http_client={client}" if self.ca_file is not None else ""
        limits = f"timeout={self.timeout_seconds}, max_retries={self.retries}"
        return "\n".join(
            (
                "import pathlib, ssl, openai" if self.ca_file is not None else "import pathlib, openai",
                f"key = pathlib.Path({self.key_file!r}).read_text().strip()",
                f'client = openai.OpenAI(base_url="{self.endpoint}", api_key=key, {limits}{trust})',
                *self._asked_in_python(),
            )
        )

    def _asked_in_python(self) -> tuple[str, ...]:
        match self.role:
            case Role.CHAT:
                return (
                    f"stream = client.chat.completions.create(model={self.model!r}, stream=True,",
                    f'    messages=[{{"role": "user", "content": "{FIRST_WORDS}"}}])',
                    'for chunk in stream:\n    print((chunk.choices[0].delta.content or "") if chunk.choices else "", end="")',
                )
            case Role.EMBEDDINGS:
                return (
                    f"answer = client.embeddings.create(model={self.model!r}, input=[{FIRST_WORDS!r}],",
                    '    encoding_format="float")',
                    "print(len(answer.data[0].embedding), answer.data[0].embedding[:4])",
                )
            case Role.RERANK:  # the SDK has no word for it
                return (f"print(client.post({RERANK!r}, cast_to=object, body={self.body()!r}))",)

    def typescript(self) -> str:
        """The same with the OpenAI SDK for TypeScript: a module that Node runs as it is, in a file `try.mjs` or `try.mts`."""
        return "\n".join(
            (
                'import { readFileSync } from "node:fs";',
                'import OpenAI from "openai";',
                "const client = new OpenAI({",
                f"  baseURL: {json.dumps(self.endpoint)},",
                f'  apiKey: readFileSync({json.dumps(self.key_file)}, "utf8").trim(),',
                f"  timeout: {self.timeout_seconds * MILLISECONDS}, maxRetries: {self.retries},",
                "});",
                *self._asked_in_typescript(),
            )
        )

    def _asked_in_typescript(self) -> tuple[str, ...]:
        match self.role:
            case Role.CHAT:
                return (
                    "const stream = await client.chat.completions.create({",
                    f"  model: {json.dumps(self.model)}, stream: true,",
                    f'  messages: [{{ role: "user", content: "{FIRST_WORDS}" }}],',
                    "});",
                    "for await (const chunk of stream)",
                    '  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");',
                )
            case Role.EMBEDDINGS:
                return (
                    "const answer = await client.embeddings.create({",
                    f'  model: {json.dumps(self.model)}, input: ["{FIRST_WORDS}"], encoding_format: "float",',
                    "});",
                    "console.log(answer.data[0].embedding.length, answer.data[0].embedding.slice(0, 4));",
                )
            case Role.RERANK:
                return (
                    f"console.log(await client.post({json.dumps(RERANK)}, {{ body: {json.dumps(self.body())} }}));",
                )

    def node(self) -> str:
        """How the TypeScript form is run: Node takes further certificates from its environment alone."""
        trust = f"NODE_EXTRA_CA_CERTS={shlex.quote(self.ca_file)} " if self.ca_file is not None else ""
        return f"npm install openai && {trust}node try.mjs"

    def text(self) -> str:
        """All three, as they are shown."""
        return (
            f"{self.curl()}\n\n# or, with the OpenAI SDK for Python:\n{self.python()}\n\n"
            f"// or for TypeScript, as try.mjs: {self.node()}\n{self.typescript()}\n"
        )

    def form(self) -> Json:
        """As in `result.call` and `result.calls`."""
        return {
            "endpoint": self.endpoint,
            "model": self.model,
            "key_file": self.key_file,
            "ca_file": self.ca_file,
            "curl": self.curl(),
            "python": self.python(),
            "typescript": self.typescript(),
            "node": self.node(),
        }
