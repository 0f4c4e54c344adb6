"""The log of a service: lines for people, or a JSON object on each line. Keys, envelopes and blobs never get here."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Final

_QUIET: Final = ("httpx", "httpcore", "web3", "urllib3", "uvicorn", "asyncio", "eth")


class JsonLines(logging.Formatter):
    """One object a record: time (UTC), level, logger, message and, where there is one, the error."""

    def format(self, record: logging.LogRecord) -> str:
        time_ = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        document = {
            "time": f"{time_}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            document["error"] = self.formatException(record.exc_info)
        return json.dumps(document)


def configure(log_format: str, level: str) -> None:
    """Logs to stderr from now on, in the format `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonLines() if log_format == "json" else logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
