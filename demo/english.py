"""Every sentence the demo shows, in English. One place, so that wording stays even; chinese.py has the same names."""

from __future__ import annotations

from collections.abc import Sequence
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
QUEUED = "Questions before yours: {count}. It begins by itself."
OPENING = "Opening {title}: {stage}"
ASKING = "{stage} - {seconds} s"
PASSAGES_FOUND = "{count} passages found in {seconds} s."
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
NEW_CONVERSATION = "A new conversation. Earlier ones are kept in the list."
CONVERSATION_OPENED = "The conversation is open again; go on asking."
CONVERSATION_DELETED = "The conversation was deleted."
NO_CONVERSATION = "There is no such conversation of yours; it may have been deleted."
UNDONE = "Taken back. The question is in the box again."
LIKED = "Thank you: noted for whoever runs this page, without any text."
NOTHING_WRITTEN = "Stopped before anything was written."
STOPPED_HERE = "Stopped here."
DELETED = "Your documents and conversations were deleted."
NOTHING_TO_DELETE = "There is nothing of yours on this page."

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
    "queue": "Waiting for other questions",
    "understand": "Understanding the question",
    "recall": "Recalling clues",
    "retrieve": "Finding evidence",
    "write": "Writing the answer",
    "later": "Waiting for the first answer",
    "plain": "Answering with plain RAG",
}
STAGE_SHARE = "{stage}, {share} %"
STAGE_LEFT = "{stage}, about {time} left"

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
DELETE = "Delete my data"
WRITTEN, WRITTEN_TITLE = "Text", "Title"
SETTINGS = "Settings"
GENERATOR = "Generator"
GENERATOR_INFO = "Who writes the answer"
KEY = "API key"
KEY_INFO = "Used for your questions only; never stored or logged."
MODEL = "Model"
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
QUESTION_PLACEHOLDER = "Ask about the corpus"
CONVERSATION = "Conversation"
CONVERSATION_NEW = "New conversation"
CONVERSATION_DELETE = "Delete conversation"
EXPORT = "Export"
EVIDENCE, COMPARISON, MEMORY, RUN = "Evidence", "Compare", "Memory", "Run"
THOUGHT_CLUES = "Recalling clues"
THOUGHT_CLUES_DONE = "Recalling clues: {count} found"
THOUGHT_EVIDENCE = "Finding evidence"
THOUGHT_EVIDENCE_DONE = "Finding evidence: {count} passages"
THOUGHT_UNDERSTOOD = "Understood as"
MORE = "and {count} more"
PAGE = "page {page}"
PAGES = "pages {page}"
PICTURE = "Show page {page}"
PICTURE_OF = "Page {page} of {document}, with the passage marked"
BY_QUESTION = "question"
BY_CLUES = "clues: {count}"
LANGUAGE = "Language"
TEXT = "Text"
TEXT_SIZE = "{tokens} tokens in {chunks} passages"
MEMORY_SIZE = "{tokens} tokens of gists, {size}"
FOUND = "found"
FOUND_NOTHING = "found nothing that was used"
DRAFT = "The memory's own draft, without evidence"
FINAL = "The answer, from the evidence"
FIRST_WORD = "First word"
WHOLE_ANSWER = "Whole answer"
LENGTH = "Length"
SECONDS = "{seconds} s"
TOKENS = "{count} tokens"
SPEED = ", {count} per second"
RUN_PASSAGES = ", {count} passages"
LONGER = "Again, with a longer answer"
NO_CLUES = "Nothing useful was recalled; the question itself is used."
CLUE_KINDS = {"span": "fact", "surrogate": "question", "draft": "draft answer", "point": "key point"}
RETRIEVER = "Retriever"
HARDWARE = "Hardware"
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

KEYS_TITLE = "Keyboard"
KEYS = {
    "/": "go to the question",
    "Enter": "ask; Shift+Enter begins a new line",
    "Esc": "stop the answer",
    "[ ]": "previous and next passage of the evidence",
    "n": "new conversation",
    "?": "show or hide this list",
}
CLOSE = "Close"
SURE = {
    "delete": "Delete all your documents, memories and conversations on this server?",
    "delete-conversation": "Delete this conversation?",
}

# Questions to begin with about a visitor's own documents: of the kinds that need the whole text
OWN_QUESTIONS = (
    "What is this text about, and what are its main points?",
    "Who are the most important people or organisations in it, and how are they connected?",
    "How do things change from the beginning of the text to its end?",
    "Which figures, dates and amounts matter most?",
)

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


def listing(parts: Sequence[str]) -> str:
    """Return words as a list for people."""
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)


def count(number: int) -> str:
    """Return a rough number for people."""
    if number < 10_000:
        return f"{number:,}"
    if number < 1_000_000:
        return f"{round(number, -3):,}"
    return f"{number / 1e6:.1f} million" if number < 10_000_000 else f"{number / 1e6:.0f} million"
