"""The Python peers: asyncio, uvloop, or gevent. What is done how often is decided in Rust; see src/subject/python.rs.

`peer.py LIBRARY commands` reads a command a line and answers with a line of numbers. `peer.py LIBRARY serve` is an echo server.
`peer.py LIBRARY version` says what it is.
"""

import json
import os
import platform
import resource
import socket
import sys
import threading
import time

MESSAGE_LEN = 64


def usage():
    """The CPU time of the process, in nanoseconds, and its context switches."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return int((used.ru_utime + used.ru_stime) * 1e9), used.ru_nvcsw + used.ru_nivcsw


def nap_of(sleeper, shortest, spread):
    scattered = sleeper * 0x9E3779B9 & 0xFFFFFFFF
    return (shortest + spread * scattered / 0xFFFFFFFF) / 1e3


def late_by(due_ns):
    return max(0, time.monotonic_ns() - due_ns)


def announce(address):
    print(json.dumps({"address": "%s:%d" % address[:2]}), flush=True)


def give_readings():
    """A reading for each line on the standard input; the server ends when that does. On an OS thread."""
    start = time.monotonic_ns()
    for _ in sys.stdin:
        at_ns = time.monotonic_ns() - start
        cpu_ns, switches = usage()
        reading = {"at_ns": at_ns, "cpu_ns": cpu_ns, "switches": switches, "chunks": 0, "batch_cpu_ns": 0}
        print(json.dumps(reading), flush=True)
    os._exit(0)


class Asyncio:
    """asyncio by its own loop, or by uvloop's."""

    def __init__(self, library):
        import asyncio

        self.asyncio = asyncio
        self.factory = None
        if library == "uvloop":
            import uvloop

            self.factory = uvloop.new_event_loop

    def run(self, coroutine):
        with self.asyncio.Runner(loop_factory=self.factory) as runner:
            return runner.run(coroutine)

    def command(self, name, numbers):
        return self.run(getattr(self, name)(*numbers))

    async def yields(self, tasks, each):
        sleep = self.asyncio.sleep

        async def work():
            for _ in range(each):
                await sleep(0)

        start = time.perf_counter_ns()
        await self.asyncio.gather(*[self.asyncio.create_task(work()) for _ in range(tasks)])
        return [time.perf_counter_ns() - start]

    async def spawn_join(self, count):
        async def nothing():
            pass

        start = time.perf_counter_ns()
        for _ in range(count):
            await self.asyncio.create_task(nothing())
        return [time.perf_counter_ns() - start]

    async def chan_pingpong(self, rounds):
        ping, pong = self.asyncio.Queue(1), self.asyncio.Queue(1)

        async def echo():
            for _ in range(rounds):
                await pong.put(await ping.get() + 1)

        task = self.asyncio.create_task(echo())
        start, count = time.perf_counter_ns(), 0
        for _ in range(rounds):
            await ping.put(count)
            count = await pong.get()
        elapsed = time.perf_counter_ns() - start
        await task
        return [elapsed, count]

    async def sleep_all(self, count, shortest, spread):
        sleep, late = self.asyncio.sleep, [0] * count

        async def sleeper(at):
            nap = nap_of(at, shortest, spread)
            due = time.monotonic_ns() + int(nap * 1e9)
            await sleep(nap)
            late[at] = late_by(due)

        await self.asyncio.gather(*[self.asyncio.create_task(sleeper(at)) for at in range(count)])
        return late

    def serve(self):
        async def connection(reader, writer):
            try:
                while True:
                    writer.write(await reader.readexactly(MESSAGE_LEN))
                    await writer.drain()
            except (self.asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        async def server():
            listening = await self.asyncio.start_server(connection, "127.0.0.1", 0, backlog=1024)
            announce(listening.sockets[0].getsockname())
            await listening.serve_forever()

        self.run(server())


class Gevent:
    def __init__(self):
        import gevent
        import gevent.queue
        import gevent.server

        self.gevent = gevent

    def command(self, name, numbers):
        return self.gevent.spawn(getattr(self, name), *numbers).get()

    def yields(self, greenlets, each):
        sleep = self.gevent.sleep

        def work():
            for _ in range(each):
                sleep(0)

        start = time.perf_counter_ns()
        self.gevent.joinall([self.gevent.spawn(work) for _ in range(greenlets)], raise_error=True)
        return [time.perf_counter_ns() - start]

    def spawn_join(self, count):
        def nothing():
            pass

        start = time.perf_counter_ns()
        for _ in range(count):
            self.gevent.spawn(nothing).join()
        return [time.perf_counter_ns() - start]

    def chan_pingpong(self, rounds):
        ping, pong = self.gevent.queue.Queue(1), self.gevent.queue.Queue(1)

        def echo():
            for _ in range(rounds):
                pong.put(ping.get() + 1)

        greenlet = self.gevent.spawn(echo)
        start, count = time.perf_counter_ns(), 0
        for _ in range(rounds):
            ping.put(count)
            count = pong.get()
        elapsed = time.perf_counter_ns() - start
        greenlet.get()
        return [elapsed, count]

    def sleep_all(self, count, shortest, spread):
        sleep, late = self.gevent.sleep, [0] * count

        def sleeper(at):
            nap = nap_of(at, shortest, spread)
            due = time.monotonic_ns() + int(nap * 1e9)
            sleep(nap)
            late[at] = late_by(due)

        self.gevent.joinall([self.gevent.spawn(sleeper, at) for at in range(count)], raise_error=True)
        return late

    def serve(self):
        def connection(stream, _):
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            message = b""
            while piece := stream.recv(1024):
                message += piece
                if len(message) >= MESSAGE_LEN:
                    stream.sendall(message[:MESSAGE_LEN])
                    message = message[MESSAGE_LEN:]

        server = self.gevent.server.StreamServer(("127.0.0.1", 0), connection, backlog=1024)
        server.start()
        announce(server.socket.getsockname())
        server.serve_forever()


def version(library):
    text = "Python " + platform.python_version()
    if library != "asyncio":
        module = __import__(library)
        text = "%s %s" % (library, module.__version__)
    return text


def main():
    library, order = sys.argv[1:3]
    if order == "version":
        print(version(library))
        return
    peer = Gevent() if library == "gevent" else Asyncio(library)
    if order == "serve":
        threading.Thread(target=give_readings, daemon=True).start()
        peer.serve()
        return
    for line in sys.stdin:
        name, *numbers = line.split()
        if name == "usage":
            answer = usage()
        else:
            answer = peer.command(name, [int(number) for number in numbers])
        print(*answer, flush=True)


main()
