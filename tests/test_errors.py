"""The tree of exceptions: pickling, mapping of the system's errors, groups."""

import copy
import errno
import inspect
import pickle

import anyio
import pytest

from ocipkg_async import errors
from ocipkg_async.errors import (
    BuildError,
    DiskFullError,
    ErrorDetail,
    IntegrityError,
    MultipleErrors,
    NotFoundError,
    OCIError,
    RateLimitedError,
    RegistryError,
    RegistryNotFoundError,
    StorageError,
    TimedOutError,
    single_error,
    storage_errors,
)

CLASSES = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, OCIError)
]


def build(kind: type[OCIError]) -> OCIError:
    if issubclass(kind, IntegrityError):
        return kind("text", expected="1", actual="2", hint="do it")
    if issubclass(kind, RegistryError):
        detail = ErrorDetail(code="DENIED", message="no")
        return kind(
            "text", status=400, method="GET", url="http://h/v2/", details=[detail], hint="do it"
        )
    if issubclass(kind, BuildError):
        return kind("text", status=101, output="error: no", hint="do it")
    if issubclass(kind, StorageError):
        return kind("text", errno=errno.EIO, hint="do it")
    if issubclass(kind, MultipleErrors):
        return kind("text", errors=[NotFoundError("a"), TimedOutError("b")], hint="do it")
    return kind("text", hint="do it")


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_survives_pickling_and_copying(kind: type[OCIError]) -> None:
    error = build(kind)
    error.add_note("seen on the way")
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301
        assert type(other) is kind
        assert str(other) == "text"
        assert other.hint == "do it"
        assert other.args == error.args
        assert other.__notes__ == ["seen on the way"]
        fields = {name: value for name, value in vars(error).items() if name != "errors"}
        assert {name: vars(other)[name] for name in fields} == fields


def test_pickled_group_keeps_its_members() -> None:
    group = pickle.loads(pickle.dumps(build(MultipleErrors)))  # noqa: S301
    assert [type(one) for one in group.errors] == [NotFoundError, TimedOutError]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_is_exported_and_described(kind: type[OCIError]) -> None:
    assert kind.__name__ in errors.__all__
    assert kind.__name__ in (errors.__doc__ or "")
    assert inspect.getdoc(kind)


def test_builtin_kinds_catch_ours() -> None:
    assert issubclass(errors.NotFoundError, LookupError)
    assert issubclass(errors.TimedOutError, TimeoutError)
    assert issubclass(errors.InvalidReferenceError, ValueError)
    assert issubclass(RegistryNotFoundError, RegistryError)
    assert issubclass(RegistryNotFoundError, NotFoundError)


def test_hint_is_optional() -> None:
    assert OCIError("text").hint is None
    limited = RateLimitedError("text", status=429, method="GET", url="http://h/")
    assert limited.retry_after_s is None
    assert build(IntegrityError).hint == "do it"
    assert IntegrityError("text", expected="1", actual="2").hint


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_storage_errors_full_disk(number: int) -> None:
    with pytest.raises(DiskFullError) as caught, storage_errors("write x"):
        raise OSError(number, "full")
    assert caught.value.errno == number
    assert str(caught.value) == "cannot write x: full"
    assert caught.value.hint
    assert isinstance(caught.value.__cause__, OSError)


def test_storage_errors_other() -> None:
    with pytest.raises(StorageError) as caught, storage_errors("read x"):
        raise PermissionError(errno.EACCES, "Permission denied", "x")
    assert type(caught.value) is StorageError
    assert caught.value.errno == errno.EACCES
    with (
        pytest.raises(StorageError, match="cannot read x: odd") as caught,
        storage_errors("read x"),
    ):
        raise OSError("odd")
    assert caught.value.errno is None


def test_storage_errors_lets_the_rest_through() -> None:
    with pytest.raises(TimedOutError), storage_errors("read x"):
        raise TimedOutError("late")  # it is an OSError too
    with pytest.raises(ValueError, match="bug"), storage_errors("read x"):
        raise ValueError("bug")


async def _fail(error: BaseException) -> None:
    raise error


async def test_single_error_of_one_task() -> None:
    cause = RuntimeError("why")
    error = NotFoundError("gone")
    error.__cause__ = cause

    async def run() -> None:
        with single_error():
            async with anyio.create_task_group() as outer, anyio.create_task_group() as inner:
                inner.start_soon(_fail, error)
                outer.start_soon(anyio.sleep, 60)

    with pytest.raises(NotFoundError) as caught:
        await run()
    assert caught.value is error
    assert caught.value.__cause__ is cause


def test_single_error_of_several() -> None:
    first, second = NotFoundError("a is gone"), TimedOutError("b is late", hint="wait")
    with pytest.raises(MultipleErrors) as caught, single_error():
        raise ExceptionGroup("x", [first, ExceptionGroup("y", [second])])
    assert caught.value.errors == (first, second)
    assert caught.value.hint == "wait"
    assert "a is gone" in str(caught.value)
    assert "b is late" in str(caught.value)


def test_single_error_of_one_class_is_the_first_and_names_the_others() -> None:
    first, others = NotFoundError("a"), [NotFoundError("a"), NotFoundError("b")]
    with pytest.raises(NotFoundError) as caught, single_error():
        raise ExceptionGroup("x", [first, *others])
    assert caught.value is first
    assert caught.value.__notes__ == ["and b"]


@pytest.mark.parametrize("other", [RuntimeError("bug"), KeyboardInterrupt()])
def test_single_error_hides_no_bug_and_no_interrupt(other: BaseException) -> None:
    group = BaseExceptionGroup("x", [NotFoundError("gone"), other])
    with pytest.raises(BaseExceptionGroup) as caught, single_error():
        raise group
    assert caught.value is group


@pytest.mark.parametrize("alone", [RuntimeError("bug"), KeyboardInterrupt()])
def test_single_error_unwraps_whatever_is_alone(alone: BaseException) -> None:
    with pytest.raises(type(alone)) as caught, single_error():
        raise BaseExceptionGroup("x", [alone])
    assert caught.value is alone


def test_single_error_without_error() -> None:
    with single_error():
        pass
    with pytest.raises(NotFoundError), single_error():
        raise NotFoundError("not in a group")
