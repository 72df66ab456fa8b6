"""Models with vectors, as an application has them. Checked by `make types`, never run."""

from __future__ import annotations

from array import array
from typing import assert_type

from pynamodb.attributes import UnicodeAttribute

from pynamodb_alternator import AsyncCluster, Model, VectorAttribute, VectorIndex


class NearestDocuments(VectorIndex["Document"]):
    class Meta:
        distance = "euclidean"


class Document(Model):
    class Meta:
        table_name = "documents"

    name = UnicodeAttribute(hash_key=True)
    language = UnicodeAttribute()
    embedding = VectorAttribute(dimensions=384, null=True)
    embedding_index = VectorIndex(embedding, distance="cosine", search_schema={"language": "INLINE_FILTER"})
    nearest = NearestDocuments(embedding)


def store(name: str, vector: tuple[float, ...]) -> None:
    document = Document(name, embedding=vector)
    assert_type(document.embedding, list[float])
    document.embedding = [1.0, 2.0]
    document.embedding = array("f", vector)
    document.save(condition=Document.embedding.does_not_exist() | (Document.embedding == vector))
    document.update(actions=[Document.embedding.set([1.0, 2.0]), Document.embedding.remove()])


def look_for(vector: list[float]) -> Document:
    results = Document.embedding_index.search(vector, k=3, filter=Document.language == "en", attributes=["name"])
    for item in results:
        assert_type(item, Document)
    for document, score, distance in results.scored():
        assert_type(document, Document)
        assert_type(score, float)
        assert_type(distance, float)
    Document.nearest.create(wait=True)
    assert_type(Document.nearest.status(), str | None)
    Document.nearest.search(range(384), k=1, attributes=Document.name)
    return Document.nearest.search(array("f", vector), k=1)[0]


async def look(cluster: AsyncCluster, vector: tuple[float, ...]) -> list[str]:
    results = await Document.embedding_index.on(cluster).search(vector, k=3)
    for item in results:
        assert_type(item, Document)
    index = Document.aio.vector_index(Document.embedding_index)
    for item in await index.search(vector, k=3, filter=Document.language == "en"):
        assert_type(item, Document)
    assert_type(await index.status(), str | None)
    return [item.name for item in results[:2]]
