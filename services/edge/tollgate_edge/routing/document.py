"""A YAML document that records the line of each value, so that problems can be reported with their line."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import yaml

from tollgate_common.errors import TollgateError

Path = tuple[str | int, ...]


class Problem(NamedTuple):
    """A problem in a file; `line` starts at 1."""

    line: int
    path: Path
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {format_path(self.path)}{': ' if self.path else ''}{self.message}"


class InvalidDocument(TollgateError):
    """All problems of a file, ordered by line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line)
        super().__init__("\n".join(map(str, self.problems)))


class Document:
    """A parsed document. `data` has YAML's plain types."""

    def __init__(self, text: str) -> None:
        """Parse a document.

        Raises:
            InvalidDocument: the text is not YAML, or a mapping has a duplicate key.
        """
        self._lines: dict[Path, int] = {}
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                duplicates = list(self._walk(node, ()))
                if duplicates:
                    raise InvalidDocument(duplicates)
            self.data: Any = None if node is None else loader.construct_document(node)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
            raise InvalidDocument([Problem(line, (), f"invalid YAML: {error.problem or error.context}")]) from error
        except yaml.YAMLError as error:
            raise InvalidDocument([Problem(1, (), f"invalid YAML: {error}")]) from error
        finally:
            loader.dispose()

    def problem(self, path: Path, message: str) -> Problem:
        """Create a problem with the value at `path`. If it is missing, the line is that of its parent."""
        known = next(path[:length] for length in range(len(path), -1, -1) if path[:length] in self._lines or not length)
        return Problem(self._lines.get(known, 1), path, message)

    def _walk(self, node: yaml.Node, path: Path) -> Iterator[Problem]:
        """Record the lines of a value and its children; yield a problem for each duplicate key."""
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                member = (*path, str(key.value))
                if member in self._lines:
                    yield Problem(key.start_mark.line + 1, member, "duplicate key")
                # The line of the key, which is the one that a reader looks for.
                self._lines[member] = key.start_mark.line + 1
                yield from self._walk(value, member)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                yield from self._walk(value, (*path, index))


def format_path(path: Path) -> str:
    """Format a path for people: `models.gpt-4o.targets[0].provider`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
