"""What tests of the pipelines share: texts, a scripted generator, and short ways to ask."""

from __future__ import annotations

from engine.events import Evidence
from engine.pipeline import Pipeline

QUESTION = "Who was the first keeper of the light, and for how long?"
SHORT = "The first keeper was Isolde Marrick. The door is painted saffron yellow. A visitor must climb 214 steps."
OTHER = "The mill of Ardle stood by the river. Its miller was Joan Pettigrew. The wheel had forty paddles of oak."
FACTS = [
    ("How many steps must a visitor climb to the lantern room?", ["214 steps"]),
    (QUESTION, ["Isolde Marrick", "31 years"]),
    ("What colour is the door of the tower painted?", ["saffron yellow"]),
    ("Who found the logbooks of the station, and in which year?", ["Henrik Vass", "1978"]),
    ("How many logbooks lay under the floor of the coal store?", ["46 logbooks", "coal store"]),
    ("Who was the last keeper, and when was the lamp made automatic?", ["Pell Oduya", "1991"]),
]


def filler(begin: int, count: int) -> str:
    """Paragraphs about other places, so that finding the right passage is no matter of course."""
    names = ("Ardle", "Brook", "Cassing", "Dunford", "Elmstead", "Fernley", "Gorse", "Holt")
    return "\n\n".join(
        f"The mill of {names[n % 8]} {n} stood by the river for {n + 20} years. Its miller had {n % 7 + 2} sons, and "
        f"the wheel had {n + 30} paddles of oak. In spring the water rose to the {n % 5 + 2}th step of the yard, and "
        f"the people of {names[(n + 3) % 8]} brought their barley in boats painted green or brown. A clerk wrote the "
        f"sacks into a ledger, which was lost in the fire of {1700 + n}."
        for n in range(begin, begin + count)
    )


class Scripted:
    """A generator that writes one reply, word by word, and remembers what it was asked."""

    name = "scripted"
    is_able = True

    def __init__(self, reply: str = "It was Isolde Marrick [1]. She left [99].", context_length: int = 8192) -> None:
        self.reply, self.context_length = reply, context_length
        self.prompts: list[str] = []

    def count_tokens(self, text: str) -> int:
        return len(text) // 4

    def stream(self, prompt, max_new_tokens=256, temperature=0.0, *, stop=None):
        self.prompts.append(prompt)
        for word in self.reply.split(" "):
            if stop is not None:
                stop.check()
            yield word + " "


def events_of(pipeline: Pipeline, query: str | None = QUESTION, **options) -> list:
    return list(pipeline.stream(query=query, **{"max_new_tokens": 8} | options))


def evidence_of(pipeline: Pipeline, query: str | None, task: str = "rag", **options) -> Evidence:
    stream = pipeline.stream(query=query, task_type=task, **options)
    evidence = next(event for event in stream if isinstance(event, Evidence))
    stream.close()
    return evidence
