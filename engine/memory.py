"""The memory: a model that has read a text once and can be asked about it again and again.

The text, the model's acknowledgement and the question form one well-formed conversation in the model's own chat
template. The part before the question is read once and frozen (``kv.Prefix``); asking continues from it in a private
tail, so asking never changes the memory and several threads may ask at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from engine import kv
from engine.clues import clean_clues
from engine.errors import BundleError, InputError, NotMemorizedError
from engine.events import Clue, ClueKind, Meter, OnProgress, Reply, Stop
from engine.hardware import Hardware
from engine.model import Model
from engine.prompt import Prompts, en_prompts, render
from engine.sampling import Sampling

# Stands for the question while the conversation is rendered, to find what comes before and after it.
_MARK = "<<<question>>>"
# Room that is kept in the window for a question and its answer.
_ASKING_TOKENS = 512


class Memory(Model):
    """A model with a memorised text. Built from a model name, or over a loaded Model whose weights it then shares."""

    def __init__(
        self,
        model_name_or_path: str | Model,
        cache_dir: str | Path | None = None,
        access_token: str | None = None,
        load_in_4bit: bool = False,
        enable_flash_attn: bool = True,
        hardware: Hardware | None = None,
    ) -> None:
        if isinstance(model_name_or_path, Model):
            self.__dict__.update(vars(model_name_or_path))
        else:
            super().__init__(model_name_or_path, cache_dir, access_token, load_in_4bit, enable_flash_attn, hardware)
        self.prefix = kv.EMPTY
        self.prompts = en_prompts

    def memorize(
        self,
        context: str,
        prompts: Prompts = en_prompts,
        on_progress: OnProgress | None = None,
        stop: Stop | None = None,
    ) -> None:
        """Read ``context`` once and keep it.

        Raises:
            InputError: the context is empty.
            ContextLengthError: it does not fit the model's window.
            Cancelled: ``stop`` was set; what was memorised before is still there.
        """
        head, _ = self._conversation(context, prompts)
        ids = self.token_ids(head)
        self.check_fits(len(ids), _ASKING_TOKENS)
        meter = Meter("memorising", len(ids), on_progress)
        self.prefix, self.prompts = self.read(ids, stop, meter.step), prompts

    @property
    def is_memorized(self) -> bool:
        """Whether there is anything to ask about."""
        return self.prefix.length > 0

    def generate_w_memory(
        self,
        instructions: str | Sequence[str],
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        stop: Stop | None = None,
    ) -> list[str]:
        """Put each instruction to the memory as the conversation's next turn, all of them as one batch.

        Raises:
            NotMemorizedError: nothing has been memorised.
            ContextLengthError, Cancelled: as ``generate``.
        """
        wanted = [instructions] if isinstance(instructions, str) else list(instructions)
        rows = [self._turn(instruction) for instruction in wanted]
        return self.complete(rows, Sampling(max_new_tokens, temperature), self.prefix, stop)

    def stream_w_memory(
        self, instruction: str, max_new_tokens: int = 256, temperature: float = 0.0, stop: Stop | None = None
    ) -> Iterator[str]:
        """Like ``generate_w_memory`` for one instruction, yielding pieces of text."""
        sampling = Sampling(max_new_tokens, temperature, repetition_penalty=1.0 if self.is_able else 1.05)
        yield from self.stream_ids(self._turn(instruction), sampling, self.prefix, stop)

    def recall(self, question: str, max_new_tokens: int = 128) -> str:
        """Recall facts that help to answer ``question``, one on each line."""
        return self.generate_w_memory(render(self.prompts.span, question=question), max_new_tokens)[0]

    def rewrite(self, question: str, max_new_tokens: int = 128) -> str:
        """Rewrite ``question`` into simpler surrogate questions, one on each line."""
        return self.generate_w_memory(render(self.prompts.sur, question=question), max_new_tokens)[0]

    def answer(self, question: str, max_new_tokens: int = 256, temperature: float = 0.0) -> str:
        """Answer ``question`` from the memory alone."""
        return self.generate_w_memory(render(self.prompts.qa, question=question), max_new_tokens, temperature)[0]

    def summarize(self, max_new_tokens: int = 256) -> str:
        """List the key points of the memorised text, one on each line."""
        return self.generate_w_memory(self.prompts.sum, max_new_tokens)[0]

    def clues(self, question: str, max_new_tokens: int = 128, stop: Stop | None = None) -> tuple[Clue, ...]:
        """Recall spans and surrogate questions for ``question`` together, cleaned and without repetitions."""
        asked: list[tuple[ClueKind, str]] = [("span", self.prompts.span), ("surrogate", self.prompts.sur)]
        instructions = [render(template, question=question) for _, template in asked]
        replies = self.generate_w_memory(instructions, max_new_tokens, stop=stop)
        return clean_clues(
            [(kind, Reply(reply)) for (kind, _), reply in zip(asked, replies, strict=True)], question, self.prompts
        )

    def key_points(self, max_new_tokens: int = 256, stop: Stop | None = None) -> tuple[Clue, ...]:
        """List the text's key points as clues, for finding the passages a summary needs."""
        reply = self.generate_w_memory(self.prompts.sum, max_new_tokens, stop=stop)[0]
        return clean_clues([("point", Reply(reply))], "", self.prompts)

    def save(self, path: str | Path) -> None:
        """Save the memory as safetensors; the folder is made when missing."""
        if not self.is_memorized:
            raise NotMemorizedError("There is nothing to save: call memorize first.")
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        facts = {"model": self.fingerprint, "language": self.prompts.language}
        save_file(self.prefix.tensors(), target, metadata=facts)

    def load(self, path: str | Path) -> None:
        """Load a memory that ``save`` wrote with the same model.

        Raises:
            BundleError: it cannot be read, or was made by another model.
        """
        from safetensors import safe_open

        from engine.prompt import prompts_for

        try:
            with safe_open(str(path), framework="pt") as file:
                facts = file.metadata() or {}
            if facts.get("model") != self.fingerprint:
                raise BundleError(
                    f"The memory {Path(path).name!r} was made by another model than {self.name}; memorise again."
                )
            self.restore(load_file(path), prompts_for(facts.get("language", "en")))
        except (OSError, SafetensorError) as error:
            raise BundleError(f"The memory {Path(path).name!r} cannot be read; memorise again.") from error

    def restore(self, tensors: dict[str, torch.Tensor], prompts: Prompts) -> None:
        """Take over the tensors of a saved prefix made by this very model."""
        config = self.net.config.get_text_config()
        if len(tensors) != 2 * int(config.num_hidden_layers):
            raise BundleError(f"The memory does not have the layers of {self.name}; memorise the text again.")
        lengths = {t.shape[-2] for t in tensors.values() if t.dim() == 4 and t.shape[0] == 1}
        heads = {t.shape[1] for t in tensors.values() if t.dim() == 4}
        if (
            len(lengths) != 1
            or heads != {int(config.num_key_value_heads)}
            or any(t.dim() != 4 for t in tensors.values())
        ):
            raise BundleError(f"The memory does not have the shape of {self.name}; memorise the text again.")
        moved = {name: t.to(self.net.device, self.hardware.torch_dtype) for name, t in tensors.items()}
        self.prefix, self.prompts = kv.Prefix.from_tensors(moved), prompts

    def _conversation(self, context: str, prompts: Prompts) -> tuple[str, str]:
        """Render the conversation; return what stands before the question and what stands after it."""
        if not context.strip():
            raise InputError("The text to memorise is empty; give some text.")
        messages = [
            {"role": "user", "content": render(prompts.context, context=context)},
            {"role": "assistant", "content": prompts.acknowledge},
            {"role": "user", "content": _MARK},
        ]
        head, _, rest = self.render_chat(messages).rpartition(_MARK)
        return head, rest

    def _turn(self, instruction: str) -> list[int]:
        """Return the token ids that continue the memorised conversation with ``instruction``."""
        if not self.is_memorized:
            raise NotMemorizedError("Nothing has been memorised yet: call memorize first.")
        if not instruction.strip():
            raise InputError("The instruction is empty; give some text.")
        _, rest = self._conversation("-", self.prompts)
        return self.token_ids(self.harmless(instruction.strip()) + rest)
