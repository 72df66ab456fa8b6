"""Do the requests of each model go to a cluster, with settings that its `Meta` takes?"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from ..facts import ModelFacts, Project
from ..values import ModelFinding, Rule

__all__ = ["RULES", "check"]

_HOST = Rule("amazon-host", "Meta.host is where the requests of a model go: on a cluster it is taken as a seed's URL.")
_HOST_REMEDY = (
    "Remove host from Meta, and configure the cluster: configure(default='http://10.0.0.1:8000'), or ALTERNATOR_URL."
)
_PLAIN = Rule(
    "plain-model",
    "Requests of PynamoDB's own models go to Amazon. Those of pynamodb_alternator's models go to the cluster.",
)
_PLAIN_REMEDY = (
    "Derive the model from pynamodb_alternator.Model. Or change no model, and call "
    "install(default=AlternatorConnection) at the start."
)
_META = Rule("meta-setting", "A model whose Meta has a wrong setting sends no request: its first one raises an error.")
_NO_TABLE = Rule(
    "no-table-name", "A model whose Meta.table_name is not a text has no table: it can only be the base of others."
)
RULES = (_HOST, _PLAIN, _META, _NO_TABLE)
_OF_AMAZON = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


def check(project: Project) -> Iterator[ModelFinding]:
    for model in project.models:
        if model.table_name is None:
            if not model.is_base:
                remedy = "Set Meta.table_name, or remove the class if no model will derive from it."
                yield _NO_TABLE.of_model("warning", model, "no other model derives from it", remedy)
            continue
        if _is_of_amazon(model):
            yield _HOST.of_model("error", model, "Meta.host is Amazon's", _HOST_REMEDY)
        if model.refused:
            yield _META.of_model("error", model, model.refused, "Correct it as this text says.")
        if not model.is_on_cluster:
            yield _PLAIN.of_model("note", model, f"table {model.table_name!r}", _PLAIN_REMEDY)


def _is_of_amazon(model: ModelFacts) -> bool:
    text = model.host or ""
    try:
        host = urlsplit(text if "//" in text else f"//{text}").hostname or ""
    except ValueError:
        return False
    return host.lower().rstrip(".").endswith(_OF_AMAZON)
