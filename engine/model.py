"""A local causal language model: loading, chat template, batched generation, streaming, stopping.

Texts in, texts out; ``decoding`` does it for token ids. Knows nothing about memories, documents or evidence.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine import hub, kv
from engine.beacon import Beacons
from engine.beacon_prefix import config_of
from engine.chunking import fast_token_spans
from engine.decoding import Decoder, OnRead
from engine.documents import encodable
from engine.errors import ContextLengthError, InputError, ModelError
from engine.events import Reply, Stop
from engine.forward import Forward, forward_of
from engine.hardware import FLASH_ATTENTION, SDPA, Hardware, detect
from engine.linear import quicken
from engine.prefix import EMPTY, Prefix
from engine.sampling import Sampling
from engine.turns import in_turn

Message = dict[str, str]
# Below this many parameters a model follows instructions poorly; defaults become more cautious.
ABLE_PARAMETERS = 1_000_000_000
SMALL_PARAMETERS = 200_000_000


class Model:
    """A causal language model on this machine, with so many ``parameters``.

    Several threads may generate at once: a call keeps its state to itself.
    """

    def __init__(
        self,
        model_name_or_path: str,
        cache_dir: str | Path | None = None,
        access_token: str | None = None,
        beacon_ratio: int = 4,
        load_in_4bit: bool = False,
        enable_flash_attn: bool = True,
        enable_minference: bool = False,
        hardware: Hardware | None = None,
    ) -> None:
        """Load a model by folder, Hub name, or "auto". ``beacon_ratio`` matters to beacon models only (beacon.py).

        Raises:
            InputError: 4-bit loading or a beacon ratio that is not possible.
            ModelError: it cannot be found, verified or loaded.
        """
        self.hardware = hardware or detect(
            load_in_4bit=load_in_4bit, enable_flash_attn=enable_flash_attn, enable_minference=enable_minference
        )
        found = hub.find("memory", model_name_or_path, self.hardware, cache_dir, access_token)
        self.name, self.reason = found.name, found.reason
        self.folder, self.fingerprint = found.folder, found.fingerprint
        kv.register()
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(str(self.folder), padding_side="left")
            self.net = in_turn(self.hardware.device, self._load)
        except (OSError, ValueError, RuntimeError, ImportError, KeyError, SafetensorError) as error:
            raise ModelError(f"The model {self.name!r} could not be loaded: {error}") from error
        if self.tokenizer.chat_template is None:
            raise ModelError(f"The model {self.name!r} has no chat template; choose an instruct or chat model.")
        self.context_length = int(self.net.config.get_text_config().max_position_embeddings)
        # Counted now: taken over or replaced, weights are no parameters of the transformers model any more.
        self.parameters = int(self.net.num_parameters())
        self.decoder = in_turn(self.hardware.device, lambda: self._make_decoder(beacon_ratio))
        # Counting has a tokenizer of its own: how control tokens are taken is a state of the tokenizer.
        self._counter = copy.deepcopy(self.tokenizer)
        self._counter.backend_tokenizer.encode_special_tokens = True
        self._counter.split_special_tokens = True
        special = {str(token) for token in self.tokenizer.added_tokens_decoder.values() if token.special}
        self._control = sorted(special | set(self.tokenizer.all_special_tokens), key=len, reverse=True)

    def _load(self) -> Any:  # noqa: ANN401 - a transformers model
        return AutoModelForCausalLM.from_pretrained(
            str(self.folder),
            dtype=self.hardware.torch_dtype,
            attn_implementation=self.hardware.attention,
            quantization_config=self.hardware.quantization_config(),
            device_map=self.hardware.device_map(),
            use_safetensors=True,
        ).eval()

    def layer_devices(self) -> list[torch.device]:
        """Return the device of each layer: with several GPUs they need not all be on one."""
        # Weights that were taken over (forward.py) are on no device; of norms they are still there.
        layers = self.net.get_decoder().layers
        return [next(weight.device for weight in layer.parameters() if not weight.is_meta) for layer in layers]

    def _make_decoder(self, beacon_ratio: int) -> Decoder:
        beacon_config = config_of(self.net.config, beacon_ratio)
        beacons = Beacons.attach(self.net, self.folder, beacon_config) if beacon_config is not None else None
        small = self.hardware.small_weights
        forward: Forward | kv.StockForward | None = None
        if self.hardware.device == "cpu" and not self.hardware.four_bit and beacons is None:
            forward = forward_of(self.net, small)
        if small and forward is None:
            quicken(self.net)
        # Sharing the prefix saves more than any kernel: flash attention is for the models that cannot share one.
        fitting = self.hardware.attention in (SDPA, FLASH_ATTENTION)
        shares_prefix = fitting and kv.supports_shared_prefix(self.net.config.get_text_config())
        if shares_prefix:
            self.net.set_attn_implementation(kv.SHARED_PREFIX)
        configured = self.net.generation_config.eos_token_id
        ends = {*(configured if isinstance(configured, list) else [configured]), self.tokenizer.eos_token_id} - {None}
        pad = self.tokenizer.pad_token_id
        # On a CPU a larger model takes fewer tokens at a time, so that a stop is noticed in time.
        larger = self.parameters / SMALL_PARAMETERS if self.hardware.device == "cpu" else 1.0
        block = int(self.hardware.prefill_block / max(1.0, larger))
        pad = min(ends) if pad is None else pad
        return Decoder(
            self.net,
            forward or kv.StockForward(self.net, shares_prefix),
            block,
            pad,
            frozenset(map(int, ends)),
            shares_prefix,
            beacons,
            self.hardware.sparse_kernel(),
            small_memory=self.hardware.small_memory and forward is not None,
        )

    @property
    def tokenizer_name(self) -> str:
        """Kind and size of the tokenizer."""
        return f"{type(self.tokenizer).__name__} of {len(self.tokenizer)} tokens"

    @property
    def is_able(self) -> bool:
        """Whether the model is large enough to write gists and clues that can be trusted to help."""
        return self.parameters >= ABLE_PARAMETERS

    @property
    def reads_fast(self) -> bool:
        """Whether it reads two thousand tokens in about a second: on a CPU only a small model does."""
        return self.hardware.device != "cpu" or self.parameters < SMALL_PARAMETERS

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens that ``text`` has in a prompt, where control tokens in it are words."""
        return len(self._counter(encodable(text), add_special_tokens=False, verbose=False)["input_ids"])

    def token_ids(self, text: str) -> list[int]:
        """Tokenize ``text`` without adding special tokens."""
        return list(self.tokenizer(encodable(text), add_special_tokens=False, verbose=False)["input_ids"])

    def token_spans(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Return for each text the character span of each token, where control tokens in it are words."""
        return fast_token_spans(self._counter, texts)

    def harmless(self, text: str) -> str:
        """Return text in which the model's control tokens, such as <|im_end|>, are ordinary words."""
        for token in self._control:
            if len(token) > 1 and token in text:
                text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    def render_chat(self, messages: Sequence[Message]) -> str:
        """Render a conversation that ends with the model's turn to speak; its texts cannot open or close turns."""
        tame = [message | {"content": self.harmless(message["content"])} for message in messages]
        text = self.tokenizer.apply_chat_template(tame, tokenize=False, add_generation_prompt=True)
        return str(text)

    def generate(
        self,
        prompts: str | Sequence[str],
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        seed: int | None = None,
        stop: Stop | None = None,
    ) -> list[str]:
        """Answer each prompt as a conversation of one turn, all of them in one batch.

        Raises:
            InputError: an empty prompt or an impossible setting.
            ContextLengthError: prompt and answer do not fit the model's window.
            Cancelled: ``stop`` was set.
        """
        wanted = [prompts] if isinstance(prompts, str) else prompts
        ids = [self.chat_ids(prompt) for prompt in wanted]
        return [reply.text for reply in self.complete(ids, Sampling(max_new_tokens, temperature, seed), stop=stop)]

    def stream(
        self,
        prompt: str,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        seed: int | None = None,
        stop: Stop | None = None,
    ) -> Iterator[str]:
        """Like ``generate`` for one prompt, yielding pieces of text as they are made."""
        ids = self.chat_ids(prompt)
        yield from self.stream_ids(
            ids, Sampling(max_new_tokens, temperature, seed, 1.0 if self.is_able else 1.05), stop=stop
        )

    def chat_ids(self, prompt: str) -> list[int]:
        """Tokenize a conversation of one turn."""
        if not prompt.strip():
            raise InputError("The prompt is empty; give some text.")
        return self.token_ids(self.render_chat([{"role": "user", "content": prompt}]))

    def complete(
        self,
        rows: Sequence[list[int]],
        sampling: Sampling,
        prefix: Prefix = EMPTY,
        stop: Stop | None = None,
    ) -> list[Reply]:
        """Continue each row of token ids after ``prefix``, all rows as one batch."""
        if not rows:
            return []
        if len(rows) > 1 and prefix.keys and not self._takes_batches():
            return [self.complete([row], sampling, prefix, stop)[0] for row in rows]
        self.check_room(prefix, max(map(len, rows)), sampling.max_new_tokens)
        made: list[list[int]] = [[] for _ in rows]
        for step in self.decoder.steps(rows, sampling, prefix, stop):
            for row, token in zip(made, step, strict=True):
                if token is not None:
                    row.append(token)
        texts = [str(self.tokenizer.decode(row, skip_special_tokens=True)).strip() for row in made]
        return [Reply(text, len(row) == sampling.max_new_tokens) for text, row in zip(texts, made, strict=True)]

    def stream_ids(
        self,
        ids: list[int],
        sampling: Sampling,
        prefix: Prefix = EMPTY,
        stop: Stop | None = None,
    ) -> Iterator[str]:
        """Continue one row of token ids after ``prefix``, yielding text. A token inside a character is held back."""
        self.check_room(prefix, len(ids), sampling.max_new_tokens)
        made: list[int] = []
        shown = 0  # tokens whose text has been yielded
        for (token,) in self.decoder.steps([ids], sampling, prefix, stop):
            if token is None:
                break
            made.append(token)
            # Decoding from a few tokens back keeps the spaces between words and joins split characters.
            start = max(0, shown - 6)
            before = self.tokenizer.decode(made[start:shown], skip_special_tokens=True)
            after = self.tokenizer.decode(made[start:], skip_special_tokens=True)
            if len(after) > len(before) and not after.endswith("\ufffd"):
                yield after[len(before) :]
                shown = len(made)
        start = max(0, shown - 6)
        before = self.tokenizer.decode(made[start:shown], skip_special_tokens=True)
        if rest := str(self.tokenizer.decode(made[start:], skip_special_tokens=True))[len(before) :].rstrip("\ufffd"):
            yield rest

    def read(
        self, ids: list[int], prefix: Prefix = EMPTY, stop: Stop | None = None, on_read: OnRead | None = None
    ) -> Prefix:
        """Read token ids after ``prefix``; return the keys and values of both. ``on_read(done)`` follows every block.

        Raises:
            ContextLengthError: the text does not fit the model's window.
            Cancelled: ``stop`` was set.
        """
        self.check_room(prefix, len(ids), 0)
        return self.decoder.read(ids, prefix, stop, on_read)

    @property
    def empty_prefix(self) -> Prefix:
        """What a memory of this model begins with."""
        return self.decoder.beacons.empty if self.decoder.beacons is not None else EMPTY

    def check_room(self, prefix: Prefix, tokens: int, max_new_tokens: int) -> None:
        """Raise ContextLengthError unless so many tokens can be read after ``prefix``, and written after that."""
        self.check_fits(prefix.peak(tokens + max_new_tokens) - max_new_tokens, max_new_tokens)

    def _takes_batches(self) -> bool:
        """Whether rows of different lengths may continue a prefix together.

        A sliding window counts the padding between the prefix and a shorter row as if it were text, and windows of
        beacons would end at different places.
        """
        return self.decoder.beacons is None and kv.supports_shared_prefix(self.net.config.get_text_config())

    def check_fits(self, prompt_tokens: int, max_new_tokens: int) -> None:
        """Raise ContextLengthError unless prompt and answer fit the model's window."""
        if prompt_tokens + max_new_tokens > self.context_length:
            raise ContextLengthError(
                f"The prompt has {prompt_tokens} tokens and the answer may have {max_new_tokens}, but {self.name} "
                f"reads at most {self.context_length} tokens; shorten the text or lower max_new_tokens."
            )
