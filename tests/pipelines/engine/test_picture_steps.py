from collections.abc import Iterator

from pipelines.engine.picture_steps import in_order

ITEMS = [(name, None) for name in "abcde"]


def test_answers_wait_only_for_those_before_them() -> None:
    seen: list[str] = []

    def answers() -> Iterator[tuple[str, int]]:
        for name in "bacde":
            yield name, ord(name)
            seen.append(name)

    found = in_order(ITEMS, answers())
    assert next(found) == ("a", 97) and seen == ["b"]
    assert [name for name, _ in found] == list("bcde")


def test_a_missing_answer_holds_back_the_others_until_the_end_alone() -> None:
    assert list(in_order(ITEMS, [("e", 1), ("b", 2), ("c", 3)])) == [("b", 2), ("c", 3), ("e", 1)]
    assert list(in_order([], [])) == []
