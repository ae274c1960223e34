"""What happens under Generator on the page: which fields a generator needs, testing it, and forgetting its key.

A key is in the box of the page, and there alone: the browser keeps what was typed for each generator until the page is
reloaded, and gives it back when that generator is chosen again. So a key never goes to another service than its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from demo import render, session, text
from demo.api import visitor_of
from demo.generators import NEEDS, Connection
from demo.offers import Given, Outcome, choices, try_out
from demo.service import Service
from demo.talk import Updates
from demo.visitors import Visitor, Visitors
from engine.settings import Secret

# Before ``fields``: put what is in the boxes aside for the generator it was typed for, and take the other's out.
# For the event ``change``, which comes once: ``input`` comes twice with Gradio 6.31.
SWITCH = """
(generator, model, key, address) => {
  const typed = (window.memoragTyped ??= {});
  const before = window.memoragGenerator ?? "local";
  if (generator === before) return [generator, model, key, address];
  typed[before] = [model, key, address];
  window.memoragGenerator = generator;
  return [generator, ...(typed[generator] ?? ["", "", ""])];
}
"""
# Before ``forget``: only keys are forgotten, names of models and addresses stay. The click takes the cursor out of a
# box, which calls ``changed``: that goes first.
FORGET = """
async (generator, model, key, address) => {
  await new Promise((ready) => setTimeout(ready, 250));
  for (const one of Object.values((window.memoragTyped ??= {}))) one[1] = "";
  return [generator, model, "", address];
}
"""


class Connecting:
    """Handlers of one running demo. Each returns what changes, by the names of the page's components."""

    def __init__(self, service: Service, visitors: Visitors) -> None:
        self.service, self.visitors = service, visitors

    def arrive(self, request: gr.Request) -> Updates:
        """Say which generators can be used, when the page is opened."""
        visitor = visitor_of(self.visitors, request)
        visitor.generators.shown = []
        return self._choices(visitor)

    def look(self, request: gr.Request) -> Updates:
        """Say so again where it changed by itself, as when the local model is loaded; empty where nothing did."""
        return self._choices(visitor_of(self.visitors, request))

    def fields(
        self, generator: str, model: str | None, key: str | None, address: str | None, request: gr.Request
    ) -> Updates:
        """Show the fields that a generator needs, with what was typed for it before."""
        visitor, is_remote = visitor_of(self.visitors, request), generator in NEEDS
        updates = self._changed(visitor, generator, _connection(model, key, address))
        tested = visitor.generators.last_test(generator)
        visitor.generators.is_told = tested is not None
        return {
            **updates,
            "connection": "" if tested is None else _line(tested),
            "model": self._model(visitor, generator, model or text.DEFAULT_MODELS.get(generator, "")),
            "key": gr.Textbox(visible=is_remote, value=key or "", info=_key_info(generator)),
            "address": self._address(generator, address or ""),
            "test_connection": gr.Button(visible=is_remote),
            "forget_key": gr.Button(visible=is_remote),
        }

    def changed(
        self, generator: str, model: str | None, key: str | None, address: str | None, request: gr.Request
    ) -> Updates:
        """Say what is still needed after something was typed; a test of what was there before counts no more."""
        return self._changed(visitor_of(self.visitors, request), generator, _connection(model, key, address))

    def test(
        self, generator: str, model: str | None, key: str | None, address: str | None, request: gr.Request
    ) -> Iterator[Updates]:
        """Test what is in the fields; at first yields that it is being tested."""
        if generator not in NEEDS:
            yield {"connection": ""}
            return
        visitor, connection = visitor_of(self.visitors, request), _connection(model, key, address)
        begun = visitor.generators.given[generator] = Given.of(generator, connection)
        busy = render.status(text.TESTING.format(name=text.NAMES[generator]), "busy")
        yield {"connection": busy, "test_connection": gr.Button(interactive=False)}
        try:
            outcome = try_out(generator, connection, self.service.settings)
        except Exception as error:  # shown in words; the traceback goes to the log
            outcome = Outcome(session.sentence(error))
        visitor.generators.tested[generator] = outcome
        visitor.generators.is_told = True
        # What was typed while the test ran stays as it is: only an empty field is filled in.
        is_same = visitor.generators.given.get(generator) == begun
        filled = outcome.model if is_same and not connection.model.strip() else ""
        if filled:
            visitor.generators.given[generator] = Given.of(generator, replace(connection, model=filled))
        yield {
            **self._choices(visitor),
            "connection": _line(outcome),
            "test_connection": gr.Button(interactive=True),
            **({"model": self._model(visitor, generator, filled or None)} if outcome.models else {}),
        }

    def forget(
        self, generator: str, model: str | None, key: str | None, address: str | None, request: gr.Request
    ) -> Updates:
        """Forget the keys of this page, and what was given to this session by the API."""
        visitor = visitor_of(self.visitors, request)
        visitor.connections.clear()
        visitor.generators.forget()
        return {
            **self._changed(visitor, generator, _connection(model, "", address)),
            "key": gr.Textbox(value=""),
            "connection": render.status(text.FORGOTTEN),
        }

    def _changed(self, visitor: Visitor, generator: str, connection: Connection) -> Updates:
        """Note what is given; where the line tells of a test of something else, it is emptied."""
        known = visitor.generators
        if generator in NEEDS:
            known.given[generator] = Given.of(generator, connection)
        updates = self._choices(visitor)
        if known.is_told and known.last_test(generator) is None:
            known.is_told = False
            updates["connection"] = ""
        return updates

    def _choices(self, visitor: Visitor) -> Updates:
        """Return the choice of generators where it differs from what the page shows: an update closes an open list."""
        known = visitor.generators
        offers = choices(known, self.service.models, self.service.settings)
        if offers == known.shown:
            return {}
        known.shown = offers
        return {"generator": gr.Dropdown(choices=offers)}

    def _model(self, visitor: Visitor, generator: str, value: str | None) -> Any:  # noqa: ANN401 - an update
        is_azure = generator == "azure"
        tested, usual = visitor.generators.tested.get(generator), text.DEFAULT_MODELS.get(generator, "")
        names = list(tested.models) if tested is not None else []
        if usual and usual not in names:
            names.insert(0, usual)
        kept: dict[str, Any] = {} if value is None else {"value": value}
        return gr.Dropdown(
            visible=generator in NEEDS,
            choices=names,
            allow_custom_value=True,  # else a warning with the name goes to the log
            label=text.DEPLOYMENT if is_azure else text.MODEL,
            info=text.DEPLOYMENT_INFO if is_azure else text.MODEL_CHOICE_INFO,
            **kept,
        )

    def _address(self, generator: str, value: str) -> Any:  # noqa: ANN401 - an update
        info = text.ADDRESS_INFO if self.service.settings.is_private_host else text.ADDRESS_PUBLIC_INFO
        is_azure = generator == "azure"
        return gr.Textbox(
            visible="address" in NEEDS.get(generator, ()),
            value=value,
            label=text.ENDPOINT if is_azure else text.ADDRESS,
            info=text.ENDPOINT_INFO if is_azure else info,
        )


def _connection(model: str | None, key: str | None, address: str | None) -> Connection:
    """Return what is in the fields. What is no text is nothing."""
    model, key, address = (value if isinstance(value, str) else "" for value in (model, key, address))
    return Connection(model, Secret(key), address)


def _key_info(generator: str) -> str:
    parts = [text.KEY_INFO, text.KEY_STAYS]
    if place := text.KEYS_AT.get(generator):
        parts.insert(0, text.KEY_FROM.format(place=place))
    elif generator == "compatible":
        parts.insert(0, text.KEY_OPTIONAL)
    return " ".join(parts)


def _line(outcome: Outcome) -> str:
    return render.status(outcome.sentence, "error" if outcome.seconds is None else "idle")
