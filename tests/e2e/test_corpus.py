"""The corpus of docs/vector-search.md: its script answers questions in both dialects, and its vectors are its own."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pynamodb_alternator.local import LocalCluster

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "docs" / "corpus"
NOTES = json.loads((CORPUS / "notes.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def embedding() -> Any:
    spec = importlib.util.spec_from_file_location("embed", CORPUS / "embed.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ask(url: str | None, *arguments: str) -> list[str]:
    """The names of the notes that the script finds."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("ALTERNATOR_")}
    env |= {"PYTHONPATH": str(ROOT)} | ({"ALTERNATOR_URL": url} if url else {})
    done = subprocess.run(
        [sys.executable, str(CORPUS / "search.py"), *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    distances = [float(line.split()[0]) for line in done.stdout.splitlines()]
    assert distances == sorted(distances)
    return [line.split()[1] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("dialect", ["aws", "alternator"])
def test_the_script_answers_questions(dialect: Any) -> None:
    with LocalCluster(nodes=2, vector_dialect=dialect) as local:
        assert ask(local.url) == ["delivery-8", "delivery-3", "delivery-2"]
        names = ask(local.url, "broken", "--topic", "returns")
        assert names[0] == "returns-6"
        assert {name.partition("-")[0] for name in names} == {"returns"}
        assert len(names) == 3


def test_the_vectors_are_what_the_script_makes_of_the_texts(embedding: Any) -> None:
    """Other machines may have other last digits."""
    made = embedding.vectors_of_words([note["text"] for note in NOTES])
    shipped = json.loads((CORPUS / "words.json").read_text(encoding="utf-8"))
    assert made.keys() == shipped.keys()
    for word, vector in made.items():
        assert shipped[word] == pytest.approx(vector, abs=0.01)
    for note in NOTES:
        assert note["embedding"] == embedding.embed(note["text"])
        assert math.hypot(*note["embedding"]) == pytest.approx(1, abs=0.001)


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("How do I wash a sweater?", "care-1"),
        ("I was charged twice", "payment-5"),
        ("The zip of my jacket is broken", "repair-2"),
        ("How do I stop the newsletter?", "account-6"),
    ],
)
def test_what_is_nearest_to_a_question(embedding: Any, question: str, name: str) -> None:
    vector = embedding.embed(question)
    assert min(NOTES, key=lambda note: math.dist(vector, note["embedding"]))["name"] == name


def test_a_question_of_unknown_words_has_a_vector_too(embedding: Any) -> None:
    assert embedding.embed("Xyzzy?") == [0.0] * embedding.DIMENSIONS
