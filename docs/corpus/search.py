"""Finds the notes of a shop's help desk that answer a question: the script of docs/vector-search.md.

``python docs/corpus/search.py "Where is my parcel?"`` searches on the cluster of ALTERNATOR_URL, or on an embedded one
that ends with the script, for which the extra `local` is needed. ``--topic delivery`` leaves out the other topics.
"""

from __future__ import annotations

import argparse
import json
import os
from contextlib import ExitStack
from pathlib import Path

from embed import DIMENSIONS, embed
from pynamodb.attributes import UnicodeAttribute

from pynamodb_alternator import Model, VectorAttribute, VectorIndex, close_all, configure
from pynamodb_alternator.local import LocalCluster


class Note(Model):
    class Meta:
        table_name = "help_desk_notes"
        billing_mode = "PAY_PER_REQUEST"

    name = UnicodeAttribute(hash_key=True)
    topic = UnicodeAttribute()
    text = UnicodeAttribute()
    embedding = VectorAttribute(dimensions=DIMENSIONS)
    embedding_index = VectorIndex(
        embedding, index_name="by-embedding", distance="cosine", search_schema={"topic": "INLINE_FILTER"}
    )


def fill() -> None:
    """Create the table with its index, and save the notes with the vectors that ship with them."""
    Note.create_table(wait=True)
    with Note.batch_write() as batch:
        for note in json.loads((Path(__file__).parent / "notes.json").read_text(encoding="utf-8")):
            batch.save(Note(**note))


def answer(question: str, topic: str | None) -> None:
    """Print the three notes that are nearest to the question."""
    condition = None if topic is None else Note.topic == topic
    results = Note.embedding_index.search(embed(question), k=3, filter=condition, attributes=["name", "text"])
    for note, _, distance in results.scored():
        print(f"{distance:.2f}  {note.name:<12} {note.text}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Find the notes of a help desk that answer a question.")
    parser.add_argument("question", nargs="?", default="Where is my parcel?")
    parser.add_argument("--topic", choices=["delivery", "returns", "payment", "account", "care", "repair"])
    arguments = parser.parse_args()
    with ExitStack() as stack:
        stack.callback(close_all)
        url = os.environ.get("ALTERNATOR_URL") or stack.enter_context(LocalCluster(nodes=3)).url
        configure(default=url)
        fill()
        answer(arguments.question, arguments.topic)


if __name__ == "__main__":
    main()
