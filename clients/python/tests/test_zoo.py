"""The file and the table of `make zoo`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "models"))

import zoo  # noqa: E402
from comparison import Result  # noqa: E402


@pytest.fixture(autouse=True)
def versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The libraries of models are not installed here."""
    monkeypatch.setattr(zoo, "_versions", lambda: {"torch": "1"})


def test_results_of_another_exporter_are_earlier_ones_until_they_are_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "zoo.jsonl"
    first = zoo.Progress(path, sys.executable)
    first.add(Result("timm", "a", "a"))
    first.add(Result("timm", "b", "b", outcome="refused"))
    assert first.earlier() == set()
    monkeypatch.setattr(zoo, "_digest", lambda: "of other sources")
    second = zoo.Progress(path, sys.executable)
    assert second.earlier() == {("timm", "a"), ("timm", "b")} and second.results() == first.results()
    second.add(Result("timm", "b", "b", outcome="exact"))
    # Opened again by the same exporter, it is resumed.
    third = zoo.Progress(path, sys.executable)
    assert third.earlier() == {("timm", "a")}
    assert third.results()["timm", "b"].outcome == "exact"


def test_the_table_marks_earlier_rows_and_counts_elements_of_others_alone() -> None:
    rows = [
        Result("timm", "a", "a", outcome="erfinv", erfinv=10_000, erfinv_apart=2),
        Result("timm", "b", "b", outcome="erfinv", erfinv=20_000, erfinv_apart=4),
        Result("transformers", "c", "c", outcome="unbuilt", detail="needs x"),
    ]
    text = zoo.table(rows, left=5, earlier={("timm", "b"), ("transformers", "c")})
    assert "2 of the 3 rows, marked with \\*," in text and "5 further models have not been tried" in text
    assert "| `a` | erfinv" in text and "| `b` \\* | erfinv" in text and "| `c` \\* | needs x |" in text
    assert "Of 10\u00a0000 elements of rows without a mark made through `erfinv`, 2 differ" in text
    assert "\\*" not in zoo.table(rows) and "Of 30\u00a0000 elements made through" in zoo.table(rows)
