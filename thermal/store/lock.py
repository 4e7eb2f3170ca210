"""One process a run folder."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from thermal.errors import CaseError


class InUseError(CaseError):
    """Another process of this machine uses the folder; it may be waited for."""


class Lock:
    """An advisory lock on ``folder/lock``.

    The kernel drops it with the process that holds it, so a lock of a process that died on this machine breaks by
    itself and no number of a dead process can be mistaken for a living one. The file names the holder, for messages and
    for machines that share the folder without sharing locks.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lock"
        self._descriptor: int | None = None

    def acquire(self, *, sole: bool = False) -> None:
        """Take the lock. Raises ``CaseError`` that names the holder, an :class:`InUseError` where it is alive.

        ``sole``: nobody on another machine can be at work here, so that what one left behind is no hindrance.
        """
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = self._holder(descriptor)
                os.close(descriptor)
                raise InUseError(
                    f"{self.path.parent}: is in use by process {holder.get('pid', 'unknown')} on "
                    f"{holder.get('host', socket.gethostname())} since {holder.get('since', 'just now')}; wait for it, "
                    "stop it, or choose another folder with --out"
                ) from None
            except OSError as error:
                os.close(descriptor)
                raise CaseError(
                    f"{self.path}: this file system cannot lock files ({error.strerror}); use another --out"
                ) from None
            if self._is_current(descriptor):
                break
            os.close(descriptor)  # the previous holder removed the file meanwhile
        holder = self._holder(descriptor)
        if not sole and holder.get("host", socket.gethostname()) != socket.gethostname():
            os.close(descriptor)
            raise CaseError(
                f"{self.path.parent}: was taken by process {holder.get('pid')} on {holder['host']} at "
                f"{holder.get('since')}; if that process is gone, delete {self.path}"
            )
        record = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(record).encode(), 0)
        os.fsync(descriptor)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._descriptor is not None:
            self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def held_by(self) -> str:
        """Who holds the lock, in words; empty when nobody on this machine does."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return ""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = self._holder(descriptor)
            return f"process {holder.get('pid', 'unknown')} since {holder.get('since', 'just now')}"
        except OSError:
            return ""
        finally:
            os.close(descriptor)
        return ""

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self.path))
        except FileNotFoundError:
            return False

    @staticmethod
    def _holder(descriptor: int) -> dict[str, Any]:
        try:
            found = json.loads(os.pread(descriptor, 4096, 0))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}
