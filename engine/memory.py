"""The memory: a model that has read a text once and can be asked about it again and again.

The text, the model's acknowledgement and the question form one well-formed conversation in the model's own chat
template. The part before the question is read once and frozen (``Prefix``); asking continues from it in a private
tail, so asking never changes the memory and several threads may ask at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from engine.errors import BundleError, ContextLengthError, InputError, ModelError, NotMemorizedError
from engine.events import Meter, OnProgress, Reply, Stop
from engine.hardware import Hardware
from engine.model import Model
from engine.prefix import Prefix
from engine.prompt import Prompts, en_prompts, prompts_for, render
from engine.recall import Recaller
from engine.sampling import Sampling
from engine.turns import in_turn

# Stands for the question while the conversation is rendered, to find what comes before and after it.
_MARK = "<<<question>>>"
# Room that is kept in the window for a question and its answer.
_ASKING_TOKENS = 512
# Characters of a token, at most on average: a text with more of them for every token of a window does not fit it.
_LONG_TOKEN = 16
# The name of the token ids among the saved tensors.
_IDS = "ids"


@dataclass(frozen=True)
class Known:
    """What a memory holds, replaced as a whole: who asks meanwhile keeps what was there when the question came."""

    prefix: Prefix
    ids: tuple[int, ...]
    prompts: Prompts


class Memory(Model, Recaller):
    """A model with a memorised text. Built from a model name, or over a loaded Model whose weights it then shares."""

    def __init__(
        self,
        model_name_or_path: str | Model,
        cache_dir: str | Path | None = None,
        access_token: str | None = None,
        beacon_ratio: int = 4,
        load_in_4bit: bool = False,
        enable_flash_attn: bool = True,
        enable_minference: bool = False,
        hardware: Hardware | None = None,
    ) -> None:
        if isinstance(model_name_or_path, Model):
            self.__dict__.update(vars(model_name_or_path))
        else:
            super().__init__(
                model_name_or_path,
                cache_dir,
                access_token,
                beacon_ratio,
                load_in_4bit,
                enable_flash_attn,
                enable_minference,
                hardware,
            )
        self._known = Known(self.empty_prefix, (), en_prompts)

    def memorize(
        self,
        context: str,
        prompts: Prompts = en_prompts,
        on_progress: OnProgress | None = None,
        stop: Stop | None = None,
    ) -> None:
        """Read ``context`` once and keep it; what begins like the last one is not read again as far as it does.

        Raises:
            InputError: the context is empty.
            ContextLengthError: it does not fit the model's window.
            Cancelled: ``stop`` was set; what was memorised before is still there.
        """
        ids = self._ids_of(context, prompts)
        known = self.prefix.first(_in_common(self.ids, ids))
        meter = Meter("memorising", len(ids) - known.tokens, on_progress)
        prefix = self.read(ids[known.tokens :], known, stop, meter.step)
        self._known = Known(prefix, tuple(ids), prompts)

    def check_context(self, context: str, prompts: Prompts = en_prompts) -> None:
        """Raise what ``memorize`` would raise about ``context``, without reading it."""
        self._ids_of(context, prompts)

    @property
    def prefix(self) -> Prefix:
        """The keys and values of the conversation up to the question."""
        return self._known.prefix

    @property
    def ids(self) -> tuple[int, ...]:
        """The token ids of the conversation up to the question."""
        return self._known.ids

    @property
    def prompts(self) -> Prompts:
        """The templates that the text was memorised with."""
        return self._known.prompts

    @property
    def tokens(self) -> int:
        """Number of remembered tokens; 0 before anything was memorised."""
        return self.prefix.tokens

    @property
    def nbytes(self) -> int:
        """Size of the keys and values in bytes."""
        return self.prefix.nbytes

    def replies_w_memory(
        self, instructions: Sequence[str], max_new_tokens: int, temperature: float = 0.0, stop: Stop | None = None
    ) -> list[Reply]:
        """Put each instruction to the memory as the conversation's next turn, all of them as one batch."""
        known = self._known
        rows = [self._turn(instruction, known.prompts) for instruction in instructions]
        return self.complete(rows, Sampling(max_new_tokens, temperature), known.prefix, stop)

    def stream_w_memory(
        self, instruction: str, max_new_tokens: int = 256, temperature: float = 0.0, stop: Stop | None = None
    ) -> Iterator[str]:
        """Like ``generate_w_memory`` for one instruction, yielding pieces of text."""
        sampling = Sampling(max_new_tokens, temperature, repetition_penalty=1.0 if self.is_able else 1.05)
        known = self._known
        yield from self.stream_ids(self._turn(instruction, known.prompts), sampling, known.prefix, stop)

    def save(self, path: str | Path) -> None:
        """Save the memory as safetensors; the folder is made when missing.

        Raises:
            NotMemorizedError: nothing has been memorised.
            BundleError: the file cannot be written (a full disk, say).
        """
        if not self.is_memorized:
            raise NotMemorizedError("There is nothing to save: call memorize first.")
        target = Path(path)
        facts = {"model": self.fingerprint, "name": self.name, "language": self.prompts.language}
        facts["prompts"] = self.prompts.digest
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            save_file(self.tensors(), target, metadata=facts)
        except (OSError, SafetensorError) as error:
            raise BundleError(f"The memory {target.name!r} could not be written; is the disk full?") from error

    def load(self, path: str | Path, prompts: Prompts | None = None) -> None:
        """Load a memory that ``save`` wrote with the same model. The file is memory-mapped, not read.

        ``prompts`` are those it was memorised with; by default the ones for its language.

        Raises:
            BundleError: it cannot be read, or was made by another model or with other prompts.
        """
        name = Path(path).name
        if not Path(path).is_file():
            raise BundleError(f"There is no memory {name!r}; give a file that Memory.save wrote, or memorise again.")
        try:
            with safe_open(str(path), framework="pt") as file:
                facts = file.metadata() or {}
            if facts.get("model") != self.fingerprint:
                maker = f"{facts.get('name', 'an unknown model')} ({facts.get('model', 'no fingerprint')})"
                raise BundleError(
                    f"The memory {name!r} was made by {maker}, but {self.name} ({self.fingerprint}) is in use; "
                    "memorise again."
                )
            used = prompts or prompts_for(facts.get("language", "en"))
            if facts.get("prompts") != used.digest:
                raise BundleError(
                    f"The memory {name!r} was made with the prompts {facts.get('prompts')}, but {used.digest} are in "
                    "use; memorise again."
                )
            self.restore(load_file(path), used)
        except (OSError, SafetensorError) as error:
            raise BundleError(f"The memory {name!r} is damaged and cannot be read; memorise again.") from error

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return what is remembered by name, for saving: keys, values and token ids (int32)."""
        return {**self.prefix.tensors(), _IDS: torch.tensor(self.ids, dtype=torch.int32)}

    def restore(self, tensors: Mapping[str, torch.Tensor], prompts: Prompts) -> None:
        """Take over what ``tensors`` of a memory with this very model returned.

        Raises:
            BundleError: they are not of this model's shape.
        """
        ids = tensors.get(_IDS, torch.empty(0)).flatten().tolist()
        held = {name: tensor for name, tensor in tensors.items() if name != _IDS}
        names = set(self._shapes(0, small="key_scales.0" in held))
        prefix = self.empty_prefix.from_tensors(held) if names <= set(held) else self.empty_prefix
        shapes = self._shapes(prefix.length, prefix.is_small)
        found = {name: tuple(tensor.shape) for name, tensor in held.items() if name in names}
        if not ids or prefix.tokens != len(ids) or found != shapes or set(held) != set(prefix.tensors()):
            odd = next((f"{name} {shape}" for name, shape in found.items() if shapes.get(name) != shape), "none")
            raise BundleError(
                f"The memory has {len(ids)} tokens and {len(held)} tensors, the odd one {odd}; {self.name} takes "
                f"{len(names)} like keys.0 {self._shapes(len(ids), False)['keys.0']}. Memorise the text again."
            )
        placed = in_turn(self.hardware.device, lambda: self._placed(prefix), is_reading=True)
        self._known = Known(placed, tuple(ids), prompts)

    def _placed(self, prefix: Prefix) -> Prefix:
        """Return a saved prefix as this model reads it: on the devices of its layers, in its number of bits."""
        devices, dtype = self.layer_devices(), self.hardware.torch_dtype
        if self.decoder.small_memory:
            return prefix.small()
        if prefix.is_small:
            prefix = prefix.full(dtype)
        keys, values = (
            tuple(t.to(device, dtype) for t, device in zip(some, devices, strict=True))
            for some in (prefix.keys, prefix.values)
        )
        return replace(prefix, keys=keys, values=values)

    def _shapes(self, length: int, small: bool) -> dict[str, tuple[int, ...]]:
        """Return the shapes that the tensors of a memory of ``length`` tokens have, where it is kept in 8 bits too."""
        config = self.net.config.get_text_config()
        dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        heads, layers = int(config.num_key_value_heads), range(int(config.num_hidden_layers))
        sizes = {"keys": int(dim), "values": int(dim)} | ({"key_scales": 1, "value_scales": 1} if small else {})
        return {f"{kind}.{i}": (1, heads, length, size) for kind, size in sizes.items() for i in layers}

    def _ids_of(self, context: str, prompts: Prompts) -> list[int]:
        least = len(context) // _LONG_TOKEN  # to count the tokens of a text of 200 MB would take minutes
        if self.empty_prefix.peak(least) > self.context_length:
            raise self._too_long(f"at least {least:,}")
        head, _, _ = self._conversation(context, prompts)
        ids = self.token_ids(head)
        if self.empty_prefix.peak(len(ids) + _ASKING_TOKENS) > self.context_length:
            raise self._too_long(str(len(ids)))
        return ids

    def _too_long(self, count: str) -> ContextLengthError:
        return ContextLengthError(
            f"The text has {count} tokens and a question needs {_ASKING_TOKENS} more, but {self.name} reads at most "
            f"{self.context_length} tokens; shorten the text, take a model with a longer window, or use MemoRAGLite."
        )

    def _conversation(self, context: str, prompts: Prompts) -> tuple[str, str, str]:
        """Render the conversation; return what stands before the question, the gap to it, and what stands after it.

        The gap is spaces: a tokenizer joins them with the word that follows, so they are read with the question.
        """
        if not context.strip():
            raise InputError("The text to memorise is empty; give some text.")
        messages = [
            {"role": "user", "content": render(prompts.context, context=context)},
            {"role": "assistant", "content": prompts.acknowledge},
            {"role": "user", "content": _MARK},
        ]
        before, mark, after = self.render_chat(messages).rpartition(_MARK)
        if not mark:
            raise ModelError(f"The chat template of {self.name} leaves out the last message; choose another model.")
        head = before.rstrip(" ")
        return head, before[len(head) :], after

    def _turn(self, instruction: str, prompts: Prompts) -> list[int]:
        """Return the token ids that continue the memorised conversation with ``instruction``."""
        asked = self.harmless(self._check_turn(instruction))
        head, gap, after = self._conversation("-", prompts)
        # Some tokenizers put a space before any text: what the turn is made of shows only behind what precedes it.
        start, whole = self.token_ids(head), self.token_ids(head + gap + asked + after)
        return whole[len(start) :] if whole[: len(start)] == start else self.token_ids(gap + asked + after)


def _in_common(some: Sequence[int], others: Sequence[int]) -> int:
    """Return the length of the longest common beginning."""
    return next((i for i, (a, b) in enumerate(zip(some, others, strict=False)) if a != b), min(len(some), len(others)))
