"""Encoders of every make: own pooling, own prompts, own limits; small random ones, computed a second way by hand."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.encoder import Encoder
from engine.errors import Cancelled, InputError, ModelError
from engine.events import Stop

DATA = Path(__file__).parents[1] / "data"
TEXTS = [
    "The first keeper was Isolde Marrick, the widow of a pilot.",
    "A steam horn called Old Gertrude was sounded in thick weather, and could be heard at Brannoch on a still night.",
    "saffron",
    "",
]
QUERY, PASSAGE = "query: ", "passage: "
# What is made: family, pooling, size of a dense layer, whether it normalises, prompts.
KINDS = {
    "bert-cls": ("bert", "cls", None, True, {"query": QUERY, "passage": PASSAGE}),
    "bert-max": ("bert", "max", None, False, {}),
    "mpnet-dense": ("mpnet", "mean", 16, False, {"query": QUERY, "document": PASSAGE}),
    "qwen2-last": ("qwen2", "lasttoken", None, True, {"query": "Instruct: find passages\nQuery: "}),
}


def tokenizer(family, limit=64):
    """Return a tokenizer trained on the lighthouse; of BERT's kind, or one that puts an end behind each text."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    pieces = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    pieces.normalizer, pieces.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    pieces.train_from_iterator((DATA / "lighthouse.txt").read_text("utf-8").splitlines(), trainer)
    around = "$A [SEP]" if family == "qwen2" else "[CLS] $A [SEP]"
    pieces.post_processor = processors.TemplateProcessing(single=around, special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        **({} if limit is None else {"model_max_length": limit}),
    )


def plain(folder, family, limit=64, positions=128):
    """Save a tiny random net and its tokenizer as transformers does; return the folder."""
    from transformers import AutoConfig, AutoModel

    words = tokenizer(family, limit)
    config = AutoConfig.for_model(
        family,
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=positions,
        initializer_range=0.2,
        pad_token_id=0,
        **({"num_key_value_heads": 2} if family == "qwen2" else {}),
    )
    torch.manual_seed(3)
    AutoModel.from_config(config).save_pretrained(str(folder))
    words.save_pretrained(str(folder))
    return folder


def layered(folder, base, pooling, dense=None, normalise=False, prompts=None):
    """Save an encoder as sentence-transformers does, over a plain folder; return the folder."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    torch.manual_seed(4)
    layers = [Transformer(str(base)), Pooling(32, pooling)]
    layers += [Dense(32, dense)] if dense else []
    layers += [Normalize()] if normalise else []
    SentenceTransformer(modules=layers, prompts=prompts, device="cpu").save(str(folder))
    return folder


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    return {family: plain(tmp_path_factory.mktemp(family), family) for family in ("bert", "mpnet", "qwen2")}


@pytest.fixture(scope="module")
def folders(bases, tmp_path_factory):
    return {
        kind: layered(tmp_path_factory.mktemp(kind), bases[family], *rest) for kind, (family, *rest) in KINDS.items()
    }


@pytest.fixture(scope="module")
def encoders(folders, hardware32):
    return {kind: Encoder(str(folder), hardware=hardware32) for kind, folder in folders.items()}


@pytest.fixture
def bert(folders, hardware32):
    """An encoder of the test's own, to be changed."""
    return Encoder(str(folders["bert-cls"]), hardware=hardware32)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


# The same vectors by another way


@pytest.mark.parametrize("query", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_those_of_the_encoders_own_layers_and_prompts(encoders, folders, kind, query):
    from sentence_transformers import SentenceTransformer

    net = SentenceTransformer(str(folders[kind]), device="cpu", local_files_only=True)
    prompts = KINDS[kind][4]
    prompt = prompts.get("query", "") if query else prompts.get("passage", prompts.get("document", ""))
    expected = [unit(net.encode(prompt + text, prompt="")) for text in TEXTS]
    found = encoders[kind].encode(TEXTS, query=query)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.dtype == np.float32
    if prompts:
        other = encoders[kind].encode(TEXTS, query=not query)
        assert np.abs(found - other).max() > 0.01, "queries and documents are told apart"


def test_a_first_token_with_prompt_and_norm_by_hand(encoders, folders):
    from transformers import AutoModel, AutoTokenizer

    words = AutoTokenizer.from_pretrained(str(folders["bert-cls"]))
    net = AutoModel.from_pretrained(str(folders["bert-cls"])).eval()
    for query, prompt in ((True, QUERY), (False, PASSAGE)):
        for text, found in zip(TEXTS, encoders["bert-cls"].encode(TEXTS, query=query), strict=True):
            with torch.no_grad():
                states = net(**words(prompt + text, return_tensors="pt")).last_hidden_state
            np.testing.assert_allclose(found, unit(states[0, 0].numpy()), atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "mpnet"])
def test_a_plain_folder_is_read_by_the_mean_over_its_tokens(bases, hardware32, family):
    from transformers import AutoModel, AutoTokenizer

    folder = str(bases[family])
    encoder = Encoder(folder, hardware=hardware32)
    words, net = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    for text, found in zip(TEXTS, encoder.encode(TEXTS), strict=True):
        with torch.no_grad():
            states = net(**words(text, return_tensors="pt")).last_hidden_state
        np.testing.assert_allclose(found, unit(states[0].mean(0).numpy()), atol=1e-5)
    assert (encoder.max_tokens, encoder.dimension) == (62, 32), "the tokenizer's own limit of 64, less two"


def test_a_chat_models_folder_is_read_by_its_last_token(tiny_folder_of, hardware32):
    encoder = Encoder(str(tiny_folder_of("qwen2")), hardware=hardware32)
    found = encoder.encode(TEXTS[:3])
    assert found.shape == (3, 64)
    longest = max(len(spans) for spans in encoder.token_spans(TEXTS))
    assert longest < encoder.max_tokens < 2048


# Limits


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_of_max_tokens_is_read_to_its_last_token_and_no_further(encoders, lighthouse, kind):
    encoder = encoders[kind]
    spans = encoder.token_spans([lighthouse])[0]
    most = encoder.max_tokens
    # A cut within a word can make other tokens of what is left: one that does not is looked for.
    pieces = (lighthouse[spans[i][0] : spans[i + most - 1][1]] for i in range(100, 300))
    fits = next(piece for piece in pieces if len(encoder.token_spans([piece])[0]) == most)
    shorter = fits[: encoder.token_spans([fits])[0][-1][0]]
    vectors = encoder.encode([fits, shorter, f"{fits} and so on"])
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-4, "the last token counts"
    np.testing.assert_allclose(vectors[0], vectors[2], atol=1e-5, err_msg="what stands behind it does not")


def test_the_prompt_takes_from_what_a_text_may_have(encoders):
    for kind, (special, prompt) in {
        "bert-cls": (2, PASSAGE),
        "bert-max": (2, ""),
        "mpnet-dense": (2, PASSAGE),
        "qwen2-last": (1, ""),
    }.items():
        assert encoders[kind].max_tokens == 64 - special - len(encoders[kind].token_spans([prompt])[0]), kind
    assert encoders["bert-cls"].max_tokens < 62


@pytest.mark.parametrize(("family", "reads"), [("bert", 40), ("xlm-roberta", 39), ("mpnet", 38), ("qwen2", 40)])
def test_where_the_tokenizer_names_no_limit_the_positions_that_were_learnt_count(tmp_path, hardware32, family, reads):
    encoder = Encoder(str(plain(tmp_path, family, limit=None, positions=40)), hardware=hardware32)
    assert encoder.max_tokens == reads - (1 if family == "qwen2" else 2)
    assert np.isfinite(encoder.encode(["keeper " * 500])).all()


def test_a_limit_beyond_the_learnt_positions_is_lowered(bases, tmp_path, hardware32):
    folder = layered(tmp_path / "encoder", bases["bert"], "mean")
    for name in ("tokenizer_config.json", "sentence_bert_config.json"):
        facts = json.loads((folder / name).read_text("utf-8"))
        key = "model_max_length" if name.startswith("tokenizer") else "max_seq_length"
        (folder / name).write_text(json.dumps(facts | {key: 5000}), "utf-8")
    encoder = Encoder(str(folder), hardware=hardware32)
    assert encoder.max_tokens == 126
    assert encoder.encode(["keeper " * 5000]).shape == (1, 32)


@pytest.mark.parametrize("limit", [-5, 0, 1, 2, 3])
def test_an_encoder_without_room_for_text_is_refused(bases, tmp_path, hardware32, limit):
    folder = layered(tmp_path / "encoder", bases["bert"], "cls", prompts={"document": "d "})
    config = folder / "tokenizer_config.json"
    facts = json.loads(config.read_text("utf-8"))
    config.write_text(json.dumps(facts | {"model_max_length": limit}), "utf-8")
    with pytest.raises(ModelError, match=r"cannot embed a text|take up"):
        Encoder(str(folder), hardware=hardware32)


# Folders that are no encoder


def damaged(folder, base, how):
    """Save an encoder and damage it."""
    layered(folder, base, "mean", dense=16)
    if how == "no pooling":
        modules = json.loads((folder / "modules.json").read_text("utf-8"))
        (folder / "modules.json").write_text(json.dumps(modules[:1]), "utf-8")
    elif how == "dense layer of another size":
        config = folder / "2_Dense" / "config.json"
        config.write_text(config.read_text("utf-8").replace('"in_features": 32', '"in_features": 31'), "utf-8")
    elif how == "pickled layer":
        torch.save({}, folder / "2_Dense" / "pytorch_model.bin")
        (folder / "2_Dense" / "model.safetensors").unlink()
    elif how == "layers of its own code":
        modules = (folder / "modules.json").read_text("utf-8")
        (folder / "modules.json").write_text(
            modules.replace("sentence_transformers.base.modules.dense", "own"), "utf-8"
        )
    else:
        (folder / "modules.json").write_text("[{}]", "utf-8")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no pooling", "cannot embed a text"),
        ("dense layer of another size", "could not be loaded"),
        ("pickled layer", "pickled weights in '2_Dense', which are never loaded"),
        ("layers of its own code", "could not be loaded"),
        ("nonsense", "could not be loaded"),
    ],
)
def test_a_folder_that_is_no_encoder_is_refused(bases, tmp_path, hardware32, how, message):
    damaged(tmp_path / "encoder", bases["bert"], how)
    with pytest.raises(ModelError, match=message):
        Encoder(str(tmp_path / "encoder"), hardware=hardware32)


def test_an_encoder_whose_tokenizer_gives_no_spans_is_refused(bases, tmp_path, hardware32):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    static = StaticEmbedding(tokenizer("bert").backend_tokenizer, embedding_dim=8)
    SentenceTransformer(modules=[static], device="cpu").save(str(tmp_path / "static"))
    (tmp_path / "static" / "config.json").write_text("{}", "utf-8")
    with pytest.raises(ModelError, match="no fast tokenizer"):
        Encoder(str(tmp_path / "static"), hardware=hardware32)


def test_vectors_that_are_no_numbers_are_refused(bert):
    with torch.no_grad():
        next(bert._net.parameters()).fill_(float("nan"))
    with pytest.raises(ModelError, match="no finite vectors in float32"):
        bert.encode(["keeper"])


# Batches


@pytest.fixture
def shapes(bert):
    """The shapes [texts, tokens] of the batches that reach the net of ``bert``."""
    seen = []
    bert._net.register_forward_pre_hook(lambda _, args: seen.append(tuple(args[0]["input_ids"].shape)))
    return seen


def passages(count, seed=0):
    """Return texts of 0 to 60 words."""
    words = (DATA / "lighthouse.txt").read_text("utf-8").split()
    sizes = np.random.default_rng(seed).integers(0, 60, count)
    return [" ".join(words[start : start + size]) for start, size in enumerate(sizes)]


def test_a_batch_holds_what_fits_its_tokens_longest_first(bert, shapes):
    texts, bert._batch_tokens = passages(60), 300
    expected = bert.encode(texts, batch=1)
    shapes.clear()
    np.testing.assert_allclose(bert.encode(texts), expected, atol=1e-5)
    assert sum(count for count, _ in shapes) == len(texts)
    assert all(count * width <= 300 for count, width in shapes)
    widths = [width for _, width in shapes]
    assert widths == sorted(widths, reverse=True)
    full = [(count + 1) * width > 300 for count, width in shapes[:-1]]
    assert all(full), "no batch is smaller than it need be"


def test_where_little_memory_is_free_batches_are_smaller(bert, shapes, monkeypatch):
    texts = passages(40)
    bert.encode(texts)
    assert shapes == [(40, 64)], "small nets take many texts at once"
    shapes.clear()
    free = 400 * bert._token_bytes
    monkeypatch.setattr(type(bert.hardware), "free_bytes", lambda _: free)
    bert.encode(texts)
    assert sum(count for count, _ in shapes) == len(texts)
    assert all(count * width * bert._token_bytes <= free / 2 for count, width in shapes)
    shapes.clear()
    monkeypatch.setattr(type(bert.hardware), "free_bytes", lambda _: 0)
    bert.encode(texts[:3])
    assert [count for count, _ in shapes] == [1, 1, 1], "one text at least is tried"


def test_a_text_longer_than_a_batch_goes_alone(bert, shapes):
    bert._batch_tokens = 10
    assert bert.encode(["keeper " * 50, "keeper " * 40]).shape == (2, 32)
    assert [count for count, _ in shapes] == [1, 1]


@pytest.mark.parametrize("most", [64, 150, 500])
def test_when_the_memory_runs_out_the_batch_is_halved(bert, monkeypatch, most):
    texts = passages(40, seed=1)
    expected, forward, tried = bert.encode(texts, batch=1), bert._net.forward, []

    def with_little_memory(features, **options):
        count, width = features["input_ids"].shape
        tried.append((count, count * width))
        if tried[-1][1] > most:
            raise torch.OutOfMemoryError("out of memory")
        return forward(features, **options)

    monkeypatch.setattr(bert._net, "forward", with_little_memory)
    np.testing.assert_allclose(bert.encode(texts), expected, atol=1e-5)
    failed = [count for count, tokens in tried if tokens > most]
    assert failed == [40, 20, 10, 5, 2][: len(failed)]
    assert tried[0][0] == 40
    assert sum(count for count, tokens in tried if tokens <= most) == len(texts), "no text twice, none left out"


def test_memory_too_small_for_one_text_is_said(bert, monkeypatch):
    def without_memory(*_, **__):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(bert._net, "forward", without_memory)
    with pytest.raises(ModelError, match=r"too small for .* to embed \d+ tokens; free some"):
        bert.encode(passages(5))


def test_a_stop_is_seen_between_batches_and_before_counting(bert, shapes):
    stop, texts = Stop(), passages(30)
    bert._batch_tokens = 200
    with pytest.raises(Cancelled):
        bert.encode(texts, on_progress=lambda _: stop.set(), stop=stop)
    assert len(shapes) == 1
    with pytest.raises(Cancelled):
        bert.encode(texts, stop=stop)
    assert len(shapes) == 1


def test_nothing_and_texts_without_a_token_have_vectors_too(encoders, tmp_path, hardware32):
    for encoder in encoders.values():
        assert encoder.encode([]).shape == (0, encoder.dimension)
    words = tokenizer("qwen2")
    words.backend_tokenizer.post_processor = None
    folder = plain(tmp_path, "qwen2")
    words.save_pretrained(str(folder))
    bare = Encoder(str(folder), hardware=hardware32)
    found = bare.encode(["", "keeper", "\n"])
    assert np.linalg.norm(found, axis=1).round(4).tolist() == [0, 1, 0]
    assert bare.encode(["", ""]).tolist() == np.zeros((2, 32)).tolist()


def test_a_batch_of_no_texts_is_refused(encoders):
    with pytest.raises(InputError, match="give 1 or more"):
        encoders["bert-max"].encode(["keeper"], batch=0)


def test_many_threads_get_the_vectors_that_one_gets_in_turns(bert):
    texts, bert._batch_tokens = passages(24, seed=2), 300
    expected = {query: bert.encode(texts, query=query) for query in (False, True)}
    begin, inside, most = threading.Barrier(6), [], []
    bert._net.register_forward_pre_hook(lambda *_: (inside.append(1), most.append(len(inside)), None)[-1])
    bert._net.register_forward_hook(lambda *_: (inside.pop(), None)[-1])

    def work(number):
        begin.wait()
        for _ in range(3):
            bert.token_spans(texts)
            found = bert.encode(texts, query=number % 2 == 0)
        return found

    with ThreadPoolExecutor(6) as pool:
        for number, found in enumerate(pool.map(work, range(6))):
            np.testing.assert_allclose(found, expected[number % 2 == 0], atol=1e-5)
    assert max(most) == 1
