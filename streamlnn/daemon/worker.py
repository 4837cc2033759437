"""The pipeline at work in a thread of its own.

So the main thread, where Python hears signals, waits for nothing but orders: a compiler, a name
server or a broker that stands still cannot keep it from hearing them.
"""

from __future__ import annotations

import threading

from streamlnn.daemon.orders import Order, Orders
from streamlnn.model import stepping
from streamlnn.pipeline.loop import Pipeline


class Worker:
    """Runs a pipeline, and gives the order `OVER` at its end; `error` is what ended it, if any.

    `loading` is True until the model is loaded, which the first time means compiled.
    """

    def __init__(self, pipeline: Pipeline, orders: Orders) -> None:
        self.pipeline = pipeline
        self.error: BaseException | None = None
        self.loading = True
        self._orders = orders
        threading.Thread(target=self._work, name="streamlnn-loop", daemon=True).start()

    def _work(self) -> None:
        try:
            stepping.warm()
            self.loading = False
            self._orders.begin()
            self.pipeline.run()
        except BaseException as error:  # raised again in the main thread
            self.error = error
        finally:
            self._orders.put(Order.OVER)
