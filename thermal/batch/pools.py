"""Where the runs of a batch are done: processes of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Protocol

from thermal.batch.folder import Outcome
from thermal.batch.work import Task, run_member
from thermal.crew import Crew, lost
from thermal.errors import CaseError


class Pool(Protocol):
    """Something that does tasks."""

    @property
    def size(self) -> int:
        """Tasks done at once."""
        ...

    def submit(self, task: Task) -> Future[Outcome]:
        """Begin a task, or line up for it."""
        ...

    def is_loss(self, error: BaseException) -> bool:
        """Whether a task's process died, so that the task may be tried again."""
        ...

    def close(self) -> None:
        """Stop all work; runs amid their steps leave a checkpoint."""
        ...


class LocalPool:
    """Processes of this machine, each with its share of the cores."""

    def __init__(self, jobs: int) -> None:
        self.size = jobs
        self._crew = Crew(jobs, once=True)  # a thousand samples have one doubt, not a thousand

    def submit(self, task: Task) -> Future[Outcome]:
        """See :meth:`Pool.submit`."""
        self._listen()
        return self._crew.submit(run_member, task)

    def _listen(self) -> None:
        for _ in self._crew.heard():  # only what is logged: runs of a batch are told of when they end
            pass

    def is_loss(self, error: BaseException) -> bool:
        """See :meth:`Pool.is_loss`."""
        return lost(error)

    def close(self) -> None:
        """See :meth:`Pool.close`."""
        self._crew.close()
        self._listen()


class DaskPool:
    """Workers of a Dask cluster that see the same files under the same names."""

    def __init__(self, address: Any) -> None:
        try:
            from distributed import Client, KilledWorker
        except ImportError:
            raise CaseError('--scheduler: Dask is not installed here: pip install "thermal[cluster]"') from None
        try:
            self._client: Any = Client(address, timeout="20s")
        except (OSError, ValueError, TimeoutError) as error:
            raise CaseError(f"--scheduler {address}: no scheduler answers there ({error}); check the address") from None
        self._lost: tuple[type[BaseException], ...] = (KilledWorker,)
        self._executor = self._client.get_executor(pure=False, retries=0)

    @property
    def size(self) -> int:
        """See :attr:`Pool.size`."""
        return max(1, sum(int(count) for count in self._client.nthreads().values()))

    def submit(self, task: Task) -> Future[Outcome]:
        """See :meth:`Pool.submit`."""
        future: Future[Outcome] = self._executor.submit(run_member, task)
        return future

    def is_loss(self, error: BaseException) -> bool:
        """See :meth:`Pool.is_loss`."""
        return isinstance(error, self._lost)

    def close(self) -> None:
        """See :meth:`Pool.close`."""
        self._executor.shutdown(wait=False)
        self._client.close()


@contextmanager
def _heeding_interrupts() -> Iterator[None]:
    """Keep what Ctrl-C does to a program: dask-jobqueue, when it is imported, has it end at once."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before or signal.SIG_DFL)


def slurm_cluster(options: Mapping[str, str]) -> Any:
    """A cluster whose workers are Slurm jobs of one thread each; ``options`` as of ``dask_jobqueue.SLURMCluster``.

    What is not given comes from the user's configuration of dask-jobqueue. Raises ``CaseError``.
    """
    try:
        import dask

        with _heeding_interrupts():
            from dask_jobqueue import SLURMCluster
    except ImportError:
        raise CaseError('--slurm: dask-jobqueue is not installed here: pip install "thermal[cluster]"') from None
    if not (options.get("memory") or dask.config.get("jobqueue.slurm.memory", None)):
        raise CaseError("--slurm: how much memory a job may take is not given; write e.g. --slurm memory=4GB")
    try:
        return SLURMCluster(**{"cores": 1, "processes": 1, "scheduler_options": {"dashboard_address": None}, **options})
    except (TypeError, ValueError, RuntimeError) as error:
        raise CaseError(
            f"--slurm: {error}; options are those of dask_jobqueue.SLURMCluster, e.g. --slurm memory=4GB --slurm "
            "walltime=04:00:00"
        ) from None


def job_script(options: Mapping[str, str]) -> str:
    """The script that Slurm is given for each worker. Raises ``CaseError``."""
    cluster = slurm_cluster(options)
    try:
        return str(cluster.job_script())
    finally:
        cluster.close()


class SlurmPool(DaskPool):
    """Slurm jobs, started and ended by dask-jobqueue; runs whose job ends go on in another."""

    def __init__(self, jobs: int, options: Mapping[str, str]) -> None:
        self._cluster = slurm_cluster(options)
        self._jobs = jobs
        super().__init__(self._cluster)
        self._cluster.scale(jobs=jobs)

    @property
    def size(self) -> int:
        """See :attr:`Pool.size`: as many as were asked for, also while they wait in the queue."""
        return self._jobs

    def close(self) -> None:
        """See :meth:`Pool.close`."""
        super().close()
        self._cluster.close()


MakePool = Callable[[], Pool]
