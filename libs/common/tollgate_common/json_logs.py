"""Logging: one JSON object per line on standard error. Keys, prompts and responses are never logged."""

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
    # These log every request, rebalance or connection at INFO; metrics cover those. At DEBUG, `aiokafka.conn` logs
    # everything that it sends, including the password for Kafka.
    for noisy in ("httpx", "httpcore", "aiokafka.conn", "aiokafka.consumer.group_coordinator", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
