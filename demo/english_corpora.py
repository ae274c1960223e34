"""What the demo says about ready-made corpora, in English; chinese_corpora.py has the same names."""

# In the selector, behind a title
MARKED = "{title} ({marks})"
MARKS = {"private": "private", "stale": "out of date", "damaged": "damaged"}
MARKS_BETWEEN = ", "

# Below the selector
ABOUT = "{description} {language}, licence: {licence}."
ABOUT_PRIVATE = "{description} {language}. Added on this computer, and offered on it alone."
ABOUT_MINE = "Your own text, for you alone. Files: {names}."

# Status line
STALE = (
    "{title} is out of date: it was made for other models, by another version or of another text. "
    "Press Rebuild to make it again."
)
DAMAGED = "The files of {title} are damaged. Press Rebuild to make it again."
REBUILDING = "Rebuilding {title}: {stage}"
NO_REBUILD = "This corpus can be used as it is, or is no longer there; choose it again."

# Labels
REBUILD = "Rebuild"
NAME = "Name"
NAME_INFO = "Optional. A ready-made one gets your own text, for you alone."
