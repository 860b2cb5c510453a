"""Attributes that are made when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

__all__ = ["lazy"]

T = TypeVar("T")


class lazy(Generic[T]):  # noqa: N801  # it is written like property
    """Make an attribute when it is first asked for, and keep it: ``functools.cached_property`` as of Python 3.12.

    In Python 3.11 that has one lock for all instances: what one query waits for, all queries would wait for. Here two
    threads that ask the same instance at the same time both make it.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Self | T:
        if instance is None:
            return self
        made = self._make(instance)
        instance.__dict__[self._name] = made  # found before this from now on
        return made
