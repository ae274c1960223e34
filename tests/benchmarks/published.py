"""The reference side: the published algorithm (arXiv 2409.05591), done plainly on stock transformers.

    memorise   stretches of 4,096 tokens -> gists, one after the other -> all gists read in one forward pass
    ask        recall, then rewrite, each alone on a deep copy of the memory -> one dense search for every clue line
               -> all passages found, in the order of the text, in one prompt -> answer

Nothing here is batched, shared, quantised or kept within a window. Models' files, prompts and passages are those of the
engine, so that both sides get the same.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.generation.streamers import BaseStreamer

from engine import hub
from engine.chunking import fast_token_spans, split
from engine.documents import Document
from engine.language import language_of
from engine.prompt import en_prompts, prompts_for, render

PENALTY = 1.2


@dataclass(frozen=True)
class Limits:
    """Tokens of a stretch, and new tokens at most of a gist, of a reply with clues and of an answer; and of a passage
    (tokens of the encoder), of which each clue line finds ``hits``. The published figures.

    With ``exact``, everything that is written has as many tokens as it may have, whatever the model would do.
    """

    stretch: int = 4096
    gist: int = 512
    clue: int = 128
    answer: int = 256
    passage: int = 256
    hits: int = 3
    exact: bool = False


@dataclass(frozen=True)
class Asked:
    """An answer with its seconds from the question on, and how many tokens were written for it."""

    text: str
    first_token: float
    total: float
    clue_tokens: int
    answer_tokens: int
    prompt_tokens: int


class FirstToken(BaseStreamer):
    """Notes when the first new token comes: ``generate`` hands over the prompt, then token after token."""

    def __init__(self) -> None:
        self.handed, self.at = 0, 0.0

    def put(self, value: torch.Tensor) -> None:
        self.handed += 1
        if self.handed == 2:
            self.at = time.perf_counter()

    def end(self) -> None:
        """Nothing is left to be shown."""


class Published:
    """Memory, retriever and generator over one text. ``dtype`` is that of model and encoder, which run on the CPU."""

    def __init__(
        self,
        model: str = hub.SMOLLM2,
        retriever: str = hub.MINILM,
        limits: Limits | None = None,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        folder = str(hub.locate(model))
        self.limits, self.prompts = limits or Limits(), en_prompts
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.net = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, use_safetensors=True).eval()
        self.encoder = SentenceTransformer(
            str(hub.locate(retriever)), device="cpu", local_files_only=True, model_kwargs={"dtype": dtype}
        )
        self.gists: list[str] = []
        self.gist_tokens = 0

    def memorise(self, text: str) -> None:
        """Write a gist of every stretch, read all gists, and embed the passages."""
        self.prompts, self.gists, self.gist_tokens = prompts_for(language_of([text])), [], 0
        for stretch in self.stretches(text):
            asked = self.chat([("user", render(self.prompts.gist, context=stretch))])
            new = self.generate(asked, self.limits.gist, repetition_penalty=PENALTY)
            self.gists.append(self.words(new))
            self.gist_tokens += len(new)
        self.conversation = [
            ("user", render(self.prompts.context, context="\n\n".join(self.gists))),
            ("assistant", self.prompts.acknowledge),
        ]
        ids = self.chat(self.conversation, answering=False)
        with torch.inference_mode():
            self.memory = self.net(input_ids=torch.tensor([ids]), use_cache=True).past_key_values
        document = Document("text", text)
        spans = lambda texts: fast_token_spans(self.encoder.tokenizer, texts)  # noqa: E731
        self.passages = [chunk.of([document]) for chunk in split([document], self.limits.passage, spans)]
        self.vectors = self.encoder.encode(self.passages, normalize_embeddings=True, convert_to_tensor=True)

    def stretches(self, text: str) -> list[str]:
        """Cut a text after every so many tokens, wherever that is."""
        ids = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        step = self.limits.stretch
        return [self.tokenizer.decode(ids[begin : begin + step]) for begin in range(0, len(ids), step)]

    def ask(self, question: str, exactly: int | None = None) -> Asked:
        """Answer a question; with ``exactly``, the answer has so many tokens."""
        began = time.perf_counter()
        recalled, rewritten = self.recall(question), self.rewrite(question)
        lines = f"{self.words(recalled)}\n{self.words(rewritten)}".splitlines()
        found = self.search(list(filter(str.strip, lines)) or [question])
        evidence = "\n\n".join(self.passages[number].strip() for number in found)
        prompt = self.chat([("user", render(self.prompts.qa_gen_short, evidence=evidence, question=question))])
        clock, most = FirstToken(), exactly or self.limits.answer
        new = self.generate(prompt, most, exactly is not None, streamer=clock)
        total = time.perf_counter() - began
        clues = len(recalled) + len(rewritten)
        return Asked(self.words(new), clock.at - began, total, clues, len(new), len(prompt))

    def recall(self, question: str, limit: int | None = None) -> list[int]:
        """Recall facts for a question from the memory; return token ids."""
        return self.from_memory(render(self.prompts.span, question=question), limit)

    def rewrite(self, question: str) -> list[int]:
        """Rewrite a question into simpler ones with the memory; return token ids."""
        return self.from_memory(render(self.prompts.sur, question=question))

    def from_memory(self, instruction: str, limit: int | None = None) -> list[int]:
        """Put an instruction to a deep copy of the memory as the conversation's next turn."""
        ids = self.chat([*self.conversation, ("user", instruction)])
        return self.generate(ids, limit or self.limits.clue, past_key_values=copy.deepcopy(self.memory))

    def search(self, lines: list[str]) -> list[int]:
        """Return the numbers of all passages that any line finds, in the order of the text."""
        found: set[int] = set()
        for line in lines:
            vector = self.encoder.encode(line, normalize_embeddings=True, convert_to_tensor=True)
            best = (self.vectors @ vector).topk(min(self.limits.hits, len(self.passages)))
            found.update(best.indices.tolist())
        return sorted(found)

    def save(self, folder: Path) -> None:
        """Write the memory, the vectors and the passages."""
        folder.mkdir(parents=True, exist_ok=True)
        layers = [(layer.keys, layer.values) for layer in self.memory.layers]
        torch.save(layers, folder / "memory.bin")
        torch.save({"vectors": self.vectors, "passages": self.passages}, folder / "index.bin")

    def load(self, folder: Path) -> None:
        """Read what ``save`` wrote, whole."""
        cache = DynamicCache()
        for number, (keys, values) in enumerate(torch.load(folder / "memory.bin", weights_only=True)):
            cache.update(keys, values, number)
        index = torch.load(folder / "index.bin", weights_only=True)
        self.memory, self.vectors, self.passages = cache, index["vectors"], index["passages"]

    @property
    def tokens(self) -> int:
        """Number of remembered tokens."""
        return int(self.memory.get_seq_length())

    @property
    def nbytes(self) -> int:
        """Size of the keys and values in bytes."""
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in self.memory.layers)

    def chat(self, turns: list[tuple[str, str]], answering: bool = True) -> list[int]:
        """Return the token ids of a conversation; ``answering`` adds the beginning of the model's turn."""
        messages = [{"role": role, "content": content} for role, content in turns]
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=answering)
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def generate(self, ids: list[int], limit: int, exact: bool = False, **options: Any) -> list[int]:
        """Continue token ids greedily, one sequence alone; return the new ones. ``exact`` allows no end before."""
        prompt = torch.tensor([ids])
        if exact or self.limits.exact:
            options["min_new_tokens"] = limit
        with torch.inference_mode():
            found = self.net.generate(
                prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=limit, do_sample=False, **options
            )
        return list(found[0, len(ids) :].tolist())

    def words(self, ids: list[int]) -> str:
        """Return the text of token ids."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()
