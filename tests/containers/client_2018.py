"""An agent as it was written for the contest of 2018: its client knows nothing of ours.

Relative path, no deadline, frames in a mapping that is opened anew with mode `w+`, and the end of
the budget as an error with a number.
"""

import contextlib
import json
import socket

import numpy as np


class Client:
    def __init__(self, directory):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(directory + "/sock")
        self.buffer = b""
        description = self.receive()["content"]
        self.frame = np.memmap(directory + "/ob", mode="w+", dtype=np.uint8, shape=(224, 320, 3))
        print("channels:", *sorted(description))

    def receive(self):
        while b"\x0c" not in self.buffer:
            data = self.sock.recv(4096)
            if not data:
                raise BrokenPipeError
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\x0c", 1)
        return json.loads(message.decode())

    def ask(self, **content):
        request = {"type": "update", "content": content}
        with contextlib.suppress(BrokenPipeError):  # it reads on to find out why
            self.sock.sendall(json.dumps(request).encode() + b"\x0c")
        answer = self.receive()
        if answer["type"] in ("close", "exception"):
            raise RuntimeError("exception", answer["content"]["exception"])
        return answer["content"]


client = Client("tmp/sock")
colours = 0
try:
    while True:
        done = client.ask(reset=True)["done"]
        while not done:
            done = client.ask(ac=128)["done"]
            colours = max(colours, len(np.unique(client.frame)))
except RuntimeError as error:
    print("the end:", error.args[1], "more than one colour:", colours > 1)
