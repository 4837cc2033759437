"""The daemon in the foreground: it runs a pipeline, takes over a new configuration, ends in order.

A new configuration is taken over by ending the pipeline, which writes all state down, and making
one of the new configuration on the same data directory: it takes up where the other left off, as
after a restart. The broker keeps our session meanwhile, and files keep their lines.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing

from streamlnn.daemon.config import Config, load
from streamlnn.daemon.live_board import LiveBoard, fits
from streamlnn.daemon.notify import NotifiedStatus, Notifier
from streamlnn.daemon.orders import Order, Orders, leave
from streamlnn.daemon.run import build
from streamlnn.daemon.serving import Serving
from streamlnn.daemon.surroundings import look_around
from streamlnn.daemon.terminal import silent_stdout, suspendable
from streamlnn.daemon.warming import LOADING
from streamlnn.daemon.worker import Worker
from streamlnn.errors import ConfigError, StreamlnnError
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.observer import Observer

log = logging.getLogger("streamlnn.run")

_FIXED = ("instance", "data_dir")
_KEPT = "; what was not taken from it is kept and comes at the next start"


def run(
    config: Config,
    *,
    dry_run: bool,
    for_secs: float | None,
    set_up_logs: Callable[[Config], None] = lambda _: None,
    plain: bool = True,
) -> None:
    """Run the daemon in the foreground until SIGTERM or SIGINT, or for `for_secs` seconds.

    SIGHUP reads the configuration again, but for a dry run; `set_up_logs` is called with a new
    one. Unless `plain`, a terminal shows a live table. Raises `StoreError` when the data directory
    cannot be used.
    """
    with Orders(for_secs=for_secs, reloads=not dry_run) as orders:
        service = Service(config, orders, dry_run, set_up_logs)
        if plain or dry_run or not fits(config):
            service.run()
        else:
            service.run_with_board()
    log.info("streamlnn %r has stopped", config.daemon.instance)


class Service:
    """One daemon's life, from configuration to configuration."""

    def __init__(
        self,
        config: Config,
        orders: Orders,
        dry_run: bool,
        set_up_logs: Callable[[Config], None],
    ) -> None:
        self._config = config
        self._orders = orders
        self._dry_run = dry_run
        self._set_up_logs = set_up_logs
        self._notifier = Notifier()
        self._status = NotifiedStatus(self._notifier)
        self._serving = Serving(self._status, config.daemon.data_dir)
        self._board: LiveBoard | None = None
        self._is_first = True

    def run(self) -> None:
        """Run pipelines, one after the other, until told to stop."""
        try:
            while self._run_pipeline():
                log.info("the new configuration is taken over")
                self._status.begin()
        finally:
            self._close_board()
            self._serving.stop()

    def run_with_board(self) -> None:
        """Run pipelines under a live table, which goes when it is time to stop."""
        self._board = board = LiveBoard(self._status, self._config.daemon.instance)
        with silent_stdout(), suspendable(board.close, board.open):
            board.open()
            self.run()

    def _run_pipeline(self) -> bool:
        """Run a pipeline to its end; tell whether another one, of a new configuration, is due."""
        config = self._config
        journal = Journal(None if self._dry_run else config.daemon.data_dir)
        _tell_forgotten(config, journal)
        pipeline = build(config, self._status, journal, dry_run=self._dry_run)
        if not self._dry_run:
            self._serving.change(config.http)
        for doubt in config.doubts():
            log.warning("%s", doubt)
        if self._is_first:
            log.info(LOADING)
            self._is_first = False
        log.info("streamlnn %r follows %s", config.daemon.instance, _inputs(config))
        goes_on = self._follow(worker := Worker(pipeline, self._orders))
        self._look_back(worker)
        return goes_on

    def _follow(self, worker: Worker) -> bool:
        """Follow orders until the pipeline is over; tell whether it was ended for a new one.

        The order to stop is final, whatever comes after it.
        """
        goes_on = stops = False
        while (order := self._orders.next()) is not Order.OVER:
            if order is Order.STOP:
                stops = True
                self._close_board()
                self._notifier.tell(STOPPING=1, STATUS="stopping")
                if worker.loading:
                    leave("told to stop while the model was being loaded: nothing had begun")
                worker.pipeline.stop.set()
            elif not stops and self._read_again():
                goes_on = True
                worker.pipeline.stop.set()
        return goes_on and not stops and worker.error is None

    def _close_board(self) -> None:
        if self._board:
            self._board.close()

    def _look_back(self, worker: Worker) -> None:
        if isinstance(worker.error, BrokenPipeError):
            kept = "" if self._dry_run else _KEPT
            log.warning("nobody reads standard output any more: ending%s", kept)
        if worker.error is not None:
            raise worker.error
        if worker.pipeline.undelivered:
            log.warning(
                "%d forecasts and events are not confirmed by their sink: they are kept, and go "
                "out at the next start",
                worker.pipeline.undelivered,
            )

    def _read_again(self) -> bool:
        """Read the configuration again; tell whether there is a new one to be taken over."""
        self._notifier.reloading()
        try:
            self._config = self._read()
        except StreamlnnError as error:
            for problem in getattr(error, "problems", [str(error)]):
                log.error("%s", problem)
            log.error("the configuration is not taken over: the one before goes on")
            self._status.tell_ready()
            return False
        self._set_up_logs(self._config)
        log.info("the configuration has been read again: the pipeline ends and begins anew")
        return True

    def _read(self) -> Config:
        """Return the new configuration. Raises `StreamlnnError` where it would not do."""
        old = self._config
        assert old.path is not None
        new = load(old.path)
        _refuse_fixed(old, new)
        look_around(new)
        with closing(Journal(None)) as nowhere:
            build(new, Observer(), nowhere)
        self._serving.change(new.http)
        return new


def _tell_forgotten(config: Config, journal: Journal) -> None:
    """Tell what is kept for sinks that are gone: it waits for ever, and fills the journal."""
    there = {sink.id for sink in config.sinks}
    with journal.reading():
        kept = {sink: count for sink, count in journal.waiting().items() if sink not in there}
    if kept:
        log.warning(
            "outputs are kept for sinks that the configuration does not have: %s; they fill the "
            "journal until there is a [[sink]] of that id again, or until 'streamlnn state "
            "forget-sink ID %s' has deleted them",
            ", ".join(f"{count} for {sink!r}" for sink, count in kept.items()),
            config.path or config.daemon.data_dir,
        )


def _refuse_fixed(old: Config, new: Config) -> None:
    problems = [
        f"{new.path}: daemon.{key} cannot change while the daemon runs: restart it, or write "
        f"{str(getattr(old.daemon, key))!r} again"
        for key in _FIXED
        if getattr(old.daemon, key) != getattr(new.daemon, key)
    ]
    problems += [
        f"{new.path}: source {source.id!r} cannot be left and taken up again: restart the daemon"
        for source in old.sources
        if not getattr(source.type, "restartable", True)
    ]
    if problems:
        raise ConfigError(problems)


def _inputs(config: Config) -> str:
    return ", ".join(f"{source.kind} {source.id!r}" for source in config.sources)
