"""The ledger on a screen: columns for people."""

from explaining import text

LINE = ("--model", "llama-3.3-70b-instruct", "--", "vllm", "serve", "o/m", "--max-model-len", "8192")


def head(*gpus: str, ranks: int) -> str:
    """The line above the figures."""
    cards = [word for gpu in gpus for word in ("--gpu", gpu)]
    _, said, _ = text("explain", *cards, *LINE, "-tp", str(ranks))
    lines = said.splitlines()
    return lines[next(at for at, line in enumerate(lines) if line.startswith("weights")) - 1]


def test_cards_that_hold_the_same_share_a_column() -> None:
    assert "0 to 7, each: H200-SXM-141GB" in head("H200:8", ranks=8)
    assert head("H200:8", ranks=8).count("H200-SXM-141GB") == 1


def test_cards_that_differ_have_one_each_and_a_single_card_no_number() -> None:
    mixed = head("H200:2", "H100:2", ranks=4)
    assert "0 to 1, each: H200-SXM-141GB" in mixed
    assert "2 to 3, each: H100-SXM5-80GB" in mixed
    assert head("B200", ranks=1).split() == ["B200-SXM-180GB", "RAM"]
