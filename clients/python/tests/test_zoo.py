"""The file and the table of `make zoo`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "models"))

import zoo  # noqa: E402
from comparison import Result  # noqa: E402
from isolation import Stage, isolated  # noqa: E402


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


def test_new_models_and_wrong_results_come_before_earlier_results_and_the_oldest_of_these_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "zoo.jsonl"
    models = [("timm", key, None) for key in "abcdef"]
    first = zoo.Progress(path, sys.executable)
    for key in "caeb":
        first.add(Result("timm", key, key))
    first.add(Result("timm", "c", "c"))
    first.add(Result("timm", "d", "d", outcome="different"))
    assert [key for _, key, _ in first.left(models)] == ["d", "f"]
    monkeypatch.setattr(zoo, "_digest", lambda: "of other sources")
    second = zoo.Progress(path, sys.executable)
    assert [key for _, key, _ in second.left(models)] == ["d", "f", "a", "e", "b", "c"]
    second.add(Result("timm", "e", "e"))
    assert [key for _, key, _ in second.left(models)] == ["d", "f", "a", "b", "c"]


def test_a_model_that_takes_longer_than_the_patience_has_no_result_yet() -> None:
    def work(stage: Stage) -> Result:
        # The stages together may take as long as the patience lasts, not each of them.
        for name in ("finding", "exporting", "building", "comparing"):
            stage(name)
            time.sleep(0.4)
        return Result("timm", "a", "a", detail="done")

    otherwise = Result("timm", "a", "a")
    assert isolated(work, otherwise, patience=0.8) is None and otherwise == Result("timm", "a", "a")
    assert isolated(work, otherwise, patience=60) == isolated(work, otherwise) == Result("timm", "a", "a", detail="done")


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
