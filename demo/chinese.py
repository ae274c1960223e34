"""Every sentence the demo shows, in Chinese: the names of ``english.py``. What is missing here is said in English."""

from __future__ import annotations
