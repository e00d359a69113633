"""MODEL as typed: every form of the command line, and what is said to everything else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.domain.errors import Exit, Stop, WrongInput, WrongUsage
from llmops.domain.model import ModelSource, SourceKind
from llmops.formats.model_source import parse_model

HERE = {
    "org/Here-GGUF",
    "./model.gguf",
    "models/a.gguf",
    "/srv/models/qwen",
    "folder",
    "org/local",
    "a b.gguf",
    "qwen3-8b",
}
KNOWN = {"qwen3-8b", "qwen/qwen3-8b", "llama2"}


def parse(text: str) -> ModelSource:
    return parse_model(
        text,
        exists=lambda path: path in HERE,
        is_catalogue=lambda name: name.casefold() in KNOWN,
        near=lambda name: ("qwen3-8b",) if "qwen" in name else (),
    )


def hub(typed: str, repository: str, *, revision: str | None = None, selector: str | None = None) -> ModelSource:
    return ModelSource(typed=typed, kind=SourceKind.HUB, repository=repository, revision=revision, selector=selector)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("hf:org/repo", hub("hf:org/repo", "org/repo")),
        ("hf:org/repo:Q4_K_M", hub("hf:org/repo:Q4_K_M", "org/repo", selector="Q4_K_M")),
        ("HF:org/repo", hub("HF:org/repo", "org/repo")),
        ("hf:org/repo@main", hub("hf:org/repo@main", "org/repo", revision="main")),
        (
            "hf:org/repo@refs/pr/1:sub/x-00001-of-00002.gguf",
            hub(
                "hf:org/repo@refs/pr/1:sub/x-00001-of-00002.gguf",
                "org/repo",
                revision="refs/pr/1",
                selector="sub/x-00001-of-00002.gguf",
            ),
        ),
        (
            "https://huggingface.co/org/repo/resolve/main/sub/x.gguf?download=true",
            hub("hf:org/repo@main:sub/x.gguf", "org/repo", revision="main", selector="sub/x.gguf"),
        ),
        ("https://huggingface.co/org/repo", hub("hf:org/repo", "org/repo")),
        ("https://hf.co/org/repo/tree/v1", hub("hf:org/repo@v1", "org/repo", revision="v1")),
        ("org/Model-GGUF:UD-Q4_K_XL", hub("hf:org/Model-GGUF:UD-Q4_K_XL", "org/Model-GGUF", selector="UD-Q4_K_XL")),
        ("org/Model-GGUF", hub("hf:org/Model-GGUF", "org/Model-GGUF")),
        ("org/Model-GGUF:sub/x.gguf", hub("hf:org/Model-GGUF:sub/x.gguf", "org/Model-GGUF", selector="sub/x.gguf")),
        ("org/repo@v1:q4_k_m", hub("hf:org/repo@v1:q4_k_m", "org/repo", revision="v1", selector="q4_k_m")),
        ("hf.co/org/repo:Q8_0", hub("hf:org/repo:Q8_0", "org/repo", selector="Q8_0")),
        ("huggingface.co/org/repo", hub("hf:org/repo", "org/repo")),
    ],
)
def test_the_hub_by_its_short_form_or_its_own_pages(text: str, source: ModelSource) -> None:
    assert parse(text) == source


@pytest.mark.parametrize(
    "text", ["./model.gguf", "models/a.gguf", "/srv/models/qwen", "folder", "org/local", "org/Here-GGUF", "a b.gguf"]
)
def test_what_is_there_is_a_local_path(text: str) -> None:
    assert parse(text) == ModelSource(typed=text, kind=SourceKind.LOCAL, path=text)


@pytest.mark.parametrize("text", ["qwen3-8b", "Qwen3-8B", "Qwen/Qwen3-8B", "llama2"])
def test_a_catalogue_name_comes_before_a_folder_of_that_name(text: str) -> None:
    assert parse(text) == ModelSource(typed=text, kind=SourceKind.CATALOGUE, path=text)


def test_a_catalogue_name_may_have_a_quantization() -> None:
    source = parse("qwen3-8b:Q4_K_M")

    assert (source.kind, source.path, source.selector) == (SourceKind.CATALOGUE, "qwen3-8b", "Q4_K_M")


def test_a_name_and_a_tag_is_ollamas() -> None:
    source = parse("llama3.1:8b")

    assert (source.kind, source.repository, source.selector) == (SourceKind.OLLAMA, "llama3.1", "8b")


@pytest.mark.parametrize(
    "text", ["https://example.org/m/x.gguf", "http://127.0.0.1:8000/x.gguf", "http://[::1]:1/x.gguf"]
)
def test_an_address_of_a_file(text: str) -> None:
    assert parse(text) == ModelSource(typed=text, kind=SourceKind.URL, path=text)


def test_a_name_of_the_catalogue_with_a_slash_and_a_quantization_stays_the_catalogues() -> None:
    typed = "qwen/qwen3-8b:Q4_K_M"
    assert parse(typed) == ModelSource(typed=typed, kind=SourceKind.CATALOGUE, path="qwen/qwen3-8b", selector="Q4_K_M")


def test_the_word_download_is_taken_off_an_address() -> None:
    assert parse("https://example.org/x.gguf?download=true").path == "https://example.org/x.gguf"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "no model is named", "hf:"),
        ("   ", "no model is named", "hf:"),
        ("a\x1b[31mb", "unprintable", "hf:"),
        ("qwen3-88b", "no model `qwen3-88b`", "one of: qwen3-8b"),
        ("thing", "no model `thing`", "catalog models"),
        ("org/repo", "neither a path here nor in the catalogue", "`hf:org/repo`"),
        ("org/repo:latest", "neither a path here nor in the catalogue", "`hf:org/repo:latest`"),
        ("hf:repo", "names no repository", "hf:org/repo"),
        ("hf:org/repo/more", "names no repository", "hf:org/repo"),
        ("hf:../x", "names no repository", "hf:org/repo"),
        ("hf:org/repo:", "no quantization or file", "Q4_K_M"),
        ("hf:org/repo:../x", "no quantization or file", "Q4_K_M"),
        ("hf:org/repo:/etc/passwd", "no quantization or file", "Q4_K_M"),
        ("hf:org/repo@", "no revision", "@main"),
        ("hf:org/repo@../..", "no revision", "@main"),
        ("https://user:secret@example.org/x.gguf", "name or password in it", "HF_TOKEN"),
        ("https://example.org/x.gguf?token=secret", "with a query", "ends up in the lock"),
        ("https://example.org/x.bin", "does not end in `.gguf`", "hf:org/repo"),
        ("http://example.org/x.gguf", "`http://` is not read", "https://"),
        ("ftp://example.org/x.gguf", "`ftp://` is not read", "https://"),
        ("https://", "not an address", "hf:"),
        ("https://huggingface.co/org", "not a model's page", "hf:org/repo"),
    ],
)
def test_what_is_no_model_says_what_would_be(text: str, message: str, hint: str) -> None:
    with pytest.raises(WrongUsage) as stop:
        parse(text)

    assert stop.value.exit_code is Exit.USAGE
    assert message in stop.value.message
    assert hint in (stop.value.hint or "")
    assert "secret" not in stop.value.message + (stop.value.hint or "")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("./missing", "hf:"),
        ("missing.gguf", "hf:"),
        ("/a/b", "hf:"),
        ("a/b/c", "hf:"),
        ("~/x.gguf", "unquoted"),
        ("x-00001-of-00002.gguf", "parts"),
    ],
)
def test_a_path_where_nothing_is_is_a_wrong_input(text: str, hint: str) -> None:
    with pytest.raises(WrongInput) as stop:
        parse(text)

    assert stop.value.exit_code is Exit.WRONG_INPUT
    assert stop.value.where is not None
    assert stop.value.where.file == text
    assert hint in (stop.value.hint or "")


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=40) | st.text("hf:/@.a-Q4_K~? ", max_size=30).map("hf:".__add__))
def test_any_text_is_a_model_or_is_refused(text: str) -> None:
    try:
        source = parse(text)
    except Stop as stop:
        assert stop.exit_code in (Exit.USAGE, Exit.WRONG_INPUT)  # noqa: PT017 - both ends are asserted
    else:
        assert source.typed
        assert ".." not in (source.revision or "")
        assert "../" not in (source.selector or "")
