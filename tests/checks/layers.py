#!/usr/bin/env python3
"""Who may include whom, who sees which library, and where locks and atomics live. Fails on anything else, on a circle of
files or folders, on sources outside the table, and on a folder without a README.

usage: layers.py [ROOT]"""
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()

# A folder may include itself and these: the table is the architecture.
BELOW = {
    "base": set(),
    "base/io": {"base"},
    "proto": {"base"},
    "ca-client": {"base", "base/io"},
    "cache": {"base", "base/io", "proto"},
    "control": {"base", "base/io", "ca-client", "cache"},
    "sds": {"base", "base/io", "proto", "cache", "control"},
    "daemon/admin": {"base", "base/io", "cache", "control", "sds"},
    "daemon/cli": {"base", "base/io", "cache"},
    "daemon": {"base", "base/io", "ca-client", "cache", "control", "sds", "daemon/admin", "daemon/cli"},
}
# Headers of libraries and of the system that only some layers may see.
GUARDED = {
    r"grpc/": {"base/io", "sds", "daemon"},
    r"protobuf-c/": {"proto"},
    r"uv\.h": {"base/io", "daemon/admin", "daemon"},
    r"microhttpd\.h": {"daemon/admin"},
    r"sqlite3\.h": {"cache"},
    r"curl/": {"base/io", "daemon/cli"},
    r"yaml\.h": {"daemon"},
    r"systemd/": {"base/io"},
    r"(uthash|utlist)\.h": {"base"},
    r"(sys/socket|sys/un|netdb|netinet/\w+)\.h": {"base/io", "daemon/admin", "daemon/cli"},
    r"pthread\.h": {"base", "base/io", "sds"},
    r"(semaphore|threads)\.h": {"base/io"},
    r"stdatomic\.h": {"base", "base/io"},
}
# Locks and atomics: base/io, and these files of base.
ATOMICS = {
    "base/ref.h", "base/log.c", "base/secret.c", "base/metrics.c", "base/metrics_render.c", "base/metrics_internal.h"}
LOCKS = {"base/log.c"}
ATOMIC_USE = re.compile(r"\batomic_\w+|_Atomic\b|\b__atomic_|\b__sync_")
LOCK_USE = re.compile(r"\b(pthread_(mutex|rwlock|spin|cond|barrier)|uv_(mutex|rwlock|cond|sem|barrier)|mtx|cnd|sem)_\w+\s*\(|\bflockfile\s*\(")
# Beside the layers: each of these has a README too.
FOLDERS = ("tests", "tests/integration", "tests/bench", "examples", "scripts")


def sources():
    for folder in BELOW:
        for path in sorted((ROOT / folder).glob("*.[ch]")):
            yield folder, path, path.relative_to(ROOT).as_posix()


def without_comments(text):
    return re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)


def folder_of(path):
    return pathlib.PurePosixPath(path).parent.as_posix()


def check_own(folder, target):
    """What is wrong with an include in quotes, or None."""
    if target.endswith(".pb-c.h"):
        return None if folder == "proto" or "proto" in BELOW[folder] else f"{folder} sees no protobuf"
    if not (ROOT / target).exists():
        return f'"{target}" is no path from the root; libraries are included in <>'
    below = folder_of(target)
    if below != folder and below not in BELOW[folder]:
        return f"{folder} may not include {target}; it may include: {', '.join(sorted(BELOW[folder]))}"
    if target.endswith("internal.h") and below != folder:
        return f"{target} is {below}'s own"
    return None


def check_system(folder, target):
    if (ROOT / target).exists():
        return f'<{target}> is ours: "{target}"'
    for pattern, allowed in GUARDED.items():
        if re.match(pattern, target) and folder not in allowed:
            return f"<{target}> is for {', '.join(sorted(allowed))}"
    return None


def check_file(folder, path, name, graph):
    errors = []
    for number, line in enumerate(without_comments(path.read_text()).split("\n"), 1):
        found = None
        own = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        system = re.match(r"\s*#\s*include\s+<([^>]+)>", line)
        if own:
            found = check_own(folder, own.group(1))
            graph.setdefault(name, set()).add(own.group(1))
        elif system:
            found = check_system(folder, system.group(1))
        elif ATOMIC_USE.search(line) and folder != "base/io" and name not in ATOMICS:
            found = f"atomics live in base/io and {', '.join(sorted(ATOMICS))}"
        elif LOCK_USE.search(line) and folder != "base/io" and name not in LOCKS:
            found = f"locks live in base/io and {', '.join(sorted(LOCKS))}"
        if found:
            errors.append(f"{name}:{number}: {found}")
    return errors


def check_guard(path, name):
    guard = re.sub(r"[^A-Za-z0-9]", "_", name).upper()
    if f"#ifndef {guard}\n#define {guard}\n" in path.read_text():
        return []
    return [f"{name}: the guard of this header is {guard}"]


def check_folders():
    errors = []
    for folder in (*BELOW, *FOLDERS):
        if not (ROOT / folder / "README.md").exists():
            errors.append(f"{folder}: a folder has a README.md: its duty, what is not its duty, threads, who owns what")
    for top in sorted(ROOT.iterdir()):
        if not top.is_dir() or top.name.startswith(".") or top.name in ("build", "tests"):
            continue
        for path in sorted(top.rglob("*.[ch]")):
            if folder_of(path.relative_to(ROOT)) not in BELOW:
                errors.append(f"{path.relative_to(ROOT)}: this folder is not in the table of layers")
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
            errors += check_guard(path, name)
    errors += check_folders()
    for what, edges in (("files", graph), ("layers", BELOW)):
        found = cycle(edges)
        if found:
            errors.append(f"a circle of {what}: " + " -> ".join(found))
    if count < 20:
        errors.append(f"only {count} files found under {ROOT}: wrong folder?")
    print("\n".join(errors) or f"{count} files keep the layers")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
