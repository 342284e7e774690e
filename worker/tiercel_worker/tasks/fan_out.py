"""The parts of a ForEachItem that run on workers. Nobody writes them into a flow.

They stream: what they hold does not grow with the number of items but eight bytes for each
execution whose outputs are merged.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import msgspec
from pydantic import Field

from tiercel_engine.errors import TaskError, UserError
from tiercel_engine.expression.ion import ion_text
from tiercel_engine.flow.base import Text
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.child_flows import OUTPUTS_TYPE, Batch, ForEachItem
from tiercel_engine.plugin.context import RunContext
from tiercel_engine.storage.splitting import Split, size_of, split
from tiercel_engine.storage.uri import file_name, is_storage_uri

#: A suffix of the items' file longer than this is no suffix.
SUFFIX_CHARS_MAX = 12
#: No outputs are known for an execution.
_NOWHERE = -1


class SplitItems(RunnableTask):
    """Cuts the items into batches, a file each.

    Outputs: `splits`, a file that names them all; `numberOfBatches`; `batchUri`, the address of
    any of them when `{index}` is its number from 0.
    """

    TYPE: ClassVar[str] = ForEachItem.SPLIT
    INTERNAL: ClassVar[bool] = True

    items: Text
    batch: Batch = Field(default_factory=Batch)

    def run(self, context: RunContext) -> dict[str, Any]:
        uri = context.render(self.items)
        if not is_storage_uri(uri):
            raise TaskError(
                "Expected `items` to be the address of a file in internal storage, such as "
                f"kestra:///path/file, but it was {uri[:200]!r}."
            )
        suffix = Path(file_name(uri)).suffix
        if not suffix[1:].isalnum() or len(suffix) > SUFFIX_CHARS_MAX:
            suffix = ""
        how = _how(self.batch, context)
        list_path = context.working_directory() / "splits.txt"
        count = 0
        first = ""
        with context.open_stored(uri) as source, list_path.open("w") as names:
            for part in split(source, how):
                if context.is_cancelled():
                    return {}
                stored = context.store_stream(part, f"batches/{count}{suffix}")
                names.write(stored + "\n")
                first = first or stored
                count += 1
        if count == 0:
            return {"numberOfBatches": 0, "batchUri": ""}
        folder = first.rpartition("/")[0]
        return {
            "splits": context.store_file(list_path),
            "numberOfBatches": count,
            "batchUri": f"{folder}/{{index}}{suffix}",
        }


def _how(batch: Batch, context: RunContext) -> Split:
    """What the batch's properties say: bytes, else partitions, else rows, else single rows."""
    given = {
        name: context.render(value)
        for name, value in (("partitions", batch.partitions), ("rows", batch.rows))
        if value is not None
    }
    try:
        size_bytes = None if batch.bytes is None else size_of(context.render(batch.bytes))
        numbers = {name: int(text) for name, text in given.items()}
    except ValueError as error:
        raise TaskError(f"Expected `batch` to have whole numbers, but {error}.") from None
    except UserError as error:
        raise TaskError(str(error)) from None
    if size_bytes is None and not numbers:
        numbers["rows"] = 1
    separator = context.render(batch.separator).encode()
    return Split(size_bytes, numbers.get("partitions"), numbers.get("rows"), separator)


class StoreOutputs(RunnableTask):
    """Stores outputs of executions that have ended.

    A `name` such as set.jsonl is a file with a line of JSON for each: [index, outputs]; any other
    name is a folder with a file of Ion for each.
    """

    TYPE: ClassVar[str] = OUTPUTS_TYPE
    INTERNAL: ClassVar[bool] = True

    def run(self, context: RunContext) -> None:
        outputs, name = context.variables["outputs"], str(context.variables["name"])
        if name.endswith(".jsonl"):
            context.store_stream(_lines(outputs), name)
            return
        for index, values in outputs:
            context.store_stream([ion_text(values).encode() + b"\n"], f"{name}/{index}.ion")


def _lines(outputs: Any) -> Iterator[bytes]:
    for pair in outputs:
        yield msgspec.json.encode(pair) + b"\n"


class MergeOutputs(RunnableTask):
    """Puts the outputs of all executions together: Ion, a line for each, in their order.

    Outputs: `subflowOutputs`, the file; nothing when no execution was waited for.
    """

    TYPE: ClassVar[str] = ForEachItem.MERGE
    INTERNAL: ClassVar[bool] = True

    def run(self, context: RunContext) -> dict[str, Any]:
        collected = context.variables.get("collected")
        if not collected or not collected["count"]:
            return {}
        path = context.working_directory() / "collected.jsonl"
        places = array("q", [_NOWHERE]) * int(collected["count"])
        with path.open("w+b") as merged:
            _collect(collected, context, merged, places)
            uri = context.store_stream(_ion_lines(merged, places), "outputs.ion")
        return {"subflowOutputs": uri}


def _collect(
    collected: Mapping[str, Any], context: RunContext, merged: BinaryIO, places: array[int]
) -> None:
    """Copy all sets into one file and note where each index stands; the newest outputs count."""
    for number in range(int(collected["sets"])):
        with context.open_stored(f"{collected['folder']}/{number}.jsonl") as lines:
            for line in lines:
                index = int(line[1 : line.index(b",")])
                places[index] = merged.tell()
                merged.write(line)


def _ion_lines(merged: BinaryIO, places: array[int]) -> Iterator[bytes]:
    for place in places:
        outputs: Any = {}
        if place != _NOWHERE:
            merged.seek(place)
            outputs = msgspec.json.decode(merged.readline())[1]
        yield ion_text(outputs).encode() + b"\n"
