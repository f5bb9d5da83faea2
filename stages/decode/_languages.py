"""Programming languages: how a file says that it is in one, and how a top-level definition begins in it."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = r"[^\W\d]\w*"
_C_LIKE: Final = (
    # A type or a function that begins in the first column; a call or a declaration ends in ";".
    rf"((?:typedef\s+)?(?:struct|union|enum|class|namespace)\s+{_NAME}"
    rf"|(?!(?:else|return|typedef|using|extern\s+\"C\")\b)(?:[\w:<>,\[\]~]+[\s*&]+)+~?[\w:~]+\s*\([^;]*$)"
)
_MODIFIERS: Final = (
    r"(?:(?:public|private|protected|internal|static|final|abstract|sealed|partial|readonly|open|data|inline|override"
    r"|export|default|async|pub(?:\([\w: ]+\))?|unsafe|const|extern|declare|case|implicit|lazy|suspend|native)\s+)*"
)

_KEYWORDS: Final[dict[str, str]] = {
    "text/x-python": rf"((?:async\s+)?(?:def|class)\s+{_NAME})",
    "text/javascript": rf"{_MODIFIERS}((?:function\*?|class)\s+{_NAME}"
    rf"|(?:const|let|var)\s+{_NAME}\s*=\s*(?:async\s*)?(?:function|\())",
    "text/x-typescript": rf"{_MODIFIERS}((?:function\*?|class|interface|type|enum|namespace|module)\s+{_NAME})",
    "text/x-java": rf"{_MODIFIERS}((?:class|interface|enum|record|@interface)\s+{_NAME})",
    "text/x-kotlin": rf"{_MODIFIERS}((?:class|interface|object|fun|enum class)\s+[\w.<> ]+)",
    "text/x-scala": rf"{_MODIFIERS}((?:class|trait|object|def|enum)\s+{_NAME})",
    "text/x-csharp": rf"{_MODIFIERS}((?:class|interface|struct|enum|record|namespace)\s+[\w.]+)",
    "text/x-swift": rf"{_MODIFIERS}((?:class|struct|enum|protocol|extension|func|actor)\s+[\w.]+)",
    "text/x-go": rf"((?:func\s+(?:\([^)]*\)\s*)?|type\s+){_NAME})",
    "text/x-rust": rf"{_MODIFIERS}((?:fn|struct|enum|trait|impl|mod|macro_rules!|union)\b[^{{;(]*)",
    "text/x-ruby": r"((?:def|class|module)\s+[\w.:?!=]+)",
    "text/x-php": rf"{_MODIFIERS}((?:function|class|interface|trait|enum|namespace)\s+[\w\\]+)",
    "text/x-perl": r"((?:sub|package)\s+[\w:]+)",
    "text/x-lua": r"((?:local\s+)?function\s+[\w.:]+)",
    "text/x-r": r"([\w.]+\s*(?:<-|=)\s*function)\b",
    "text/x-julia": r"((?:function|struct|mutable struct|module|macro|abstract type)\s+[\w.!]+)",
    "text/x-haskell": r"((?:data|newtype|class|instance|type|module)\s+[\w. ]+|[a-z]\w*(?=\s*::))",
    "text/x-sql": r"(?i:(create\s+(?:or\s+replace\s+)?(?:temp(?:orary)?\s+)?\w+\s+(?:if\s+not\s+exists\s+)?[\w.\"`]+))",
    "text/x-shellscript": r"((?:function\s+[\w:-]+|[\w:-]+\s*\(\)))",
    "text/x-c": _C_LIKE,
    "text/x-c++": _C_LIKE,
}
DEFINITIONS: Final = {kind: re.compile(pattern) for kind, pattern in _KEYWORDS.items()}

SUFFIXES: Final[dict[str, str]] = {
    **dict.fromkeys(("py", "pyi", "pyw"), "text/x-python"),
    **dict.fromkeys(("js", "mjs", "cjs", "jsx"), "text/javascript"),
    **dict.fromkeys(("ts", "tsx", "mts", "cts"), "text/x-typescript"),
    "java": "text/x-java",
    **dict.fromkeys(("kt", "kts"), "text/x-kotlin"),
    **dict.fromkeys(("scala", "sc"), "text/x-scala"),
    "cs": "text/x-csharp",
    "swift": "text/x-swift",
    "go": "text/x-go",
    "rs": "text/x-rust",
    "rb": "text/x-ruby",
    "php": "text/x-php",
    **dict.fromkeys(("pl", "pm"), "text/x-perl"),
    "lua": "text/x-lua",
    "r": "text/x-r",
    "jl": "text/x-julia",
    "hs": "text/x-haskell",
    "sql": "text/x-sql",
    **dict.fromkeys(("sh", "bash", "zsh", "ksh"), "text/x-shellscript"),
    **dict.fromkeys(("c", "h"), "text/x-c"),
    **dict.fromkeys(("cc", "cpp", "cxx", "hh", "hpp", "hxx", "cu"), "text/x-c++"),
}
_PROGRAMS: Final[dict[str, str]] = {
    "python": "text/x-python",
    "node": "text/javascript",
    "deno": "text/x-typescript",
    "ruby": "text/x-ruby",
    "perl": "text/x-perl",
    "php": "text/x-php",
    "lua": "text/x-lua",
    "julia": "text/x-julia",
    "rscript": "text/x-r",
    **dict.fromkeys(("sh", "bash", "dash", "zsh", "ksh"), "text/x-shellscript"),
}
# "#!/usr/bin/env -S python3.11 -u", "#!/bin/sh"
_SHEBANG: Final = re.compile(
    r"#!\s*\S*?(?:/env\s+(?:-\S+\s+)*(?:\S+/)?|/)?([A-Za-z]+)[\d.]*(?:\s|$)"
)


def by_shebang(text: str) -> str | None:
    """Media type by the first line's program, or None."""
    match = _SHEBANG.match(text)
    return _PROGRAMS.get(match[1].lower()) if match else None
