"""What all settings have in common: refused when unknown or out of range, in one line."""

from __future__ import annotations

import difflib
import inspect
import reprlib
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)  # fmt: skip
from pydantic.fields import FieldInfo

from ..errors import ConfigError

if TYPE_CHECKING:  # pydantic has no public name for it
    from pydantic._internal._model_construction import ModelMetaclass as _OfModels
else:
    _OfModels = type(BaseModel)


def setting(
    default: Any,
    description: str,
    *,
    flag: str | None = None,
    metavar: str | None = None,
    unit: str | None = None,
    **bounds: Any,
) -> Any:
    """A field of a model, said once for Python, YAML, the command line and its pages.

    Parameters
    ----------
    default : object
        ``...`` for what must be given.
    description : str
        One or two sentences.
    flag : str, optional
        ``-n --name``, or ``--on/--off`` of a switch; unless given ``--name`` or, of a switch that
        is on, ``--name/--no-name``.
    metavar : str, optional
        Stands for the value in help.
    unit : str, optional
        Of a bare number; a Quantity is brought to it.
    **bounds
        As `pydantic.Field` has them.
    """
    told: dict[str, Any] = {
        "flag": flag,
        "metavar": metavar or (unit and unit.upper()),
        "unit": unit,
    }
    return Field(default, description=description, json_schema_extra=told, **bounds)


def argument(description: str, metavar: str | None = None, default: Any = ...) -> Any:
    """A field that the command line takes by its place; of several, at least one is needed."""
    least: dict[str, Any] = (
        {"min_length": 1} if default is ... and str(metavar).endswith("...") else {}
    )
    told: dict[str, Any] = {"argument": True, "metavar": metavar}
    return Field(default, description=description, json_schema_extra=told, **least)


def output(description: str, metavar: str, default: Any = ...) -> Any:
    """The field that ``-o`` fills."""
    told: dict[str, Any] = {"flag": "-o --output", "metavar": metavar}
    return Field(default, description=description, json_schema_extra=told)


_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def hints(field: FieldInfo) -> dict[str, Any]:
    """What `setting` was told beside the meaning: flag, metavar, unit, argument."""
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def allowed_range(field: FieldInfo) -> str:
    """Bounds of a number such as ``> 0, <= 180``; blank where there are none."""
    bounds = (
        f"{sign} {getattr(item, name):g}"
        for item in field.metadata
        for name, sign in _SIGNS.items()
        if getattr(item, name, None) is not None
    )
    return ", ".join(bounds)


def _parameters(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else f"default {field.default!r}"
        kinds = (field.annotation, *get_args(field.annotation))
        choices = next((get_args(kind) for kind in kinds if get_origin(kind) is Literal), ())
        chosen = f"one of {', '.join(choices)}" if choices else ""
        yield f"{name} : {', '.join(filter(None, [chosen, default, allowed_range(field)]))}"
        yield textwrap.indent(textwrap.fill(field.description or "", 80), "    ")


class _Fields(_OfModels):
    """Metaclass that shows the settings, not the machinery of pydantic, to `dir` and `help`."""

    def __dir__(cls) -> list[str]:
        return [*getattr(cls, "model_fields", ()), "__doc__"]


class Config(BaseModel, metaclass=_Fields):
    """Base of all settings: immutable, and unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
    summary: ClassVar[str] = ""

    @field_validator("*", mode="before")
    @classmethod
    def _plain(cls, value: Any, info: ValidationInfo) -> Any:
        """A Quantity as a number of the field's unit, NAME=VALUE texts as a mapping."""
        field = cls.model_fields[str(info.field_name)]
        unit = hints(field).get("unit")
        if unit and hasattr(value, "to_value"):
            return float(value.to_value(unit))
        if isinstance(field.default, dict) and isinstance(value, (list, tuple)):
            pairs = [text.partition("=") for text in value]
            for name, equals, given in pairs:
                if not (name and equals and given):
                    raise ValueError(f"{name + equals + given!r} is not NAME=VALUE, as expected")
            return {name: given for name, _, given in pairs}
        return value

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


class Writing(Config):
    """A command that writes."""

    overwrite: bool = setting(False, "Replace outputs that exist.")


class IntoFolder(Writing):
    """A command that writes files into a folder."""

    output: Path = output("Folder to write in.", "DIR")


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

    from .plain_yaml import load_plain

    path = Path(path)
    try:
        values = load_plain(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
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
    shown = given if isinstance(given, (str, int, float, bool, type(None))) else reprlib.repr(given)
    return f"{called(key)} is {shown!r}: {message[:1].lower()}{message[1:]}"


def _nearest(key: str, known: list[str]) -> str:
    """The allowed key most like `key`, or all of them when none is."""
    close = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"expected one of: {', '.join(known)}"
