"""A local causal language model: loading, chat template, batched generation, streaming, stopping.

Generation is a plain loop over forward passes, so that it can be stopped between any two of them, can start from a
shared KV prefix, and yields tokens without a second thread. Knows nothing about memories, documents or evidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine import hub, kv
from engine.errors import ContextLengthError, InputError, ModelError
from engine.events import Stop
from engine.hardware import FLASH_ATTENTION, SDPA, Hardware, detect
from engine.sampling import Chooser, Sampling
from engine.settings import default_cache_dir

Message = dict[str, str]
# Below this many parameters a model follows instructions poorly; defaults become more cautious.
ABLE_PARAMETERS = 1_000_000_000
SMALL_PARAMETERS = 200_000_000


class Model:
    """A causal language model on this machine.

    Several threads may generate at once: a call keeps its state to itself.
    """

    def __init__(
        self,
        model_name_or_path: str,
        cache_dir: str | Path | None = None,
        access_token: str | None = None,
        load_in_4bit: bool = False,
        enable_flash_attn: bool = True,
        hardware: Hardware | None = None,
    ) -> None:
        """Load a model by folder, Hub name, or "auto".

        Raises:
            ModelError: it cannot be found, verified or loaded.
        """
        self.hardware = hardware or detect(load_in_4bit=load_in_4bit, enable_flash_attn=enable_flash_attn)
        self.name, self.reason = model_name_or_path, f"{model_name_or_path}, as asked for"
        if model_name_or_path == "auto":
            self.name, self.reason = hub.choose("memory", self.hardware)
        folder = hub.locate(self.name, Path(cache_dir) if cache_dir else default_cache_dir(), access_token)
        self.fingerprint = hub.fingerprint(folder)
        kv.register()
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(str(folder), padding_side="left")
            self.net = self._load(folder)
        except (OSError, ValueError, RuntimeError, ImportError, KeyError, SafetensorError) as error:
            raise ModelError(f"The model {self.name!r} could not be loaded: {error}") from error
        if self.tokenizer.chat_template is None:
            raise ModelError(f"The model {self.name!r} has no chat template; choose an instruct or chat model.")
        self.context_length = int(self.net.config.get_text_config().max_position_embeddings)
        self._end_ids = self._read_end_ids()
        special = {str(token) for token in self.tokenizer.added_tokens_decoder.values() if token.special}
        self._control = sorted(special | set(self.tokenizer.all_special_tokens), key=len, reverse=True)

    def _load(self, folder: Path) -> Any:  # noqa: ANN401 - a transformers model
        net = AutoModelForCausalLM.from_pretrained(
            str(folder),
            dtype=self.hardware.torch_dtype,
            attn_implementation=self.hardware.attention,
            quantization_config=self.hardware.quantization_config(),
            device_map=None if self.hardware.device == "cpu" else self.hardware.device,
            use_safetensors=True,
        ).eval()
        # Sharing the prefix saves more than any kernel: flash attention is for the models that cannot share one.
        fitting = self.hardware.attention in (SDPA, FLASH_ATTENTION)
        self.shares_prefix = fitting and kv.supports_shared_prefix(net.config.get_text_config())
        if self.shares_prefix:
            net.set_attn_implementation(kv.SHARED_PREFIX)
        return net

    def _read_end_ids(self) -> frozenset[int]:
        configured = self.net.generation_config.eos_token_id
        ids = set(configured if isinstance(configured, list) else [configured])
        return frozenset(int(i) for i in (*ids, self.tokenizer.eos_token_id) if i is not None)

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return int(self.net.num_parameters())

    @property
    def _block(self) -> int:
        """Tokens of one forward pass: on a CPU fewer for a larger model, so that a stop is noticed in time."""
        larger = self.parameters / SMALL_PARAMETERS if self.hardware.device == "cpu" else 1.0
        return int(self.hardware.prefill_block / max(1.0, larger))

    @property
    def is_able(self) -> bool:
        """Whether the model is large enough to write gists and clues that can be trusted to help."""
        return self.parameters >= ABLE_PARAMETERS

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of ``text``, without special tokens."""
        return len(self.token_ids(text))

    def token_ids(self, text: str) -> list[int]:
        """Tokenize ``text`` without adding special tokens."""
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def token_spans(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Return for each text the character span of each token."""
        return fast_token_spans(self.tokenizer, texts)

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
        wanted = [prompts] if isinstance(prompts, str) else list(prompts)
        ids = [self.chat_ids(prompt) for prompt in wanted]
        return self.complete(ids, Sampling(max_new_tokens, temperature, seed), stop=stop)

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
        prefix: kv.Prefix = kv.EMPTY,
        stop: Stop | None = None,
    ) -> list[str]:
        """Continue each row of token ids after ``prefix``, all rows as one batch; return the new texts."""
        if not rows:
            return []
        if len(rows) > 1 and prefix.keys and not kv.supports_shared_prefix(self.net.config.get_text_config()):
            # A sliding window counts the padding between the prefix and a shorter row as if it were text.
            return [self.complete([row], sampling, prefix, stop)[0] for row in rows]
        made: list[list[int]] = [[] for _ in rows]
        for step in self._decode(rows, sampling, prefix, stop):
            for row, token in zip(made, step, strict=True):
                if token is not None:
                    row.append(token)
        return [str(self.tokenizer.decode(row, skip_special_tokens=True)).strip() for row in made]

    def stream_ids(
        self,
        ids: list[int],
        sampling: Sampling,
        prefix: kv.Prefix = kv.EMPTY,
        stop: Stop | None = None,
    ) -> Iterator[str]:
        """Continue one row of token ids after ``prefix``, yielding text. A token inside a character is held back."""
        made: list[int] = []
        shown = 0  # tokens whose text has been yielded
        for (token,) in self._decode([ids], sampling, prefix, stop):
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

    def read(self, ids: list[int], stop: Stop | None = None, on_read: Any = None) -> kv.Prefix:  # noqa: ANN401
        """Read token ids once and return their keys and values; ``on_read(done)`` is called after every block.

        Raises:
            ContextLengthError: the text does not fit the model's window.
        """
        self.check_fits(len(ids), 0)
        cache = self._cache(kv.EMPTY, len(ids))
        tokens = torch.tensor([ids], device=self.net.device)
        self._prefill(tokens, torch.ones_like(tokens), cache, stop, on_read)
        return cache.freeze()

    def check_fits(self, prompt_tokens: int, max_new_tokens: int) -> None:
        """Raise ContextLengthError unless prompt and answer fit the model's window."""
        if prompt_tokens + max_new_tokens > self.context_length:
            raise ContextLengthError(
                f"The prompt has {prompt_tokens} tokens and the answer may have {max_new_tokens}, but {self.name} "
                f"reads at most {self.context_length} tokens; shorten the text or lower max_new_tokens."
            )

    def _cache(self, prefix: kv.Prefix, capacity: int) -> kv.TailCache:
        layers = int(self.net.config.get_text_config().num_hidden_layers)
        return kv.TailCache(prefix, layers, capacity, joined=not self.shares_prefix)

    @torch.inference_mode()
    def _prefill(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        cache: kv.TailCache,
        stop: Stop | None,
        on_read: Any = None,  # noqa: ANN401 - called with the number of tokens read
    ) -> torch.Tensor:
        """Feed [batch, n] token ids block by block; return the last logits [batch, vocabulary] in float32."""
        block, length = max(1, self._block // ids.shape[0]), ids.shape[1]
        positions = (mask.cumsum(-1) - 1).clamp(min=0) + cache.prefix.length
        logits = torch.empty(0)
        for start in range(0, length, block):
            if stop is not None:
                stop.check()
            end = min(start + block, length)
            logits = self._forward(ids[:, start:end], mask[:, :end], positions[:, start:end], cache)
            if on_read is not None:
                on_read(end)
        return logits

    def _forward(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: kv.TailCache
    ) -> torch.Tensor:
        if cache.joined and cache.prefix.keys:
            past = mask.new_ones(mask.shape[0], cache.prefix.length)
            mask = torch.cat([past, mask], dim=1)
        output = self.net(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            **cache.forward_arguments(),
        )
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits

    @torch.inference_mode()
    def _decode(
        self, rows: Sequence[list[int]], sampling: Sampling, prefix: kv.Prefix, stop: Stop | None
    ) -> Iterator[list[int | None]]:
        """Yield per step one new token id per row, None for a row that has ended."""
        longest = max(len(row) for row in rows)
        self.check_fits(prefix.length + longest, sampling.max_new_tokens)
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else next(iter(self._end_ids))
        device = self.net.device
        ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows], device=device)
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
        cache = self._cache(prefix, longest + sampling.max_new_tokens)
        logits = self._prefill(ids, mask, cache, stop)
        chooser = Chooser(sampling, len(rows), logits.device)
        ended = [False] * len(rows)
        for _ in range(sampling.max_new_tokens):
            chosen = chooser.next(logits)
            tokens = chosen.tolist()
            ended = [done or token in self._end_ids for done, token in zip(ended, tokens, strict=True)]
            if all(ended):
                return
            yield [None if done else token for done, token in zip(ended, tokens, strict=True)]
            if stop is not None:
                stop.check()
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
            positions = mask.sum(-1, keepdim=True) - 1 + prefix.length
            logits = self._forward(chosen[:, None], mask, positions, cache)


def fast_token_spans(tokenizer: Any, texts: Sequence[str]) -> list[list[tuple[int, int]]]:  # noqa: ANN401
    """Return for each text the character span of each token, by a transformers fast tokenizer."""
    if not texts:
        return []
    encoded = tokenizer(
        list(texts),
        add_special_tokens=False,
        return_offsets_mapping=True,
        truncation=False,
        padding=False,
        verbose=False,
    )
    return [list(spans) for spans in encoded["offset_mapping"]]
