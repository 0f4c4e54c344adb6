"""The load for an edge node: a process that sends prepared uploads over kept connections, and times each."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Load:
    """Seconds from first to last answer, the latencies of those acknowledged, how many were refused, CPU seconds."""

    seconds: float
    latencies: list[float]
    refused: int
    cpu: float

    def percentile(self, share: float) -> float:
        """Milliseconds."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)]

    def show(self, title: str) -> None:
        rate = len(self.latencies) / self.seconds
        p50, p95, p99 = (self.percentile(share) for share in (0.5, 0.95, 0.99))
        print(
            f"{title:<34}{rate:>8.0f} /s   p50 {p50:.1f} ms  p95 {p95:.1f} ms  p99 {p99:.1f} ms   "
            f"refused {self.refused}"
        )


def run_load(urls: Sequence[str], bodies: Sequence[bytes], connections: int) -> Load:
    """Sends all bodies to `/v1/gradients` of the edge nodes in turn, over so many connections, from another process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(list(urls), list(bodies), connections, theirs))
    process.start()
    theirs.close()
    load: Load = ours.recv()
    process.join()
    return load


def _work(urls: list[str], bodies: list[bytes], connections: int, pipe: object) -> None:
    load = asyncio.run(_send_all(urls, bodies, connections))
    pipe.send(load)  # type: ignore[attr-defined]  # a Connection, which typeshed hides


async def _send_all(urls: list[str], bodies: list[bytes], connections: int) -> Load:
    waiting = iter(bodies)
    latencies: list[float] = []
    refused = 0
    began, cpu = time.perf_counter(), time.process_time()

    async def connection(number: int) -> None:
        nonlocal refused
        parts = urlsplit(urls[number % len(urls)])
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        head = f"POST /v1/gradients HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/octet-stream\r\n"
        for body in waiting:
            sent = time.perf_counter()
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
            if await _status(reader) == 200:
                latencies.append(time.perf_counter() - sent)
            else:
                refused += 1
        writer.close()

    await asyncio.gather(*map(connection, range(connections)))
    return Load(time.perf_counter() - began, latencies, refused, time.process_time() - cpu)


async def _status(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = next(int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:"))
    await reader.readexactly(length)
    return int(head.split(" ", 2)[1])
