"""YAML files that a command is given: which there are, and what they say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

Sources = Annotated[
    list[Path],
    typer.Argument(help="YAML files, or folders of them; - reads standard input.", allow_dash=True),
]


def files_of(sources: list[Path]) -> list[Path]:
    """The files named, folders opened, in order of their names. Raises BadParameter."""
    files: list[Path] = []
    for source in sources:
        if source.is_dir():
            found = sorted(p for p in source.rglob("*") if p.suffix in (".yaml", ".yml"))
            if not found:
                raise typer.BadParameter(f"There is no .yaml or .yml file in {source}.")
            files += found
        elif str(source) != "-" and not source.is_file():
            raise typer.BadParameter(f"There is no file {source}.")
        else:
            files.append(source)
    return files


def read_source(path: Path) -> str:
    """A file's text, or that of standard input. Raises BadParameter."""
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"Cannot read {path}: {error}") from None


def content_of(source: str) -> dict[str, Any]:
    """What a source says, as far as it reads: whoever stores it tells what is wrong with it."""
    try:
        content = yaml.safe_load(source)
    except yaml.YAMLError:
        return {}
    return content if isinstance(content, dict) else {}
