"""English words that say little by themselves: what a question is built of, beside what it is about."""

from __future__ import annotations


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


AUXILIARIES = _set(
    "is are was were be been being am do does did done has have had can could will would shall should may might must "
    "isn't aren't wasn't weren't don't doesn't didn't hasn't haven't hadn't can't couldn't won't wouldn't shouldn't"
)
QUESTION_WORDS = _set("what who whom whose which when where why how")
PREPOSITIONS = _set(
    "in on at by with from to for of since until till after before during about under over into onto between among "
    "through against without within near inside outside behind beside besides beyond across along around above below "
    "despite toward towards upon off out per via like"
)
CONJUNCTIONS = frozenset(
    "and but or nor so because if although though while unless whereas that than as whether once".split()  # noqa: SIM905 - as above
)
PRONOUNS = _set(
    "i me my mine we us our ours you your yours he him his she her hers it its they them their theirs himself herself "
    "itself themselves this these those there here someone somebody anyone anybody everyone everybody nobody "
    "something anything everything nothing one ones"
)
FUNCTION = (
    AUXILIARIES
    | QUESTION_WORDS
    | PREPOSITIONS
    | CONJUNCTIONS
    | PRONOUNS
    | _set(
        "the a an some any no not all every each either neither both few many much more most less least several such "
        "then now up down again too also as very just only quite rather ever never always still yet already even "
        "please yes ok okay well oh hmm s t"
    )
)
# Words that name nothing to look for: what people say of any answer, and of any event.
GENERIC = _set(
    "happen happens happened happening say says said saying mean means meant meaning know knows knew known tell tells "
    "told think thinks thought go goes went gone going come comes came coming make makes made get gets got give gives "
    "gave given take takes took taken become becomes became thing things reason reasons example examples instance way "
    "ways detail details detailed else next later afterwards eventually exactly really sure certain instead first "
    "second third last other others another former latter rest same differently else elaborate expand explain clarify "
    "continue repeat answer answers sentence sentences word words short shorter brief briefly simple simpler source "
    "sources page pages quote quotes evidence proof correct right wrong true maybe perhaps long old often far good "
    "bad important interesting fact facts possible work works worked result results further specific precisely old "
    "tall big large small high deep heavy fast hear heard matter matters differ together"
)
IMPERATIVES = _set(
    "tell describe explain list summarise summarize compare give name trace find show discuss write say outline state "
    "identify define quote count translate mention analyse analyze contrast sketch"
)
# What a question about the whole text calls it.
WHOLE = _set(
    "text texts book books document documents file files novel novels story stories companion guide report paper "
    "article corpus contract agreement meeting play poem manual policy law series transcript minutes"
)
# What is asked for, and is not what "it" means.
MEASURES = _set(
    "year day month date time place colour color name number age part kind sort reason purpose effect cause"
)
# Nouns that name a person and do not end like one.
PEOPLE = _set(
    "boy girl king queen son wife husband widow uncle aunt child baby person hero heroine villain friend enemy chief "
    "captain cook pilot priest monk nun nurse judge clerk colonel duke prince bride groom cousin nephew niece lord "
    "lady wizard witch elf ghost giant thief spy youth guest student pupil patient client defendant host coach orphan "
    "ceo president parent saint poet bishop mayor governor general major sergeant mate lad chap fellow god goddess "
    "twin star"
)
# Nouns that name no person and end like one.
THINGS = _set(
    "letter number tower river order paper water powder matter power winter summer weather mirror door floor corner "
    "border harbour harbor horror error colour color danger dinner fever flower finger hammer ladder leather lever "
    "murder offer pepper poster quarter register shoulder silver supper temper thunder timber trigger shutter "
    "computer paper newspaper counter layer meter centre center cover fire wire tree chapter summer answer character "
    "factor motor plant restaurant warrant grant coffee fee tree knee committee degree agreement her "
    "other another former latter over under after ever never"
)
COLLECTIVE = _set("people crew men women children family police team group government trust company council staff")
DETERMINERS = _set("the a an every each any some no which two three four five six seven ten many all most our")
ANYONE = _set("someone somebody anyone anybody everyone everybody nobody whoever one")
OPENERS = _set("and but so or also then ok okay well now yes no please")
# Words that no other language writes like this; two of them tell that a question is English.
ENGLISH = _set("what who whose how why when where which the did does do about tell his she he they it and")
