"""Turning the description of a call into a method: one that blocks, or one that is awaited."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar

from nereid.steps import Steps

P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=Callable[..., Any])


class Blocking(Protocol):
    """What carries steps out while its caller waits."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: Any) -> None: ...

    def run(self, steps: Steps[T]) -> T: ...


class Awaiting(Protocol):
    """What carries steps out while others go on."""

    async def run(self, steps: Steps[T]) -> T: ...


def blocking(describe: Callable[P, Steps[T]]) -> Callable[Concatenate[Blocking, P], T]:
    """A method of a blocking client."""

    @functools.wraps(describe)
    def method(self: Blocking, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(describe(*args, **kwargs))

    return _documented(method, describe)


def awaited(
    describe: Callable[P, Steps[T]],
) -> Callable[Concatenate[Awaiting, P], Coroutine[Any, Any, T]]:
    """A method of an async client."""

    @functools.wraps(describe)
    async def method(self: Awaiting, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.run(describe(*args, **kwargs))

    return _documented(method, describe)


class AlsoOfTheClass(Generic[P, T]):
    """A method that may be called on the class itself: it takes a client of the environment."""

    def __init__(self, describe: Callable[P, Steps[T]]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    def __get__(self, client: Blocking | None, owner: Callable[[], Blocking]) -> Callable[P, T]:
        @functools.wraps(self._describe)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            if client is not None:
                return client.run(self._describe(*args, **kwargs))
            with owner() as own:
                return own.run(self._describe(*args, **kwargs))

        return call


def _documented(method: M, describe: Callable[..., Any]) -> M:
    """With a signature that `help()` and editors read right: `self`, and the result itself."""
    own = inspect.signature(describe)
    first = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    signed: Any = method
    signed.__signature__ = own.replace(parameters=[first, *own.parameters.values()])
    return method
