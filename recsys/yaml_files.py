"""Reading the YAML files that people write: one that PyYAML would misread without a word is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from recsys.errors import RecsysError

_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"


def read_yaml(path: Path, refused: type[RecsysError]) -> Any:
    """Return what a YAML file holds; None where it is empty.

    A key has to be a text and to stand once in its mapping: PyYAML reads ``off`` as False, and of two equal keys drops
    the first.

    Raises:
        refused: the file is not there or no such YAML; names it, the line and what to do.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506  # a SafeLoader
    except OSError as error:
        raise refused(f"{path} cannot be read: {error.strerror}; put a readable file there.") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise refused(
            f"{path} cannot be read as YAML: line {line} has the byte 0x{error.object[error.start]:02x}, which is no "
            "UTF-8; save the file as UTF-8."
        ) from error
    except yaml.YAMLError as error:
        raise refused(f"{path} cannot be read as YAML: {error}") from error


class _Loader(yaml.SafeLoader):
    """PyYAML's, with the keys checked, and with the line of a value that is none of its kind, as 2026-02-30."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # refused by PyYAML
            if key.tag not in (_TEXT, _MERGE):
                raise _fault(key, f"the key {key.value} is read as {_kind(key)}, not as a text; quote it")
            if key.value in lines:
                raise _fault(
                    key, f"the key {key.value!r} stands in line {lines[key.value]} already; keep one of them"
                )
            lines[key.value] = key.start_mark.line + 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            ValueError,
        ) as error:  # PyYAML lets them through
            raise _fault(
                node, f"{node.value} is no {_kind(node)} ({error}); correct it, or quote it if it is a text"
            ) from error


def _kind(node: yaml.Node) -> str:
    return str(node.tag).rpartition(":")[2]


def _fault(node: yaml.Node, told: str) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, told, node.start_mark)
