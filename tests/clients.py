"""Tests the to-do list and the chat with Python's `requests` and `websockets`. tests/tests/e2e/framework.rs runs it:

    /usr/bin/python3 tests/clients.py TODO_URL TOKEN CHAT_URL
"""

import asyncio
import sys

import requests
import websockets

todo, token, chat = sys.argv[1:]


def list_of_things():
    with requests.Session() as session:
        assert session.get(f"{todo}/todos").status_code == 401
        session.headers["authorization"] = f"Bearer {token}"
        made = session.post(f"{todo}/todos", json={"text": "caf\u00e9 \u2603"})
        assert made.status_code == 201 and made.json()["text"] == "caf\u00e9 \u2603", made.text
        item = f"{todo}/todos/{made.json()['id']}"
        assert session.patch(item, json={"done": True}).json()["done"] is True
        assert session.get(f"{todo}/todos").json() == [{"id": 1, "text": "caf\u00e9 \u2603", "done": True}]
        head = session.head(item)
        assert head.status_code == 200 and head.text == "" and int(head.headers["content-length"]) > 10
        assert session.options(item).headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH"
        assert session.put(item).status_code == 405
        # A chunked body, and an empty one.
        assert session.post(f"{todo}/todos", data=iter([b'{"text":', b'"two"}'])).status_code == 201
        assert session.post(f"{todo}/todos").status_code == 400
        assert session.delete(item).status_code == 204
        assert session.get(item).status_code == 404


async def people():
    async with websockets.connect(f"{chat}/chat?name=ann") as ann:
        assert await ann.recv() == '{"joined":"ann"}'
        try:
            async with websockets.connect(f"{chat}/chat?name=ann"):
                raise AssertionError("the name is taken")
        except websockets.exceptions.WebSocketException as error:
            assert "403" in str(error), error
        async with websockets.connect(f"{chat}/chat?name=bob") as bob:
            assert await ann.recv() == await bob.recv() == '{"joined":"bob"}'
            await bob.send("x" * 100_000)
            assert len(await ann.recv()) == len(await bob.recv()) > 100_000
            await (await ann.ping())
            # A fragmented message.
            await ann.send(["he", "llo"])
            assert await bob.recv() == await ann.recv() == '{"from":"ann","text":"hello"}'
        assert await ann.recv() == '{"left":"bob"}'


list_of_things()
asyncio.run(people())
print("well")
