"""Logs as one JSON object a line on standard error. Keys, prompts and answers never go into a log message."""

import json
import logging
import sys
from datetime import UTC, datetime


class JsonFormatter(logging.Formatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_logging(service: str, level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # These tell of every request, rebalance or connection at INFO; what matters of it is in the metrics. At DEBUG
    # `aiokafka.conn` would log what it sends, the password at Kafka too.
    for noisy in ("httpx", "httpcore", "aiokafka.conn", "aiokafka.consumer.group_coordinator", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
