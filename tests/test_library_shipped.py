"""The files that come with the program."""

import json

import pytest

from llmops.domain.errors import WrongInput
from llmops.formats.profile import parse_profile, with_model
from llmops.library import shipped

PROFILES = shipped.names("profiles")


def test_each_kind_is_found_in_the_checkout() -> None:
    assert {"chat.yaml", "cpu-small.yaml"} <= set(PROFILES)
    assert {"engines.json", "gpus.json", "models.json"} <= set(shipped.names("catalogue"))
    assert json.loads(shipped.text("catalogue", "gpus.json"))


def test_a_tree_is_every_file_with_its_text() -> None:
    tree = shipped.tree("profiles")

    assert tuple(tree) == PROFILES
    assert all(shipped.text("profiles", name) == text for name, text in tree.items())


def test_a_name_cannot_lead_out_of_the_shipped_files() -> None:
    for name in ("../pyproject.toml", "/etc/passwd", "missing.yaml", ""):
        with pytest.raises(WrongInput, match="among the shipped profiles"):
            shipped.text("profiles", name)


def test_a_kind_that_does_not_exist_is_empty() -> None:
    assert shipped.names("nonsense") == ()


@pytest.mark.parametrize("name", PROFILES)
def test_every_shipped_profile_parses_and_says_in_its_first_line_what_it_is_for(name: str) -> None:
    text = shipped.text("profiles", name)

    profile = parse_profile(text, file=name)

    assert text.startswith("# ")
    assert len(text.partition("\n")[0]) > 20
    if len(profile.deployments) == 1:
        changed = parse_profile(with_model(text, "./other model.gguf", file=name), file=name)
        assert [one.model for one in changed.deployments.values()] == ["./other model.gguf"]
