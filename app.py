"""Start the demo: flags and environment become settings; the page is built and served."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from engine.errors import MemoRAGError
from engine.settings import VARIABLES, from_environment


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the flags; every one may also be set by an environment variable."""
    parser = argparse.ArgumentParser(
        description="MemoRAG: read a long text once, answer from evidence.",
        epilog="Environment: " + "; ".join(f"{name} - {meaning}" for name, meaning in VARIABLES.items()),
    )
    parser.add_argument("--model", help=VARIABLES["MEMORAG_MODEL"])
    parser.add_argument("--retriever", help=VARIABLES["MEMORAG_RETRIEVER"])
    parser.add_argument("--cache-dir", help=VARIABLES["MEMORAG_CACHE_DIR"])
    parser.add_argument("--device", help=VARIABLES["MEMORAG_DEVICE"])
    parser.add_argument("--weights", help=VARIABLES["MEMORAG_WEIGHTS"])
    parser.add_argument("--threads", help=VARIABLES["MEMORAG_THREADS"])
    parser.add_argument("--host", help=VARIABLES["MEMORAG_HOST"])
    parser.add_argument("--port", help=VARIABLES["MEMORAG_PORT"])
    return parser.parse_args(arguments)


def main() -> int:
    """Run the demo until it is interrupted; return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    for chatty in ("httpx", "httpx2", "faiss.loader", "sentence_transformers"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    try:
        settings = from_environment(**vars(parse()))
    except MemoRAGError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    from demo.collecting import collect_rarely
    from demo.stubs import write_no_stubs
    from demo.sweeping import INCOMING

    collect_rarely()  # before all that is large is imported; until the models are loaded
    write_no_stubs()
    # On the disk where they will be kept: taking them in then is a change of names, not a copy.
    os.environ.setdefault("GRADIO_TEMP_DIR", str(settings.cache_dir / INCOMING))
    from demo.service import Service
    from demo.ui import build, serve

    try:
        service = Service(settings)
    except OSError as error:
        sys.stderr.write(f"The folder {settings.cache_dir} cannot be used: {error}\n")
        return 1
    try:
        serve(build(service), service)
    except OSError as error:
        sys.stderr.write(f"The page cannot be served on {settings.host}:{settings.port}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
