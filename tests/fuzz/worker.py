"""One search in a process of its own: ``python -m tests.fuzz.worker ENGINE READER SECONDS SEED MEGABYTES FOLDER``."""

from __future__ import annotations

import faulthandler
import importlib
import resource
import sys
import warnings
from pathlib import Path

READERS = {"txt": "texts", "pdf": "pdfs", "docx": "words"}
ENGINES = {"hypothesis": "generated", "atheris": "guided"}


def main(engine: str, reader: str, seconds: float, seed: int, megabytes: int, folder: Path) -> None:
    faulthandler.enable((folder / "stack").open("w"))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    # The engine first: one of them must be there before the readers are imported.
    engine_module = importlib.import_module(f"tests.fuzz.{ENGINES[engine]}")
    made_by = importlib.import_module(f"tests.fuzz.{READERS[reader]}")
    for module in ("pypdf", "docx", "charset_normalizer"):  # now, so that no input has to pay for them
        importlib.import_module(module)
    lookout = importlib.import_module("tests.fuzz.lookout").Lookout(reader, folder, seconds, megabytes)
    engine_module.search(made_by, lookout, seed)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), Path(sys.argv[6]))
