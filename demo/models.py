"""The models, loaded once for all visitors."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from demo import text
from demo.collecting import collect_as_usual
from engine.errors import MemoRAGError, ModelError
from engine.events import Stop
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.memorag_lite import MemoRAGLite

logger = logging.getLogger(__name__)


def load_models(settings: Settings) -> MemoRAGLite:
    """Load the models that the settings name, with nothing memorised; takes seconds.

    Raises:
        MemoRAGError: they cannot be found or loaded, or the device is not there.
    """
    from engine import hub

    ahead = settings.model, settings.retriever, settings.cache_dir
    threading.Thread(target=hub.look_ahead, args=ahead, name="memorag-sums", daemon=True).start()
    from transformers.utils.logging import disable_progress_bar

    from engine.hardware import detect
    from engine.memorag_lite import MemoRAGLite

    disable_progress_bar()
    return MemoRAGLite(
        settings.model,
        settings.retriever,
        cache_dir=settings.cache_dir,
        access_token=settings.hf_token or None,
        hardware=detect(settings.device, settings.threads, exact=settings.exact),
    )


class Models:
    """Loads the models and lets others wait for them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine: MemoRAGLite | None = None
        self._failure: ModelError | None = None
        self._loaded = threading.Event()

    def load(self) -> None:
        """Load them; takes seconds. A failure is kept, and is told to whoever needs them."""
        try:
            # Loading torch takes seconds: the page is served meanwhile.
            began = time.monotonic()
            self._engine = load_models(self._settings)
            logger.info("Models loaded in %.1f s: %s", time.monotonic() - began, self._engine.encoder.hardware)
        except MemoRAGError as error:
            logger.exception("The models could not be loaded.")
            self._failure = ModelError(text.MODELS_FAILED.format(reason=error))
        except Exception:
            # Nothing else would notice the end of this thread: say so on the page, and keep the traceback in the log.
            logger.exception("The models could not be loaded.")
            self._failure = ModelError(text.MODELS_FAILED.format(reason=text.UNEXPECTED))
        finally:
            collect_as_usual()
            self._loaded.set()

    @property
    def is_loaded(self) -> bool:
        """Whether the models are ready, or have failed to load."""
        return self._loaded.is_set()

    @property
    def failure(self) -> ModelError | None:
        """Why the models could not be loaded, if so."""
        return self._failure

    def get(self, stop: Stop | None = None) -> MemoRAGLite:
        """Return the pipeline with nothing memorised; waits until the models are loaded.

        Raises:
            ModelError: they could not be loaded.
            Cancelled: ``stop`` was set while waiting.
        """
        while not self._loaded.wait(0.2):
            if stop is not None:
                stop.check()
        if self._engine is None:
            raise self._failure or ModelError(text.MODELS_FAILED.format(reason=text.UNEXPECTED))
        return self._engine
