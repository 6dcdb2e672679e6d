#!/usr/bin/env python3
"""Who may include whom, and where locks and atomics live. Fails on anything else, and on any cycle between files.

usage: layers.py [ROOT]"""
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()

# A folder may include itself and these, transitively closed by hand: the table is the architecture.
BELOW = {
    "base": set(),
    "base/io": {"base"},
    "proto": {"base"},
    "ca-client": {"base", "base/io"},
    "cache": {"base", "base/io", "proto"},
    "control": {"base", "base/io", "ca-client", "cache"},
    "sds": {"base", "base/io", "proto", "cache", "control"},
    "daemon/admin": {"base", "base/io", "cache", "control", "sds"},
    "daemon/cli": {"base", "base/io"},
    "daemon": {"base", "base/io", "ca-client", "cache", "control", "sds", "daemon/admin", "daemon/cli"},
}
# Headers of the system that only some layers may see.
GUARDED = {
    r"grpc/": {"base/io", "sds", "daemon"},
    r"(uv\.h|microhttpd\.h)": {"base/io", "daemon/admin", "daemon"},
    r"sqlite3\.h": {"cache"},
    r"curl/": {"base/io", "daemon/cli"},
    r"yaml\.h": {"daemon"},
    r"(sys/socket\.h|sys/un\.h)": {"base/io", "daemon/admin", "daemon/cli"},
    r"(pthread\.h)": {"base/io", "base", "cache", "sds"},
    r"(stdatomic\.h)": {"base", "base/io"},
}
# Locks and atomics: base/io, and these files of base.
ATOMICS = {"base/ref.h", "base/metrics.c", "base/metrics_render.c", "base/metrics_internal.h", "base/log.c", "base/secret.c"}
LOCKS = {"base/log.c"}
ATOMIC_USE = re.compile(r"\batomic_\w+\s*[(;]|_Atomic\b|__atomic_|__sync_")
LOCK_USE = re.compile(r"\bpthread_(mutex|rwlock|spin|cond)_|\buv_(mutex|rwlock|cond|sem)_")


def sources():
    for folder in BELOW:
        for path in sorted((ROOT / folder).glob("*.[ch]")):
            yield folder, path, path.relative_to(ROOT).as_posix()


def without_comments(text):
    return re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)


def check_file(folder, path, name, graph):
    errors = []
    text = without_comments(path.read_text())
    for number, line in enumerate(text.split("\n"), 1):
        where = f"{name}:{number}"
        own = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        system = re.match(r"\s*#\s*include\s+<([^>]+)>", line)
        if own and (ROOT / own.group(1)).exists():
            target = pathlib.PurePosixPath(own.group(1)).parent.as_posix()
            graph.setdefault(name, set()).add(own.group(1))
            if target != folder and target not in BELOW[folder]:
                errors.append(f"{where}: {folder} may not include {own.group(1)}; it may include: {', '.join(sorted(BELOW[folder]))}")
            if own.group(1).endswith("internal.h") and target != folder:
                errors.append(f"{where}: {own.group(1)} is {target}'s own")
        if system:
            for pattern, allowed in GUARDED.items():
                if re.match(pattern, system.group(1)) and folder not in allowed:
                    errors.append(f"{where}: <{system.group(1)}> is for {', '.join(sorted(allowed))}")
        if ATOMIC_USE.search(line) and folder != "base/io" and name not in ATOMICS:
            errors.append(f"{where}: atomics live in base/io and {', '.join(sorted(ATOMICS))}")
        if LOCK_USE.search(line) and folder != "base/io" and name not in LOCKS:
            errors.append(f"{where}: locks live in base/io and {', '.join(sorted(LOCKS))}")
    return errors


def cycle(graph):
    """A list of files that include each other in a circle, or None."""
    state = {}

    def visit(node, trail):
        state[node] = 1
        for nxt in sorted(graph.get(node, ())):
            if state.get(nxt) == 1:
                return trail[trail.index(nxt):] + [nxt] if nxt in trail else [node, nxt]
            if nxt not in state:
                found = visit(nxt, trail + [nxt])
                if found:
                    return found
        state[node] = 2
        return None

    for node in sorted(graph):
        if node not in state:
            found = visit(node, [node])
            if found:
                return found
    return None


def main():
    errors, graph, count = [], {}, 0
    for folder, path, name in sources():
        count += 1
        errors += check_file(folder, path, name, graph)
        if path.suffix == ".h":
            guard = re.sub(r"[^A-Za-z0-9]", "_", name).upper()
            if f"#ifndef {guard}\n#define {guard}\n" not in path.read_text():
                errors.append(f"{name}: the guard of this header is {guard}")
    for folder in BELOW:
        if not (ROOT / folder / "README.md").exists():
            errors.append(f"{folder}: a folder has a README.md: its duty, what is not its duty, threads, who owns what")
    found = cycle(graph)
    if found:
        errors.append("a circle of includes: " + " -> ".join(found))
    if count < 20:
        errors.append(f"only {count} files found under {ROOT}: wrong folder?")
    print("\n".join(errors) or f"{count} files keep the layers")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
