"""Which files people mean."""

import pytest
from hub_models import listing

from llmops.domain.errors import WrongInput, WrongUsage
from llmops.hub.select import candidates, selected

MODELS = listing(
    {
        "README.md": 1,
        "config.json": 2,
        "mmproj-F16.gguf": 900,
        "imatrix_unsloth.gguf": 3,
        "Big-Model-Q4_K_M.gguf": 400,
        "Big-Model-UD-Q4_K_XL.gguf": 410,
        "Big-Model-IQ3_XXS.gguf": 300,
        "Big-Model-fp16.gguf": 1600,
        "Q8_0/Big-Model-Q8_0-00001-of-00002.gguf": 500,
        "Q8_0/Big-Model-Q8_0-00002-of-00002.gguf": 350,
        "Big-Model-Q6_K-00001-of-00002.gguf": 300,
    }
)


def names(selector: str | None) -> list[str]:
    return [one.name for one in selected(MODELS, selector=selector).files]


def test_models_are_grouped_by_quantization_without_projectors_and_broken_splits() -> None:
    assert list(candidates(MODELS)) == ["IQ3_XXS", "Q4_K_M", "UD-Q4_K_XL", "Q8_0", "F16"]


@pytest.mark.parametrize(
    ("typed", "file"),
    [
        ("Q4_K_M", "Big-Model-Q4_K_M.gguf"),
        ("q4_k_m", "Big-Model-Q4_K_M.gguf"),
        ("UD-Q4_K_XL", "Big-Model-UD-Q4_K_XL.gguf"),
        ("Q4_K_XL", "Big-Model-UD-Q4_K_XL.gguf"),
        ("F16", "Big-Model-fp16.gguf"),
        ("Big-Model-IQ3_XXS.gguf", "Big-Model-IQ3_XXS.gguf"),
        ("big-model-iq3_xxs", "Big-Model-IQ3_XXS.gguf"),
    ],
)
def test_a_quantization_or_file_is_found_as_people_type_it(typed: str, file: str) -> None:
    assert names(typed) == [file]


@pytest.mark.parametrize(
    "typed", ["Q8_0", "Q8_0/Big-Model-Q8_0-00002-of-00002.gguf", "Big-Model-Q8_0-00001-of-00002.gguf"]
)
def test_a_split_model_is_all_its_parts_in_order(typed: str) -> None:
    assert names(typed) == ["Q8_0/Big-Model-Q8_0-00001-of-00002.gguf", "Q8_0/Big-Model-Q8_0-00002-of-00002.gguf"]


def test_no_choice_among_several_lists_them() -> None:
    with pytest.raises(WrongUsage) as stop:
        names(None)
    assert all(label in (stop.value.hint or "") for label in ("Q4_K_M", "UD-Q4_K_XL", "F16"))


def test_a_quantization_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(WrongUsage, match="has no `Q2_K`") as stop:
        names("Q2_K")
    assert "Q4_K_M (400 B)" in (stop.value.hint or "")


def test_a_split_that_misses_a_part_is_named_with_the_part() -> None:
    with pytest.raises(WrongInput, match=r"Q6_K-00002-of-00002.gguf` is not there"):
        names("Big-Model-Q6_K-00001-of-00002.gguf")


def test_a_projector_is_not_a_model_by_itself() -> None:
    with pytest.raises(WrongUsage, match="not a model that can be served"):
        names("mmproj-F16.gguf")


def test_one_label_for_two_models_asks_for_the_file() -> None:
    two = listing({"a-Q4_K_M.gguf": 1, "b-Q4_K_M.gguf": 2})
    with pytest.raises(WrongUsage, match="several models") as stop:
        selected(two, selector="Q4_K_M")
    assert "`a-Q4_K_M.gguf`, `b-Q4_K_M.gguf`" in (stop.value.hint or "")
    assert [one.name for one in selected(two, selector="b-Q4_K_M.gguf").files] == ["b-Q4_K_M.gguf"]


def test_a_single_model_needs_no_choice_whatever_its_name() -> None:
    assert [one.name for one in selected(listing({"weights.gguf": 5, "x.md": 1}), selector=None).files] == [
        "weights.gguf"
    ]


def test_vllm_gets_configuration_weights_tokenizer_and_template_and_never_a_pickle() -> None:
    ref = listing(
        dict.fromkeys(
            (
                "tokenizer.json", "config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                "model.safetensors.index.json", "pytorch_model.bin", "model.pt", "modeling_x.py", "chat_template.jinja",
                "original/consolidated.00.pth", "consolidated.safetensors", "generation_config.json", "README.md",
                "metal/model.safetensors",
            ),
            9,
        )
    )  # fmt: skip
    assert [one.name for one in selected(ref, selector=None).files] == [
        "config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "generation_config.json",
        "tokenizer.json", "chat_template.jinja", "model.safetensors.index.json",
    ]  # fmt: skip


def test_pickles_alone_are_refused_with_the_reason() -> None:
    with pytest.raises(WrongInput) as stop:
        selected(listing({"config.json": 1, "pytorch_model.bin": 9}), selector=None)
    assert "run code" in (stop.value.hint or "")
