"""A factory's signature as its options schema."""

from __future__ import annotations

import functools
import inspect
import json
import operator
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import PydanticCustomError, core_schema

from simengine.config.messages import Place, problems
from simengine.errors import PluginError
from simengine.types import CLASS_NAMES, PerClass

_CONFIG = ConfigDict(extra="forbid", strict=True, validate_default=True, allow_inf_nan=False, frozen=True,
                     arbitrary_types_allowed=False, protected_namespaces=())  # fmt: skip


class _PerClassSchema:
    """Accept ``{sell: , hold: , buy: }`` or a list in that order as `PerClass`."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:  # noqa: ANN401
        return core_schema.no_info_plain_validator_function(
            cls._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value._asdict()),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        number = {"type": "number"}
        mapping = {
            "type": "object",
            "properties": dict.fromkeys(CLASS_NAMES, number),
            "required": list(CLASS_NAMES),
            "additionalProperties": False,
        }
        return {"anyOf": [mapping, {"type": "array", "items": number, "minItems": 3, "maxItems": 3}]}

    @staticmethod
    def _validate(value: Any) -> PerClass:  # noqa: ANN401
        given = dict(zip(CLASS_NAMES, value, strict=True)) if _is_triple(value) else value
        if not isinstance(given, Mapping) or set(given) != set(CLASS_NAMES) or not _numbers(given.values()):
            raise PydanticCustomError("per_class", "not one number per class")
        return PerClass(**{name: float(given[name]) for name in CLASS_NAMES})


def _is_triple(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) == len(CLASS_NAMES)


def _numbers(values: typing.Iterable[object]) -> bool:
    return all(
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
        for value in values
    )


def options_model(factory: Callable[..., Any], name: str) -> type[BaseModel]:
    """Return the pydantic model of a factory's options.

    Options whose name a pydantic model reserves are fields under another name with an alias, so use
    `option_values` to read an instance.

    Parameters
    ----------
    factory : callable
        A class or function whose parameters are annotated.
    name : str
        What errors and the schema call it, for example ``"calibrator 'sharpen'"``.

    Raises
    ------
    PluginError
        For ``*args``, ``**kwargs``, a positional-only parameter, an option called ``type`` or beginning
        with an underscore, a missing or unusable annotation, or a default outside the annotation.
    """
    fields: dict[str, Any] = {}
    for parameter, annotation in _parameters(factory, name):
        option = parameter.name
        required = parameter.default is parameter.empty
        default = ... if required else parameter.default
        if not required:
            _check_default(annotation, default, f"{name}: option {option!r}")
        reserved = hasattr(BaseModel, option)
        fields[f"{option}__" if reserved else option] = (
            (Annotated[annotation, Field(alias=option)], default) if reserved else (annotation, default)
        )
    try:
        return create_model(name, __config__=_CONFIG, __doc__=inspect.getdoc(factory) or name, **fields)
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError) as error:
        raise PluginError(f"{name}: its options are not usable: {_first_line(error)}") from None


def option_values(options: BaseModel) -> dict[str, Any]:
    """Return the options by the factory's parameter names, as Python values."""
    return {field.alias or name: getattr(options, name) for name, field in type(options).model_fields.items()}


def option_names(model: type[BaseModel]) -> list[str]:
    """Return the names of all options, in the order of the signature."""
    return [field.alias or name for name, field in model.model_fields.items()]


def validate_options(model: type[BaseModel], options: Mapping[str, Any]) -> BaseModel:
    """Return validated options.

    The options pass through JSON, so that a YAML list is a tuple and nothing else is coerced.

    Raises
    ------
    pydantic.ValidationError
        When an option is unknown, missing or not of its type; see `option_problems`.
    """
    return model.model_validate_json(json.dumps(options))


def option_problems(error: ValidationError, model: type[BaseModel], options: Mapping[str, Any]) -> list[Any]:
    """Return the `simengine.config.messages.Problem` list of an error of `validate_options`."""

    def known(place: Place) -> list[str]:
        return option_names(model) if not place else []

    return problems(error, options, known, what="option")


def _parameters(factory: Callable[..., Any], name: str) -> list[tuple[inspect.Parameter, Any]]:
    function = _constructor(factory)
    try:
        parameters = list(inspect.signature(factory).parameters.values()) if function else []
    except (TypeError, ValueError):
        raise PluginError(f"{name}: its factory {factory!r} has no readable signature") from None
    for parameter in parameters:
        _check_parameter(parameter, name)
    hints = _hints(function, parameters, name)
    return [(parameter, _prepare(hints[parameter.name])) for parameter in parameters]


def _constructor(factory: Callable[..., Any]) -> Callable[..., Any] | None:
    """Return the function whose parameters the options are; None for a class without a constructor."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    if not isinstance(factory, type):
        function: Callable[..., Any] = inspect.unwrap(factory)
        return function
    for method, base in (("__init__", object.__init__), ("__new__", object.__new__)):
        found = getattr(factory, method)
        if found is not base:
            constructor: Callable[..., Any] = inspect.unwrap(found)
            return constructor
    return None


def _check_parameter(parameter: inspect.Parameter, name: str) -> None:
    option = parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
        raise PluginError(f"{name}: {stars}{option} would swallow misspelled options; name every option")
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise PluginError(f"{name}: option {option!r} is positional-only; options are given by name")
    if option == "type":
        raise PluginError(f"{name}: an option cannot be called 'type', the key that selects the component")
    if option.startswith("_"):
        raise PluginError(f"{name}: option {option!r} begins with an underscore; rename it")
    if parameter.annotation is parameter.empty:
        raise PluginError(f"{name}: option {option!r} has no annotation, so it cannot be validated")


def _hints(
    function: Callable[..., Any] | None, parameters: list[inspect.Parameter], name: str
) -> dict[str, Any]:
    """Evaluate parameter annotations only: the return type may exist for type checkers alone."""
    hints: dict[str, Any] = {}
    for parameter in parameters:
        holder = types.SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
        try:
            hints |= typing.get_type_hints(
                holder, globalns=getattr(function, "__globals__", {}), include_extras=True
            )
        except (NameError, AttributeError, SyntaxError, TypeError) as error:
            raise PluginError(
                f"{name}: the annotation of option {parameter.name!r} is not usable: {_first_line(error)}"
            ) from None
    return hints


def _prepare(annotation: Any) -> Any:  # noqa: ANN401
    """Return the annotation with every `PerClass` in it validated as mapping or list."""
    if annotation is PerClass:
        return Annotated[PerClass, _PerClassSchema]
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return functools.reduce(lambda inner, extra: Annotated[inner, extra], parts[1:], _prepare(parts[0]))
    if origin in (Union, types.UnionType):
        return functools.reduce(operator.or_, (_prepare(part) for part in parts))
    if origin in (tuple, list, dict):
        return origin[tuple(part if part is ... else _prepare(part) for part in parts)]
    return annotation


def _check_default(annotation: Any, default: object, what: str) -> None:  # noqa: ANN401
    try:
        adapter = TypeAdapter(annotation, config=ConfigDict(strict=True, allow_inf_nan=False))
        adapter.validate_python(default)
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"]
        raise PluginError(f"{what} has the default {default!r}, which it would refuse: {reason}") from None
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise PluginError(f"{what} has an annotation that is not usable: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
