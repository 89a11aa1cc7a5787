"""The ways in which a server may write what it repeats, by their names."""

import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper case": str.upper,
    "lower case": str.lower,
    "percent": quote,
    "percent, all": lambda text: quote(text, safe=""),
    "percent, lower case": lambda text: quote(text, safe="").lower(),
    "percent, every byte": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "percent, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "form": quote_plus,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON, unicode": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda text: json.dumps(json.dumps(text))[3:-3],
    "JSON, slashes": lambda text: json.dumps(text)[1:-1].replace("/", r"\/"),
    "JSON, every character": lambda text: "".join(f"\\u{ord(character):04x}" for character in text),
    "Python": lambda text: repr(text)[1:-1],
    "HTML": html.escape,
    "HTML, every character": lambda text: "".join(f"&#{ord(character)};" for character in text),
}
