"""A child process whose output is read as it comes. It is ended by its own pid, and never outlives its owner.

It is in a process group of its own, so that Ctrl-C reaches us alone and things end in order. Start it from a thread
that stays: --pdeathsig fires when the thread that forked ends. setpriv (util-linux) does what would else need Python
code between fork and exec, which threads of gRPC do not survive.
"""
import os
import signal
import subprocess
import threading

from . import wait


def as_user(user):
    """What stands before a program's own argv to run it as this user, with no further groups."""
    return [] if user is None else ["setpriv", "--reuid=%d" % user, "--regid=%d" % user, "--clear-groups", "--"]


class Process:
    """argv runs from construction on; lines holds stdout and stderr together, line by line."""

    def __init__(self, argv, env=None, cwd=None, user=None, log=None):
        self.argv = argv
        self.lines = wait.Signal()
        self._process = subprocess.Popen(
            [*as_user(user), "setpriv", "--pdeathsig", "KILL", "--", *argv], env=env, cwd=cwd, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0)
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, args=(log,), daemon=True)
        self._reader.start()

    def _read(self, log):
        copy = open(log, "ab") if log else None
        with self._process.stdout as out:
            for line in out:
                if copy:
                    copy.write(line)
                    copy.flush()
                self.lines.put(line.decode(errors="replace").rstrip("\n"))
        if copy:
            copy.close()
        self.lines.close()

    @property
    def returncode(self):
        """None while it runs."""
        return self._process.poll()

    def running(self):
        return self.returncode is None

    def tail(self, count=30):
        return "\n".join(self.lines.items()[-count:])

    def signal(self, number):
        self._process.send_signal(number)

    def wait(self, timeout_s):
        """The exit code; negative: the signal that ended it."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise wait.Expired("%s (pid %d) did not end within %s s:\n%s" %
                               (os.path.basename(self.argv[0]), self.pid, timeout_s, self.tail())) from None
        self._reader.join(5)
        return code

    def terminate(self, timeout_s=15):
        """SIGTERM; SIGKILL when that is not enough. The exit code."""
        if self.running():
            self.signal(signal.SIGTERM)
            try:
                return self.wait(timeout_s)
            except wait.Expired:
                self.kill()
                raise
        return self.wait(timeout_s)

    def kill(self):
        if self.running():
            self._process.kill()
        return self.wait(10)
