"""Decides which types the clients of a cluster have for type checkers: those of the user's stubs, else our own.

Stubs of boto3 and aiobotocore are optional, and only they know the parameters and answers of each operation. Python's
types have no "if this module is installed". But a type checker accepts a class whose base it could not import wherever
another class is expected. It does not accept a class of installed stubs where `Missing` is expected. So the first
overload that matches tells which stubs are installed.

A decorated function must not have a parameter of the type Any, or of a type from stubs: with such a parameter, mypy
cannot choose an overload.

At run time the decorators do nothing. docs/typing.md describes this for users.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["AsyncClient", "Client", "Resource", "with_async_client_type", "with_client_type", "with_resource_type"]

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import ParamSpec, TypeAlias, final, overload

    # These are from boto3-stubs[dynamodb], types-boto3[dynamodb], and types-aiobotocore[dynamodb].
    import mypy_boto3_dynamodb as boto3_stubs
    import types_aiobotocore_dynamodb as aiobotocore_stubs
    import types_boto3_dynamodb as types_boto3

    from . import typing as ours

    P = ParamSpec("P")

    @final
    class Missing:
        """Only a class with a missing base is accepted in its place."""

    class _Boto3Client(boto3_stubs.DynamoDBClient): ...

    class _OtherClient(types_boto3.DynamoDBClient): ...

    class _Boto3Resource(boto3_stubs.DynamoDBServiceResource): ...

    class _OtherResource(types_boto3.DynamoDBServiceResource): ...

    class AsyncClient(aiobotocore_stubs.DynamoDBClient): ...

    # The declared return types of the decorated functions. The decorators make the real types of them.
    Client: TypeAlias = tuple[_Boto3Client, _OtherClient]
    Resource: TypeAlias = tuple[_Boto3Resource, _OtherResource]

    @overload
    def with_client_type(function: Callable[P, tuple[Missing, Missing]]) -> Callable[P, ours.DynamoDBClient]: ...
    @overload
    def with_client_type(
        function: Callable[P, tuple[Missing, _OtherClient]],
    ) -> Callable[P, types_boto3.DynamoDBClient]: ...
    @overload
    def with_client_type(
        function: Callable[P, tuple[_Boto3Client, object]],
    ) -> Callable[P, boto3_stubs.DynamoDBClient]: ...
    def with_client_type(function: Callable[P, Any]) -> Callable[P, Any]:
        return function

    @overload
    def with_resource_type(function: Callable[P, tuple[Missing, Missing]]) -> Callable[P, ours.DynamoDBResource]: ...
    @overload
    def with_resource_type(
        function: Callable[P, tuple[Missing, _OtherResource]],
    ) -> Callable[P, types_boto3.DynamoDBServiceResource]: ...
    @overload
    def with_resource_type(
        function: Callable[P, tuple[_Boto3Resource, object]],
    ) -> Callable[P, boto3_stubs.DynamoDBServiceResource]: ...
    def with_resource_type(function: Callable[P, Any]) -> Callable[P, Any]:
        return function

    @overload
    def with_async_client_type(
        function: Callable[P, Coroutine[Any, Any, Missing]],
    ) -> Callable[P, Coroutine[Any, Any, ours.AsyncDynamoDBClient]]: ...
    @overload
    def with_async_client_type(
        function: Callable[P, Coroutine[Any, Any, AsyncClient]],
    ) -> Callable[P, Coroutine[Any, Any, aiobotocore_stubs.DynamoDBClient]]: ...
    def with_async_client_type(function: Callable[P, Any]) -> Callable[P, Any]:
        return function

else:
    AsyncClient = Client = Resource = Any

    def with_client_type(function: Any) -> Any:
        return function

    with_async_client_type = with_resource_type = with_client_type
