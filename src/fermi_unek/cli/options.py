"""Options of a command, made from the fields of its model in `fermi_unek.config`."""

from __future__ import annotations

import types
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from ..config import Config, allowed_range
from ..config.base import hints


def parameters(model: type[Config]) -> list[click.Parameter]:
    """Arguments first, then -o and what must be given, then the rest in the order of the model."""
    made = [parameter(name, field) for name, field in model.model_fields.items()]
    return sorted(
        made,
        key=lambda item: (
            isinstance(item, click.Option),
            not (item.required or item.name == "output"),
            item.name == "overwrite",
        ),
    )


def parameter(name: str, field: FieldInfo) -> click.Parameter:
    """The argument or option of one field; values are left to the model to check."""
    told, kind = hints(field), _plain_type(field.annotation)
    repeated = get_origin(kind) in (tuple, dict)
    required, metavar = field.is_required(), told.get("metavar")
    if told.get("argument"):
        return click.Argument(
            [name],
            nargs=-1 if repeated else 1,
            required=required,
            metavar=metavar,
            type=_click_type(kind),
        )
    flag = f"--{name.replace('_', '-')}"
    if kind is bool:
        both = f"{flag}/--no-{flag[2:]}" if field.default else flag
        # one that was not given is None, so that the model's own default holds
        flags = (told.get("flag") or both).split()
        return click.Option([*flags, name], is_flag=True, default=None, help=_help(field))
    flags = (told.get("flag") or flag).split()
    return click.Option(
        [*flags, name],
        required=required,
        multiple=repeated,
        metavar=metavar,
        type=_click_type(kind),
        help=_help(field),
    )


def flag_of(name: str, model: type[Config]) -> str:
    """What a setting is called on the command line."""
    made = parameter(name, model.model_fields[name])
    return max(made.opts, key=len) if isinstance(made, click.Option) else name


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Of what click made of the options those that were given."""
    return {name: value for name, value in values.items() if value not in (None, ())}


def _help(field: FieldInfo) -> str:
    """Meaning, range and default, as far as there are any."""
    notes = []
    bounds = allowed_range(field)
    if bounds:
        notes.append(f"range: {bounds}")
    default = shown_default(field)
    if default:
        notes.append(f"default: {default}")
    text = field.description or ""
    return f"{text}  [{'; '.join(notes)}]" if notes else text


def shown_default(field: FieldInfo) -> str:
    """A default as it would be typed; blank for nothing, an empty list, and switches."""
    value = None if field.is_required() else field.get_default()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if value is None or isinstance(value, (bool, dict)):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _plain_type(annotation: Any) -> Any:
    """A type without None and what is annotated to it."""
    if get_origin(annotation) is Annotated:
        return _plain_type(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        members = [item for item in get_args(annotation) if item is not types.NoneType]
        return _plain_type(members[0]) if len(members) == 1 else str
    if get_origin(annotation) is tuple:
        first, *_, last = get_args(annotation)
        if last is not ... or get_origin(first) is Literal:
            return str  # with commas between
    return annotation


def _click_type(kind: Any) -> click.ParamType[Any]:
    """What click knows of a type: enough for help and completion."""
    if get_origin(kind) is Literal:
        return click.Choice(get_args(kind))
    if get_origin(kind) is tuple:
        return _click_type(_plain_type(get_args(kind)[0]))
    types_of: dict[Any, click.ParamType[Any]] = {
        int: click.INT,
        float: click.FLOAT,
        Path: click.Path(),
    }
    return types_of.get(kind, click.STRING)


class Command(click.Command):
    """A command whose repeatable options take several values after one flag.

    ``--yearly a b c`` is read as ``--yearly a --yearly b --yearly c``, up to the next option.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, after repeatable options were spelt out."""
        repeatable = {
            flag
            for item in self.params
            if isinstance(item, click.Option) and item.multiple
            for flag in item.opts
        }
        return super().parse_args(ctx, spell_out(args, repeatable, ctx))


def spell_out(
    args: Sequence[str], repeatable: set[str], ctx: click.Context | None = None
) -> list[str]:
    """Arguments with a repeatable flag put before each of the values that follow it.

    Raises
    ------
    click.UsageError
        Such a flag without a value.
    """
    result: list[str] = []
    current, taken = "", True
    for place, arg in enumerate([*args, "--"]):
        if not arg.startswith("-") or arg == "-":
            result += [current, arg] if current else [arg]
            taken = True
            continue
        if not taken:
            raise click.UsageError(f"Option {current!r} requires a value", ctx)
        if arg == "--":
            return result + list(args[place:])
        flag, equals, value = arg.partition("=")
        current = flag if flag in repeatable else ""
        taken = bool(equals) or not current
        if not current:
            result.append(arg)
        elif equals:
            result += [flag, value]
    return result
