"""A YAML document that remembers on which line each of its values stands, so that a mistake can be pointed at."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import yaml

from tollgate_common.errors import TollgateError

Path = tuple[str | int, ...]


class Problem(NamedTuple):
    """Something wrong in a file; `line` counts from 1."""

    line: int
    path: Path
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {written(self.path)}{': ' if self.path else ''}{self.message}"


class InvalidDocument(TollgateError):  # noqa: N818 - says what is wrong, which is the file
    """All that is wrong with a file, in its order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line)
        super().__init__("\n".join(map(str, self.problems)))


class Document:
    """`data` as YAML's plain types."""

    def __init__(self, text: str) -> None:
        """Read a document.

        Raises:
            InvalidDocument: it is no YAML, or names a member twice.
        """
        self._lines: dict[Path, int] = {}
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                repeated = list(self._walk(node, ()))
                if repeated:
                    raise InvalidDocument(repeated)
            self.data: Any = None if node is None else loader.construct_document(node)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
            raise InvalidDocument([Problem(line, (), f"no YAML: {error.problem or error.context}")]) from error
        except yaml.YAMLError as error:
            raise InvalidDocument([Problem(1, (), f"no YAML: {error}")]) from error
        finally:
            loader.dispose()

    def problem(self, path: Path, message: str) -> Problem:
        """A problem with the value at `path`, or, if that is missing, with what it is missing in."""
        known = next(path[:length] for length in range(len(path), -1, -1) if path[:length] in self._lines or not length)
        return Problem(self._lines.get(known, 1), path, message)

    def _walk(self, node: yaml.Node, path: Path) -> Iterator[Problem]:
        """Note the lines of a value and of all in it; tell of members that stand there twice."""
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                member = (*path, str(key.value))
                if member in self._lines:
                    yield Problem(key.start_mark.line + 1, member, "stands here a second time")
                # Where the member's name stands, which is the line that a person looks for.
                self._lines[member] = key.start_mark.line + 1
                yield from self._walk(value, member)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                yield from self._walk(value, (*path, index))


def written(path: Path) -> str:
    """As a person would write it: `models.gpt-4o.targets[0].provider`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
