"""Every sentence the demo shows, in English. One place, so that wording stays even; chinese.py has the same names."""

from __future__ import annotations

from typing import Literal

TITLE = "MemoRAG"
TAGLINE = "Reads a long text once, remembers it, and answers from evidence you can check."

# Status line
LOADING = "Loading the models - the page can be used already; questions wait until they are ready."
CHOOSE = "Choose a corpus, or add your own documents."
READY = "Ready: {title} is memorised ({tokens} tokens). Ask a question."
READY_PARTLY = {
    ("memory", "vectors"): "{title} can be asked ({tokens} tokens). So far it is searched by words, without clues.",
    (
        "vectors",
    ): "{title} can be asked ({tokens} tokens). It is searched by words until the index by meaning is built.",
    ("memory",): "{title} can be asked ({tokens} tokens), so far without clues.",
}
READY_UNREAD = " The retriever does not read {language}: passages are found by their words (see Memory)."
OPENING = "Opening {title}: {stage}"
ASKING = "{stage} - {seconds} s"
STOPPED = "Stopped. What was written so far is kept."
DONE = "Answered in {seconds} s."
COMPARING = "Now plain RAG: {status}"
COMPARED = "Answered in {seconds} s, by plain RAG in {plain} s: see Compare."
COMPARING_FAILED = "Answered in {seconds} s. Plain RAG failed: see Compare."
MEMORISING = "Memorising {title}: {stage}"
MEMORISED = "{title} is memorised: {tokens} tokens in {seconds}."
MEMORISING_STOPPED = "Memorising was stopped. The files are still here; press Memorise to start again."
MEMORISING_KEPT = "Memorising was stopped. What is done is kept: {title} can be asked. Press Go on to do the rest."
MEMORISING_FAILED = "{reason} What was done before is kept: {title} can be asked. Press Go on to do the rest."
MORE_NOTES = "See Memory for notes on the other files."
FILES_READY = "Files: {count}, {size}. Press Memorise to read them."
FILES_SOME = "{refusals} Taken: {count} of {given} files."
CLEARED = "The conversation was cleared."
NOTHING_WRITTEN = "*Stopped before anything was written.*"
DELETED = "Your documents were deleted."
NOTHING_TO_DELETE = "There are no documents of yours on this page."

# What goes on while a corpus can be asked already, by what is missing of it
GOING_ON = {
    ("memory", "vectors"): "{title} can be asked, by words and without clues yet",
    ("vectors",): "{title} can be asked, by words until the index by meaning is built",
    ("memory",): "{title} can be asked, without clues yet",
}
GOING_ON_NOW = "{words}: {stage}"
RESUME_HINT = " Press Go on to do the rest."
ELAPSED = "{line} - {elapsed} so far"

# What memorising will cost
COST = (
    "About {tokens} tokens. Can be asked after about {words}, {clues}searched by meaning after {vectors}. "
    "The memory holds {held} tokens of gists of it. Needs {disk} of disk."
)
COST_CLUES = "with clues after {memory}, "
COST_SHORT = "About {tokens} tokens: memorised in about {seconds}."
COST_UNKNOWN = "How much text is in PDF and DOCX files shows when they are read."
COST_LATER = "What it will take can be told when the models are loaded."

ONLY_TEXTS = "The conversation holds something else than texts; empty it and ask again."
NO_DOWNLOADS = "A file was given by an address; upload the file itself."
BUSY_MINE = "{count} of your texts are being memorised already; wait for one, or stop it."

TOO_MUCH_TEXT = "The files hold more text than fits the memory at present. Take fewer at once, or try again later."

ASKED_ENOUGH = "{count} of your questions are being answered already; wait for one, or stop it."

# Stages
STAGES = {
    "waiting": "waiting for other work to finish",
    "starting": "starting",
    "models": "loading the models",
    "reading": "reading the files",
    "splitting": "splitting the text into passages",
    "indexing words": "indexing the words",
    "embedding": "embedding the passages",
    "choosing gists": "choosing the gists",
    "writing gists": "writing the gists",
    "memorising": "reading the gists into the memory",
    "recall": "Recalling clues",
    "retrieve": "Finding evidence",
    "write": "Writing the answer",
    "later": "Waiting for the first answer",
    "plain": "Answering with plain RAG",
}

# Labels
CORPUS = "Corpus"
CORPUS_INFO = "What your questions are about"
FILES = "Add your own documents"
FILES_INFO = (
    "TXT, PDF or DOCX, up to {size} MB each. Only this browser can see them; they are deleted after {hours} hours."
)
WAITING = "Files to memorise"
MEMORISE = "Memorise"
RESUME = "Go on"
UNLOCK = "Password of the file"
UNLOCK_INFO = "Used once to read it; never stored or logged."
STOP = "Stop"
STOP_MEMORISING = "Stop memorising"
DELETE = "Delete my documents"
SETTINGS = "Settings"
GENERATOR = "Generator"
GENERATOR_INFO = "Who writes the answer"
KEY = "API key"
KEY_INFO = "Used for your questions only; never stored or logged."
MODEL = "Model"
MODEL_INFO = "The model's name (with Azure: the deployment)"
ADDRESS = "Server address"
ADDRESS_INFO = "For example http://localhost:8000/v1 (with Azure: the endpoint)"
TEMPERATURE = "Temperature"
TEMPERATURE_INFO = "0 is most certain, 2 most varied"
MAX_TOKENS = "Longest answer"
MODE = "Mode"
MODES = {
    "memorag": "MemoRAG",
    "rag": "Plain RAG",
    "qa": "Memory only",
    "summarize": "Summary",
    "full": "Full text",
}
MODE_INFOS = {
    "memorag": "Recalls clues from the memory and finds passages with them. For most questions, also where the answer "
    "lies in many places.",
    "rag": "The usual way: takes the passages nearest in meaning to the question, without the memory. Quickest; to "
    "compare with, or for single facts.",
    "qa": "Answers from the memory alone, without passages: nothing to check it by. For a first impression.",
    "summarize": "Follows the memory's key points through the whole text; your words say what matters. For overviews.",
    "full": "Gives the generator the whole text. For short texts and generators that read much; slow, and refused "
    "where the text does not fit.",
}
PLAIN: Literal["rag"] = "rag"
COMPARE = "Compare with plain RAG"
COMPARE_INFO = "Answers the question a second time, without the memory, and shows both answers side by side"
QUESTION = "Your question"
ASK = "Ask"
QUESTION_PLACEHOLDER = "Ask about the corpus (Shift+Enter: new line)"
EVIDENCE, COMPARISON, MEMORY, RUN = "Evidence", "Compare", "Memory", "Run"
THOUGHT_CLUES = "Recalling clues"
THOUGHT_CLUES_DONE = "Recalling clues: {count} found"
THOUGHT_EVIDENCE = "Finding evidence"
NO_CLUES = "Nothing useful was recalled; the question itself is used."
CLUE_KINDS = {"span": "fact", "surrogate": "question", "draft": "draft answer", "point": "key point"}
CHOICES = "Chosen for this machine"
NO_EVIDENCE = "No evidence was used: this mode answers from the memory alone."
UNCITED = "No passage supports this sentence"
UNCITED_NOTE = "No passage supports the sentences with a dotted line; check them yourself."
EVIDENCE_EMPTY = "The passages that an answer rests on appear here, numbered as the answer cites them."
MEMORY_EMPTY = "What was memorised, and the clues recalled for each question, appear here."
RUN_EMPTY = "Timings of the last answer appear here."
COMPARISON_EMPTY = "With 'Compare with plain RAG' under Settings, both answers to a question appear here side by side."
COMPARISON_SAME = "This answer is one of plain RAG, so there is nothing to compare it with. Choose another mode."
COMPARISON_FAIR = "Both were written by the same generator with the same limits, one after the other."
COMPARISON_BOTH = "Passages found by both: {both}; by {first} only: {first_only}; by {second} only: {second_only}."
COMPARISON_TIMES = {"Clues": "clues", "Evidence": "retrieval", "First token": "first_token", "Whole answer": "total"}
SHARED = "found by both"
ALONE = "only here"
CITED = "cited"
PROBLEM = "No answer: {sentence}"
PROBLEM_LATE = "Broken off: {sentence}"
CUT = "The answer reached the limit of {tokens} tokens. Raise the longest answer to read on."
CLUES_NOTE = "Clues are the memory's hints. They may be wrong: they only help to find passages and are never evidence."
EMPTY_CHAT = (
    "**1. Choose** a corpus, or add your own documents and memorise them once.  \n"
    "**2. Ask.** Clues are recalled from the memory, and passages are found with them.  \n"
    "**3. Check.** Numbers such as [1] in the answer name the passages under *Evidence*."
)

# Generators
LOCAL = "local"
NAMES = {
    LOCAL: "Local model",
    "openai": "OpenAI",
    "azure": "Azure OpenAI",
    "deepseek": "DeepSeek",
    "huggingface": "Hugging Face router",
    "compatible": "OpenAI-compatible server",
}
GENERATORS = NAMES | {name: f"{NAMES[name]} (needs a key)" for name in ("openai", "azure", "deepseek", "huggingface")}
DEFAULT_MODELS = {
    "openai": "gpt-4o",
    "azure": "",
    "deepseek": "deepseek-chat",
    "huggingface": "Qwen/Qwen2.5-7B-Instruct",
    "compatible": "",
}

# Languages: what retrievers are tested for, by code
LANGUAGES = {
    "ar": "Arabic",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "hi": "Hindi",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "tr": "Turkish",
    "vi": "Vietnamese",
    "zh": "Chinese",
}
UNREAD = (
    "The retriever {retriever} does not read {language}, as a test with a few sentences showed: passages are found by "
    "their words, not by their meaning. A multilingual retriever finds them by both; whoever runs this page can choose "
    "one, such as MEMORAG_RETRIEVER=BAAI/bge-m3."
)

# What went wrong
UNEXPECTED = "Something went wrong on the server, and it was noted there. Your question is kept; please try again."
QUESTION_EMPTY = "The question is empty; write a question."
QUESTION_LONG = "The question has {length} characters; at most {limit} are accepted. Shorten it."
NO_CORPUS = "Choose a corpus first, or memorise your own documents."
UNKNOWN_CORPUS = "There is no corpus {corpus!r} for you; choose one of: {known}."
NO_FILES = "No files were given; add TXT, PDF or DOCX files first."
TOO_MANY_FILES = "{name} is one too many: {limit} files may wait at once. Memorise those first."
FILE_NOT_UPLOADED = "A file was not uploaded here, or is gone already; upload it again."
FILE_WRONG_TYPE = "{name} is of another type; TXT, PDF and DOCX files are accepted."
FILE_TOO_LARGE = "{name} has {size}; at most {limit} MB are accepted. Split it."
FILE_NOT_KEPT = "{name} could not be kept on the server's disk; try again later."
VISITOR_FULL = "{name} is too much: your documents take {used} of {limit} already. Delete them first."
VISITOR_FULL_LATER = (
    "Memorising this needs {needed}, but your documents take {used} of {limit} already. Leave files out, or delete "
    "what is there."
)
DISK_FULL_LATER = "Memorising this needs {needed} on the server's disk, which is nearly full. Try again later."
UPLOAD_TOO_LARGE = "The upload has {size}; at most {limit} are taken at once. Upload fewer or smaller files."
UPLOAD_DISK_FULL = "The server's disk is nearly full, so nothing can be uploaded now; try again later."
UPLOAD_BUSY = "Too many files are being uploaded at the moment; try again in a few minutes."
DISK_FULL = "{name} was not taken: the server's disk is nearly full. Try again later."
UNKNOWN_GENERATOR = "There is no generator {generator!r}; choose one of: {known}."
BAD_MODE = "There is no mode {mode!r}; choose one of: {known}."
BAD_SWITCH = "{name} is {value!r}; give true or false."
NOT_TEXT = "{name} is {value!r}; give text."
NOT_FILES = "The files are {value!r}; give a list of uploaded files, an empty one to open a corpus."
BAD_NUMBER = "{name} is {value!r}; give a number from {low} to {high}."
KEY_MISSING = "{name} needs an API key; enter it under Generator (API: /connect)."
ADDRESS_MISSING = "{name} needs a server address; enter it under Generator (API: /connect)."
MODEL_MISSING = "{name} needs the name of a model; enter it under Generator (API: /connect)."
PRIVATE_ADDRESS = "The server address points into this server's own network, which is not allowed on a public page."
BAD_ADDRESS = "The server address {address!r} is not one; give http://host:port/v1 or https://host/v1."
MODELS_FAILED = "The models could not be loaded: {reason}"
EXPIRED = "This corpus is no longer held, because it was deleted or its time was over; memorise it again."
CONNECTED = "{name} can be used now; nothing was sent yet."
BUSY = "{count} texts are being memorised already; try again in a minute."
BUSY_LARGE = "Long texts are being memorised already; try again when they are done."
NOTHING_MISSING = "Nothing is missing of this corpus."


def size(count: float) -> str:
    """Return a number of bytes for people."""
    if count < 1024:
        return f"{count:.0f} bytes"
    for unit in ("KB", "MB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    count /= 1024
    return f"{count:.1f} GB"


def duration(seconds: float) -> str:
    """Return a time for people."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def count(number: int) -> str:
    """Return a rough number for people."""
    if number < 10_000:
        return f"{number:,}"
    if number < 1_000_000:
        return f"{round(number, -3):,}"
    return f"{number / 1e6:.1f} million" if number < 10_000_000 else f"{number / 1e6:.0f} million"
