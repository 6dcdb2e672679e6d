#!/usr/bin/env python3
"""Calls that have no place here, and words that mean that something was left for later.

usage: banned.py [ROOT]"""
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
FOLDERS = ("base", "base/io", "proto", "ca-client", "cache", "control", "sds", "daemon", "daemon/admin", "daemon/cli")

BANNED = {
    r"\bstrcpy\s*\(": "use mem_strdup, memcpy with a known length, or buf_add",
    r"\bstrcat\s*\(": "use buf_add_text",
    r"\bsprintf\s*\(": "use snprintf or buf_printf",
    r"\bvsprintf\s*\(": "use vsnprintf",
    r"\bstrtok\s*\(": "it keeps a hidden state: use strcspn",
    r"\b(gets|tmpnam|mktemp|system|popen)\s*\(": "not in a program that holds keys",
    r"\balloca\s*\(": "sizes from outside do not belong on the stack",
    r"(?<!_)\b(malloc|calloc|realloc|strdup|strndup|asprintf)\s*\(": "use base/mem.h: it does not fail",
    r"\bmemcmp\s*\(": "secrets are compared by secret_equal; public bytes: add the file to the list of this check",
    r"\b(atoi|atol|atoll)\s*\(": "it cannot tell an error: use strtoll with checks",
    r"\brand\s*\(": "use RAND_bytes",
    r"\bgmtime\s*\(|\blocaltime\s*\(|\bstrerror\s*\((?!.*accept)": "not thread-safe: use the _r form or fault_errno",
}
# (file, pattern's beginning): why
ALLOWED = {
    ("base/mem.c", "calloc"): "the allocator itself",
    ("base/mem.c", "realloc"): "the allocator itself",
    ("base/mem.c", "asprintf"): "the allocator itself",
    ("base/fault.c", "asprintf"): "formats its own text",
    ("cache/entry.c", "memcmp"): "entry keys are public",
    ("sds/engine.c", "memcmp"): "names are public",
    ("sds/engine_offer.c", "memcmp"): "nonces are public",
    ("sds/request.c", "memcmp"): "type URLs are public",
    ("sds/request_redact.c", "memcmp"): "looks for words in a client's error text",
    ("base/io/accept.c", "strerror"): "on the acceptor's thread alone, a constant text of the C library",
}
WORDS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def strip(text):
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    return re.sub(r'"(\\.|[^"\\\n])*"', '""', text)


def main():
    errors, count = [], 0
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).glob("*.[ch]")):
            name = path.relative_to(ROOT).as_posix()
            count += 1
            raw = path.read_text()
            for number, line in enumerate(raw.split("\n"), 1):
                if WORDS.search(line):
                    errors.append(f"{name}:{number}: something left for later: {line.strip()}")
            for number, line in enumerate(strip(raw).split("\n"), 1):
                for pattern, advice in BANNED.items():
                    found = re.search(pattern, line)
                    if not found:
                        continue
                    word = re.sub(r"\W", "", found.group())
                    if (name, word) not in ALLOWED:
                        errors.append(f"{name}:{number}: {word}: {advice}")
    if count < 20:
        errors.append(f"only {count} files found under {ROOT}: wrong folder?")
    print("\n".join(errors) or f"{count} files are clean")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
