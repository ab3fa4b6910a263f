"""What all settings have in common: refused when unknown or out of range, in one line."""

from __future__ import annotations

import difflib
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from ..errors import ConfigError

if TYPE_CHECKING:  # pydantic has no public name for it
    from pydantic._internal._model_construction import ModelMetaclass as _OfModels
else:
    _OfModels = type(BaseModel)


class Option:
    """How a field is given on the command line, where its name and type do not say it.

    Parameters
    ----------
    *flags : str
        As they are typed; ``--name`` (``--no-name`` of a switch that is on) when none is given.
    metavar : str, optional
        Stands for the value in help.
    argument : bool
        Whether it is given by its place and not after a flag.
    """

    def __init__(self, *flags: str, metavar: str | None = None, argument: bool = False) -> None:
        self.flags, self.metavar, self.argument = flags, metavar, argument


_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def allowed_range(field: FieldInfo) -> str:
    """Bounds of a number such as ``> 0, <= 180``; blank where there are none."""
    bounds = (
        f"{sign} {getattr(item, name):g}"
        for item in field.metadata
        for name, sign in _SIGNS.items()
        if getattr(item, name, None) is not None
    )
    return ", ".join(bounds)


class _Fields(_OfModels):
    """Metaclass that shows the settings, not the machinery of pydantic, to `dir` and `help`."""

    def __dir__(cls) -> list[str]:
        return [*getattr(cls, "model_fields", ()), "__doc__"]


class Config(BaseModel, metaclass=_Fields):
    """Base of all settings: immutable, and unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
    summary: ClassVar[str] = ""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Let the docstring list the fields, which are described once, where they are defined."""
        cls.summary = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
        cls.__doc__ = "\n".join([cls.summary, "", "Parameters", "----------", *_parameters(cls)])
        cls.__signature__ = inspect.Signature(
            [
                inspect.Parameter(
                    name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=inspect.Parameter.empty if field.is_required() else field.default,
                )
                for name, field in cls.model_fields.items()
            ]
        )


def _parameters(model: type[Config]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else f"default {field.default!r}"
        yield f"{name} : {', '.join(filter(None, [default, allowed_range(field)]))}"
        yield textwrap.indent(textwrap.fill(field.description or "", 80), "    ")


AnyConfig = TypeVar("AnyConfig", bound=Config)


def build(
    model: type[AnyConfig],
    values: Mapping[str, Any],
    where: str = "",
    called: Callable[[str], str] = str,
) -> AnyConfig:
    """Settings of kind `model` from a mapping.

    Parameters
    ----------
    model : type
        One of the classes of this room.
    values : mapping
        Keys and values; what is absent takes its default.
    where : str
        Where the values come from, for the message.
    called : callable
        What a key is called in the message.

    Raises
    ------
    ConfigError
        On the first unknown key or value that cannot be used, in one line.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        prefix = f"{where}: " if where else ""
        raise ConfigError(prefix + _one_line(error, model, called)) from None


def load_yaml(path: str | Path, model: type[AnyConfig]) -> AnyConfig:
    """Settings of kind `model` from a YAML file; an empty file is all defaults.

    Raises
    ------
    ConfigError
        When the file cannot be read, is not a mapping, or `build` refuses it.
    """
    import yaml

    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is no YAML ({' '.join(str(error).split())})") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path}: holds a {type(values).__name__}, expected lines of `key: value`"
        )
    return build(model, {str(key): value for key, value in values.items()}, str(path))


def _one_line(error: ValidationError, model: type[Config], called: Callable[[str], str]) -> str:
    """The first complaint of pydantic, with the nearest key where a key is unknown."""
    # a misspelt key explains more than the values beside it
    first = min(
        error.errors(include_url=False), key=lambda found: found["type"] != "extra_forbidden"
    )
    key = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}, {_nearest(key, list(model.model_fields))}"
    message = first["msg"].removeprefix("Value error, ")
    if not key:  # of several settings together
        return message
    if first["type"] == "missing":
        return f"{called(key)} is missing"
    given = first["input"]
    shown = given if isinstance(given, (str, int, float, bool, type(None))) else str(given)
    return f"{called(key)} is {shown!r}: {message[:1].lower()}{message[1:]}"


def _nearest(key: str, known: list[str]) -> str:
    """The allowed key most like `key`, or all of them when none is."""
    close = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"expected one of: {', '.join(known)}"
