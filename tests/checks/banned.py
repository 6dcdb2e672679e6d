#!/usr/bin/env python3
"""Calls that have no place here, and words that mean that something was left for later.

usage: banned.py [ROOT]"""
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
LAYERS = ("base", "base/io", "proto", "ca-client", "cache", "control", "sds", "daemon", "daemon/admin", "daemon/cli")

# In every C file, tests too. (names, why)
EVERYWHERE = [
    ("strcpy stpcpy strncpy", "use mem_strdup, memcpy of a known length, or buf_add"),
    ("strcat strncat", "use buf_add_text"),
    ("sprintf vsprintf", "use snprintf or buf_printf"),
    ("strtok", "it keeps a hidden state: use strcspn"),
    ("gets tmpnam mktemp tempnam", "cannot be used safely"),
    ("alloca", "sizes from outside do not belong on the stack"),
    ("sleep usleep nanosleep", "wait for the event, with a deadline"),
    ("gethostbyname inet_ntoa", "use getaddrinfo, inet_ntop"),
]
# In what we ship.
SHIPPED = [
    ("system popen", "no shell in a program that holds keys"),
    ("malloc calloc realloc strdup strndup asprintf vasprintf", "use base/mem.h: it does not fail"),
    ("memcmp bcmp", "secrets are compared by secret_equal; for public bytes add the file to the list of this check"),
    ("atoi atol atoll", "it cannot tell an error: use strtoll with checks"),
    ("rand random srand drand48", "use RAND_bytes"),
    ("gmtime localtime ctime asctime strerror", "not thread-safe: use the _r form or fault_errno"),
    ("time gettimeofday clock_gettime", "time comes from base/clock.h"),
    ("assert", "use invariant: it holds in release builds too"),
    ("abort", "use invariant"),
    ("setenv putenv unsetenv", "not safe beside threads"),
]
# In layers below daemon: they return faults, and log by base/log.h.
LIBRARY = [("printf fprintf vprintf vfprintf puts fputs putchar perror", "return a fault, or log an event")]

# file -> (name, why it may)
ALLOWED = {
    "base/mem.c": [
        ("calloc", "the allocator itself"), ("realloc", "the allocator itself"), ("vasprintf", "the allocator itself"),
        ("abort", "out of memory, or a broken invariant"), ("fprintf", "the last words before that")],
    "base/clock.c": [("clock_gettime", "the clock itself")],
    "base/io/accept.c": [("strerror", "on the acceptor's thread alone, a constant text of the C library")],
    "base/io/loop.c": [("fprintf", "the last words before a broken invariant")],
    "base/io/pulse.c": [("clock_gettime", "the CPU clock of another thread")],
    "base/io/rpc.c": [("setenv", "before gRPC starts, and with it every other thread")],
    "base/io/systemd.c": [("clock_gettime", "systemd wants the monotonic time of its own message")],
    "daemon/process.c": [("unsetenv", "the first thing that the program does")],
    "cache/entry.c": [("memcmp", "entry keys are public")],
    "sds/engine.c": [("memcmp", "names are public")],
    "base/io/accept_tcp.c": [("memcmp", "addresses are public")],
    "base/io/tcp_peers.c": [("memcmp", "addresses are public")],
    "sds/engine_offer.c": [("memcmp", "nonces are public")],
    "sds/request.c": [("memcmp", "type URLs are public")],
    "sds/request_redact.c": [("memcmp", "looks for words in a client's error text")],
}
WORDS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|\bnot implemented yet\b|\bplaceholder\b", re.I)
TEXTS = (".c", ".h", ".py", ".sh", ".md", ".txt", ".cmake", ".proto", ".yaml", ".yml", ".json", "")
# A wipe that the compiler may leave out. Names of what is wiped, as far as they tell.
WIPE = re.compile(r"\bmemset\s*\([^,;]*(key|secret|passw|passphrase|token|pem|pin)\w*\b[^,;]*,\s*0\s*,", re.I)


def strip(text):
    """Without comments and the contents of strings, line for line."""
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    return re.sub(r'"(\\.|[^"\\\n])*"', '""', text)


def pattern(rows):
    names = {name: why for words, why in rows for name in words.split()}
    return re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(names)), names


def rules_of(name):
    """The table for a C file."""
    folder = pathlib.PurePosixPath(name).parent.as_posix()
    if folder not in LAYERS:
        return pattern(EVERYWHERE)
    return pattern(EVERYWHERE + SHIPPED + ([] if folder.startswith("daemon") else LIBRARY))


def check_calls(name, text, used):
    errors = []
    calls, why = rules_of(name)
    allowed = [word for word, _ in ALLOWED.get(name, ())]
    for number, line in enumerate(strip(text).split("\n"), 1):
        for found in calls.finditer(line):
            if found.group(1) in allowed:
                used.add((name, found.group(1)))
            else:
                errors.append(f"{name}:{number}: {found.group(1)}: {why[found.group(1)]}")
        if WIPE.search(line):
            errors.append(f"{name}:{number}: memset: a wipe is OPENSSL_cleanse")
    return errors


def check_words(name, text):
    return [f"{name}:{number}: something left for later: {line.strip()}"
            for number, line in enumerate(text.split("\n"), 1) if WORDS.search(line)]


def texts():
    """Every text of the project: no build trees, no hidden folders."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        if hidden or parts[0] in ("build", "run") or "seeds" in parts or path.suffix not in TEXTS or not path.is_file():
            continue
        yield path.relative_to(ROOT).as_posix(), path


def main():
    errors, count, used = [], 0, set()
    for name, path in texts():
        text = path.read_text(errors="replace")
        if name.startswith("tests/checks/"):
            continue  # they name what they look for
        errors += check_words(name, text)
        if path.suffix in (".c", ".h"):
            count += 1
            errors += check_calls(name, text, used)
    for name, rows in ALLOWED.items():
        errors += [f"{name}: {word} is allowed, but not used: strike it from the list" for word, _ in rows if (name, word) not in used]
    if count < 20:
        errors.append(f"only {count} files found under {ROOT}: wrong folder?")
    print("\n".join(errors) or f"{count} files are clean")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
