"""Vectors of the corpus: texts become vectors of 16 numbers, without a model to download and without a network.

``python docs/corpus/embed.py`` computes the vectors of the words from the texts in notes.json, and writes them and the
vectors of the texts into this folder. The method is latent semantic analysis: words that are in the same texts get
similar vectors. It is small enough to read, and knows nothing of what is not in these texts. An application uses the
model of its choice instead; all that matters is that texts and questions go through the same one.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
DIMENSIONS = 16
ROUNDS = 100
DIGITS = 4
FREQUENT = frozenset(
    re.findall(
        r"[a-z]+",
        """
        a about after again all an and another any are as at be before but by can could did do does every few
        first for from get gets give go goes had has have he her how i if in into is it its just let many may
        me more my near no not of off on once one or other our out over own she should so some such than that
        the their them then there they this to too two under up us use want was way we were what when where
        which who why will with within without would you your
        """,
    )
)


def words_of(text: str) -> list[str]:
    """The words of a text without their endings, except those that every text has."""
    words = re.findall(r"[a-z]+", text.lower())
    return [_stem(word) for word in words if word not in FREQUENT and len(word) > 1]


def _stem(word: str) -> str:
    for ending in ("ing", "ies", "ied", "ed", "es", "s", "y", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def embed(text: str) -> list[float]:
    """The vector of a text or a question, of length 1. Words that the corpus does not have are left out."""
    return _unit(_sum_of(_vectors_of_words(), words_of(text)))


@cache
def _vectors_of_words() -> dict[str, list[float]]:
    vectors: dict[str, list[float]] = json.loads((FOLDER / "words.json").read_text(encoding="utf-8"))
    return vectors


def _sum_of(vectors: dict[str, list[float]], words: Sequence[str]) -> list[float]:
    known = [vectors[word] for word in words if word in vectors]
    return [math.fsum(numbers) for numbers in zip(*known, strict=True)] if known else [0.0] * DIMENSIONS


def _unit(numbers: Sequence[float]) -> list[float]:
    length = math.hypot(*numbers) or 1.0
    return [round(number / length, DIGITS) for number in numbers]


# ---- how the vectors of words are made ---------------------------------------------------------------------------


def vectors_of_words(texts: Sequence[str]) -> dict[str, list[float]]:
    """A vector for each word of these texts, with a larger weight for a rare word."""
    counts = [Counter(words_of(text)) for text in texts]
    in_texts = Counter(word for count in counts for word in count)
    weights = {word: math.log(len(texts) / number) for word, number in sorted(in_texts.items())}
    rows = [{word: count[word] * weights[word] for word in count} for count in counts]
    rows = [{word: number / math.hypot(*row.values()) for word, number in row.items()} for row in rows]
    likeness = [[math.fsum(row[word] * other.get(word, 0.0) for word in row) for other in rows] for row in rows]
    vectors: dict[str, list[float]] = {word: [] for word in weights}
    for direction in _main_directions(likeness):
        of_words: dict[str, float] = dict.fromkeys(weights, 0.0)
        for row, share in zip(rows, direction, strict=True):
            for word, number in row.items():
                of_words[word] += share * number
        length = math.hypot(*of_words.values())
        for word, number in of_words.items():
            vectors[word].append(round(number / length * weights[word], DIGITS))
    return vectors


def _main_directions(likeness: list[list[float]]) -> list[list[float]]:
    """The eigenvectors of a symmetric matrix that have the largest eigenvalues, by repeated multiplication."""
    size = len(likeness)
    directions = [[math.cos(row * (number + 1)) for row in range(size)] for number in range(DIMENSIONS)]
    for _ in range(ROUNDS):
        directions = [
            [math.fsum(a * b for a, b in zip(row, direction, strict=True)) for row in likeness]
            for direction in directions
        ]
        directions = _at_right_angles(directions)
    return directions


def _at_right_angles(directions: list[list[float]]) -> list[list[float]]:
    result: list[list[float]] = []
    for direction in directions:
        for other in result:
            share = math.fsum(a * b for a, b in zip(direction, other, strict=True))
            direction = [a - share * b for a, b in zip(direction, other, strict=True)]
        length = math.hypot(*direction)
        result.append([number / length for number in direction])
    return result


def main() -> None:
    path = FOLDER / "notes.json"
    notes: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    vectors = vectors_of_words([note["text"] for note in notes])
    for note in notes:
        note["embedding"] = _unit(_sum_of(vectors, words_of(note["text"])))
    _write(FOLDER / "words.json", "{", [f"{json.dumps(word)}: {numbers}" for word, numbers in vectors.items()], "}")
    _write(path, "[", [json.dumps(note) for note in notes], "]")


def _write(path: Path, begin: str, lines: list[str], end: str) -> None:
    path.write_text("\n".join([begin, ",\n".join(lines), end, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
