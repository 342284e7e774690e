"""Task types from plain Python: a decorated function, or a decorated class, is one.

Its parameters (or annotated attributes) are the properties: with types and defaults, checked when a
flow is saved wherever no template stands, rendered and converted when the task runs. What it
returns are the outputs. See worker/README.md.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, ClassVar, TypeVar, cast, get_type_hints

from pydantic import (
    BaseModel,
    Field,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    create_model,
)
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tiercel_engine.errors import TaskError
from tiercel_engine.flow.base import UNION
from tiercel_engine.plugin.base import RunnableTask, TaskResult
from tiercel_engine.plugin.context import RunContext

#: Where the decorator leaves the task type, on the function or class.
MARK = "__tiercel_task__"
CONTEXT = "context"
#: The output of a function that returns neither a map nor a model.
VALUE = "value"

T = TypeVar("T", bound=Callable[..., Any])


class NativeTask(RunnableTask):
    """What every task type made by `task` has."""

    #: Property name -> how its rendered value becomes the argument.
    ADAPTERS: ClassVar[Mapping[str, TypeAdapter[Any]]] = {}
    #: Does the work with the arguments by name, the context among them.
    WORK: ClassVar[Callable[[RunContext, Mapping[str, Any]], Any]]

    def run(self, context: RunContext) -> BaseModel | dict[str, Any] | TaskResult | None:
        given = {name: self._argument(context, name) for name in self.ADAPTERS}
        result = type(self).WORK(context, given)
        if inspect.isawaitable(result):
            result = asyncio.run(_awaited(result))
        return _outputs(result)

    def _argument(self, context: RunContext, name: str) -> Any:
        written = getattr(self, name)
        value = context.render_value(written) if has_template(written) else written
        try:
            return self.ADAPTERS[name].validate_python(value)
        except ValidationError as error:
            field = type(self).model_fields[name]
            reasons = "; ".join(
                ".".join(map(str, ("", *fault["loc"]))) + f" {fault['msg']}".lstrip(".")
                for fault in error.errors()
            )
            raise TaskError(
                f"Expected the property {field.alias or name} to hold, but: {reasons.strip()}."
            ) from None


def task(type_name: str, *aliases: str) -> Callable[[T], T]:
    """Make a function or a class a task type; the decorated thing itself stays as it is.

    A function's parameters are the properties; one that is called `context`, or annotated with
    `RunContext`, gets the context of the attempt instead. A class's annotated attributes are the
    properties, and its method `run(self)` or `run(self, context)` does the work. Names in snake
    case are written in camel case in flows; both are taken. Type hints are those of pydantic. What
    is returned, a model, a dataclass or a map, holds the outputs; anything else is the output
    `value`.

    Args:
        type_name: what flows call it, such as `com.acme.text.CountWords`.
        aliases: older names of the same.

    Raises:
        TypeError: it cannot be one; says why.
    """

    def decorate(thing: T) -> T:
        made = _from_class(thing) if inspect.isclass(thing) else _from_function(thing)
        made.TYPE, made.ALIASES = type_name, aliases
        made.__doc__ = inspect.getdoc(thing) or ""
        made.__module__, made.__qualname__ = thing.__module__, thing.__qualname__
        setattr(thing, MARK, made)
        return thing

    return decorate


def has_template(value: Any) -> bool:
    """Whether a template stands anywhere in a value."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, Mapping):
        return any(has_template(part) for pair in value.items() for part in pair)
    return isinstance(value, list | tuple) and any(has_template(part) for part in value)


def _from_function(function: Callable[..., Any]) -> type[NativeTask]:
    hints = get_type_hints(function, include_extras=True)
    properties: dict[str, tuple[Any, Any]] = {}
    context_name = None
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(f"Expected properties by name, but {function.__name__} takes *{name}.")
        if name == CONTEXT or hints.get(name) is RunContext:
            context_name = name
            continue
        if name not in hints:
            raise TypeError(f"Expected {function.__name__} to annotate its parameter {name}.")
        default = ... if parameter.default is parameter.empty else parameter.default
        properties[name] = (hints[name], default)

    def work(context: RunContext, given: Mapping[str, Any]) -> Any:
        own = {} if context_name is None else {context_name: context}
        return function(**given, **own)

    return _made(function.__name__, properties, hints.get("return"), work)


def _from_class(cls: type[Any]) -> type[NativeTask]:
    run = getattr(cls, "run", None)
    if not callable(run):
        raise TypeError(f"Expected {cls.__name__} to have a method run, but it has none.")
    hints = {
        name: hint
        for name, hint in get_type_hints(cls, include_extras=True).items()
        if not name.startswith("_") and "ClassVar" not in str(hint) and name != "model_config"
    }
    fields: Mapping[str, FieldInfo] = getattr(cls, "model_fields", {})
    properties = {name: (hint, _default(cls, name, fields)) for name, hint in hints.items()}
    takes_context = len(inspect.signature(run).parameters) > 1

    def work(context: RunContext, given: Mapping[str, Any]) -> Any:
        instance: Any
        if issubclass(cls, BaseModel) or dataclasses.is_dataclass(cls):
            instance = cls(**given)
        else:
            instance = cls()
            for name, value in given.items():
                setattr(instance, name, value)
        return instance.run(context) if takes_context else instance.run()

    returned = get_type_hints(run).get("return")
    return _made(cls.__name__, properties, returned, work)


def _default(cls: type[Any], name: str, fields: Mapping[str, FieldInfo]) -> Any:
    if name in fields:
        default = fields[name].get_default(call_default_factory=True)
        return ... if default is PydanticUndefined else default
    return getattr(cls, name, ...)


def _made(
    name: str, properties: Mapping[str, tuple[Any, Any]], returned: Any, work: Callable[..., Any]
) -> type[NativeTask]:
    taken = sorted(set(properties) & set(RunnableTask.model_fields))
    if taken:
        raise TypeError(f"Expected other names of properties: every task has {', '.join(taken)}.")
    fields: dict[str, Any] = {
        name: (
            Annotated[
                hint, WrapValidator(_unless_template, json_schema_input_type=hint | _WithTemplate)
            ],
            Field(default, alias=to_camel(name)),
        )
        for name, (hint, default) in properties.items()
    }
    made = cast("type[NativeTask]", create_model(name, __base__=NativeTask, **fields))
    made.ADAPTERS = {name: TypeAdapter(hint) for name, (hint, _) in properties.items()}
    made.WORK = staticmethod(work)
    made.OUTPUTS = _output_model(returned)
    return made


#: What holds a template at whatever depth, in JSON Schema.
_WithTemplate = Annotated[dict[str, Any], WithJsonSchema({UNION: "template"})]


def _unless_template(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    # What a template gives is checked when the task runs.
    return value if has_template(value) else handler(value)


def _output_model(returned: Any) -> type[BaseModel] | None:
    if returned is None or returned is TaskResult or returned is type(None):
        return None
    if inspect.isclass(returned) and issubclass(returned, BaseModel):
        return returned
    if inspect.isclass(returned) and dataclasses.is_dataclass(returned):
        hints = get_type_hints(returned)
        fields: dict[str, Any] = {name: (hint, ...) for name, hint in hints.items()}
        doc = inspect.getdoc(returned)
        return cast("type[BaseModel]", create_model(returned.__name__, __doc__=doc, **fields))
    if returned is dict or getattr(returned, "__origin__", None) is dict:
        return None
    value: Any = (returned, ...)
    return create_model("Output", value=value)


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result


def _outputs(result: Any) -> BaseModel | dict[str, Any] | TaskResult | None:
    if result is None or isinstance(result, BaseModel | TaskResult):
        return result
    plain = TypeAdapter(type(result)).dump_python(result, mode="json")
    return plain if isinstance(plain, dict) else {VALUE: plain}
