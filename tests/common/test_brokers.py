"""How Kafka is reached is told in one place, and no client is made without it."""

import ast
from collections.abc import Iterator
from pathlib import Path

CODE = Path(__file__).resolve().parents[2]
CLIENTS = {"AIOKafkaClient", "KafkaConsumer", "KafkaProducer", "KafkaAdmin"}


def clients_made(file: Path) -> Iterator[tuple[str, bool]]:
    """Where each client is made, and whether it is given the options of `Brokers`."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CLIENTS:
            given = any(
                keyword.arg is None and ast.unparse(keyword.value).endswith("brokers.options")
                for keyword in node.keywords
            )
            yield f"{file.relative_to(CODE)}:{node.lineno}", given


def test_every_client_is_given_the_options_of_the_brokers() -> None:
    made = [
        client
        for folder in ("services/*/tollgate_*", "libs/*/tollgate_*", "bench")
        for file in CODE.glob(f"{folder}/**/*.py")
        for client in clients_made(file)
    ]
    assert len(made) > 10
    assert [place for place, given in made if not given] == []
