"""The serializer that replaces botocore's in a client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ParamValidationError
from botocore.model import OperationModel
from botocore.validate import validate_parameters

from ..canonical_numbers import NumberForms, may_change
from ..happy_path import Request
from ..serialization import dumps
from .lane import TARGET

__all__ = ["PARAMETERS", "RequestSerializer", "request_dict_of"]

PARAMETERS = "parameters"
"""Where the serializer leaves the parameters in botocore's request dict, for the endpoint to route by."""


def request_dict_of(request: Request) -> dict[str, Any]:
    """What botocore's client passes to its endpoint for a request."""
    return {
        "url_path": "/",
        "query_string": "",
        "method": "POST",
        "headers": {TARGET: request.operation.target},
        "body": request.body,
        "context": {},
        PARAMETERS: request.parameters,
    }


class RequestSerializer:
    """Replaces botocore's serializer: makes the body, and keeps the parameters for routing.

    `validate`: whether parameters are checked before every request, as botocore checks them. `numbers`: changes numbers
    to the forms in which they are sent; None to send them unchanged.
    """

    def __init__(self, *, validate: bool = False, numbers: NumberForms | None = None) -> None:
        self._validate = validate
        self._numbers = numbers

    def serialize_to_request(self, parameters: Mapping[str, Any], operation_model: OperationModel) -> dict[str, Any]:
        parameters, body = self.written(parameters, operation_model)
        return {
            "url_path": "/",
            "query_string": "",
            "method": "POST",
            "headers": {TARGET: f"{operation_model.metadata['targetPrefix']}.{operation_model.name}"},
            "body": body,
            PARAMETERS: parameters,
        }

    def written(
        self, parameters: Mapping[str, Any], operation_model: OperationModel
    ) -> tuple[Mapping[str, Any], bytes]:
        """The parameters as they are sent, and their JSON. Only the form of numbers may differ from `parameters`.

        Raises botocore's `ParamValidationError`. Its cause is the error of `dumps`, if `dumps` refused the parameters
        first.
        """
        body = self._body(parameters, operation_model)
        if self._numbers is None or may_change(body) is None:
            return parameters, body
        changed = self._numbers.of(parameters, body)
        return (parameters, body) if changed is parameters else (changed, dumps(changed, operation_model))

    def _body(self, parameters: Mapping[str, Any], operation_model: OperationModel) -> bytes:
        if self._validate and operation_model.input_shape is not None:
            validate_parameters(parameters, operation_model.input_shape)
        try:
            return dumps(parameters, operation_model)
        except (KeyError, TypeError, ValueError, AttributeError) as refused:
            # botocore's validator says what is wrong with the parameters: a bare KeyError('Itm') helps nobody.
            if operation_model.input_shape is not None:
                try:
                    validate_parameters(parameters, operation_model.input_shape)
                except ParamValidationError as explained:
                    raise explained from refused
            raise
