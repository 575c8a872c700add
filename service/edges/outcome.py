"""What came of a request: the status of its answer, or that nobody waited for one."""

from starlette.types import Message, Receive, Send

GONE = 499  # the client went before there was an answer; nginx's number


class Outcome:
    """Looks on while a request is answered.

    Attributes:
        begun: whether an answer has begun, or one that is sent to nobody.
    """

    def __init__(self) -> None:
        self.begun = self._gone = False
        self._status = GONE

    @property
    def status(self) -> int:
        """Of the answer; `GONE` if none has begun while the client was there."""
        return GONE if self._gone else self._status

    def receiving(self, receive: Receive) -> Receive:
        """Return what receives messages, and looks on."""

        async def receive_noted() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" and not self.begun:
                self._gone = True
            return message

        return receive_noted

    def sending(self, send: Send) -> Send:
        """Return what sends messages, and looks on."""

        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.begun, self._status = True, message["status"]
            await send(message)

        return send_noted
